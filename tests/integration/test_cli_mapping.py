"""A changed mapping, looked at before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shell import FIELDS, Shell, shell


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def test_a_changed_mapping_shows_what_it_would_write_by_field_and_changes_nothing(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    assert "the mapping is the one of the last sync" in sh.run("mapping", "preview").out
    sh.configure(FIELDS.replace('phone = { crm_field = "Phone", field_type = "phone" }', 'phone = "MobilePhone"'))
    shown = sh.run("mapping", "preview", "--format", "json")
    assert shown.code == 0, shown.err
    [preview] = shown.json["previews"]
    assert {(one["field"], one["setting"]) for one in preview["changes"]} == {
        ("phone = Phone", ""),
        ("phone = MobilePhone", ""),
    }
    assert preview["effects"] == [
        {"side": "remote", "field": "MobilePhone", "writes": 4, "creates": 0, "overwrites": 0}
    ]
    assert "phone = MobilePhone" in sh.run("mapping", "preview").out
    assert all(not contact.get("MobilePhone") for contact in sh.contacts())
    sh.configure()
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0, "the old mapping is still in use"


def test_values_that_a_changed_mapping_would_overwrite_are_counted_as_such(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    for contact in sh.contacts():
        sh.emulator.org.update("Contact", contact["Id"], {"MobilePhone": "+1 555"})
    assert sh.run("sync").code == 0
    changed = 'phone = { crm_field = "MobilePhone", policy = "local_wins" }'
    sh.configure(FIELDS.replace('phone = { crm_field = "Phone", field_type = "phone" }', changed))
    [preview] = sh.run("mapping", "preview", "--format", "json").json["previews"]
    assert [(one["field"], one["overwrites"]) for one in preview["effects"]] == [("MobilePhone", 4)]


def test_before_the_first_sync_there_is_nothing_to_compare(sh: Shell) -> None:
    refused = sh.run("mapping", "preview")
    assert (refused.code, "never synced" in refused.err) == (2, True)
