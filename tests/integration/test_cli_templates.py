"""Templates at the shell: saved from the file, handed on as a document, written into another file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.shell import FIELDS, Shell, shell


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def objects(sh: Shell) -> dict[str, Any]:
    """The object mappings of the file."""
    content = tomllib.loads((sh.directory / "crmsync.toml").read_text(encoding="utf-8"))
    found: dict[str, Any] = content["integrations"][0]["objects"]
    return found


def test_a_mapping_travels_from_one_file_to_another_by_a_template(sh: Shell) -> None:
    saved = sh.run("mapping", "template", "save", "ours", "--description", "as agreed", "--format", "json")
    assert (saved.code, saved.json["template"]["objects"]) == (0, ["Contact"]), saved.err
    listed = sh.run("mapping", "template", "list", "--provider", "salesforce", "--format", "json").json["templates"]
    assert {one["name"]: one["is_default"] for one in listed}.items() >= {"ours": False, "Contact": True}.items()
    shown = sh.run("mapping", "template", "show", "ours")
    assert (shown.code, 'field_type = "email"' in shown.out) == (0, True)

    for name in ("ours.toml", "ours.json"):
        assert sh.run("mapping", "template", "export", "ours", "--to", name).code == 0
        assert (sh.directory / name).exists()
    assert sh.run("mapping", "template", "delete", "ours").code == 0
    assert sh.run("mapping", "template", "show", "ours").code == 1
    assert sh.run("mapping", "template", "import", "ours.json").code == 0
    assert "crmsync-mapping/1" in sh.run("mapping", "template", "export", "ours").out

    sh.configure('email = "Email"\n')
    kept = sh.run("mapping", "template", "apply", "ours", "--format", "json")
    assert (kept.code, kept.json) == (2, {"written": [], "kept": ["Contact"]})
    assert sh.run("mapping", "template", "apply", "ours", "--replace").code == 0
    assert objects(sh)["Contact"]["fields"] == tomllib.loads(FIELDS)
    assert sh.run("mapping", "check").code == 0
    assert sh.run("mapping", "template", "apply", "Lead").code == 0
    assert list(objects(sh)) == ["Contact", "Lead"]


def test_what_cannot_be_done_with_a_template_is_said(sh: Shell) -> None:
    (sh.directory / "broken.toml").write_text('provider = "salesforce"\n', encoding="utf-8")
    broken = sh.run("mapping", "template", "import", "broken.toml", "--format", "json")
    assert broken.code == 2
    assert {one["path"] for one in broken.json["error"]["problems"]} == {"name", "objects"}
    for arguments, told in (
        (("import", "absent.toml"), "cannot be read"),
        (("save", "Contact"), "template of the provider"),
        (("save", "ours", "-o", "Lead"), "nothing to save"),
        (("delete", "Contact"), "cannot be deleted"),
        (("apply", "Contact", "-o", "Lead"), "has no Lead"),
    ):
        refused = sh.run("mapping", "template", *arguments)
        assert (refused.code, told in refused.err) == (2, True), (arguments, refused.err)
