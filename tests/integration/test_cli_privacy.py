"""People's rights from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shell import Shell, shell

LUIS = "luisg@example.org"


@pytest.fixture(scope="module")
def sh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with shell(tmp_path_factory.mktemp("privacy")) as made:
        assert made.run("sync").code == 0
        yield made


def people(sh: Shell) -> str:
    return Path(sh.directory, "people.csv").read_text("utf-8")


def test_a_person_must_be_named(sh: Shell) -> None:
    done = sh.run("privacy", "erase", "--yes")
    assert done.code == 2
    assert "--email, --local-id or --crm-id" in done.err


def test_the_map_names_each_field_and_how_long_it_is_kept(sh: Shell) -> None:
    done = sh.run("privacy", "map")
    assert done.code == 0
    assert "90 days" in done.out
    places = sh.run("privacy", "map", "--format", "json").json["fields"]
    assert {one["crm_field"]: one["history_days"] for one in places}["Email"] == 0


def test_a_person_is_exported_shown_erased_kept_out_and_allowed_again(sh: Shell) -> None:
    (integration,) = sh.run("privacy", "export", "--email", LUIS).json["integrations"]
    records = integration["objects"][0]["records"]
    assert {one["side"]: one["fields"].get("Email", LUIS) for one in records} == {"local": LUIS, "remote": LUIS}

    shown = sh.run("privacy", "erase", "--email", LUIS)
    assert shown.code == 0
    assert "add --yes" in shown.out
    assert LUIS in people(sh)

    done = sh.run(
        "privacy", "erase", "--email", LUIS, "--yes", "--reason", "ticket 7", "--by", "dpo", "--format", "json"
    )
    assert done.code == 0
    (report,) = done.json["erasures"]
    assert (report["complete"], report["reason"], report["requested_by"]) == (True, "ticket 7", "dpo")
    assert LUIS not in done.out
    kept = Path(sh.directory, "erasure.json")
    kept.write_text(done.out, encoding="utf-8")
    assert "as it was written" in sh.run("privacy", "verify", "erasure.json").out
    kept.write_text(done.out.replace("ticket 7", "ticket 8"), encoding="utf-8")
    assert sh.run("privacy", "verify", "erasure.json").code == 1
    kept.write_text("[]", encoding="utf-8")
    assert sh.run("privacy", "verify", "erasure.json").code == 2
    assert LUIS not in people(sh)
    assert LUIS not in {one["Email"] for one in sh.contacts()}

    sh.emulator.org.create("Contact", {"LastName": "G", "Email": LUIS})
    kept_out = sh.run("sync")
    assert kept_out.code == 0
    assert "1 record(s) of people who were erased were left alone" in kept_out.out
    assert "taken in again" in sh.run("privacy", "allow", "--email", LUIS).out
    assert sh.run("sync", "--full").code == 0
    assert LUIS in people(sh)


def test_what_is_too_old_is_forgotten(sh: Shell) -> None:
    done = sh.run("privacy", "purge", "--format", "json")
    assert done.json == {"purged": {"acme": {"conflicts": 0, "changes": 0, "logs": 0}}}
