"""An administrator changes the org's fields under a running integration; checks of a mapping from API and shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crmsync.testing.salesforce.permissions import Profile
from tests.integration.shell import FIELDS, Shell, shell


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def hide(sh: Shell, *fields: str) -> None:
    org = sh.emulator.org
    org.set_profile(org.user_id, Profile(hidden=frozenset(fields)) if fields else None)


def test_a_mapping_is_checked_with_every_fault_the_lines_that_mend_it_and_what_is_covered(sh: Shell) -> None:
    sh.configure(FIELDS.replace('"FirstName"', '"FirstNam"') + 'nick = "Nick__c"\n')
    done = sh.run("mapping", "check", "--format", "json")
    assert done.code == 2, done.err
    [check] = done.json["checks"]
    assert not check["ok"]
    by_path = {each["path"]: each for each in check["findings"]}
    at = "integrations[0].objects.Contact.fields"
    assert by_path[f"{at}.first_name.crm_field"]["toml"] == 'first_name = "FirstName"'
    assert by_path[f"{at}.nick.crm_field"]["code"] == "unknown_field"
    ours, theirs = check["coverage"]
    assert {each["name"]: each["use"] for each in ours["fields"]}["phone"] == "mapped"
    assert theirs["missing"] == []
    human = sh.run("mapping", "check", "--accept")
    assert human.code == 2
    assert "would be refused" in human.out
    assert 'first_name = "FirstName"' in human.out
    assert sh.contacts() == []


def test_connecting_tells_whether_a_sync_would_accept_the_mappings(sh: Shell) -> None:
    good = sh.run("connect", "--test", "--format", "json").json
    assert good["mappings"] == {"acme": {"Contact": {"ok": True, "errors": 0, "warnings": 0}}}
    sh.configure(FIELDS.replace('"FirstName"', '"FirstNam"'))
    faulty = sh.run("connect", "--test")
    assert (faulty.code, "the mapping of Contact has 1 fault(s)" in faulty.out) == (0, True)


def test_a_hidden_field_is_left_out_with_the_reason_until_it_is_back(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    hide(sh, "Contact.Phone")
    contact = sh.contacts()[0]
    sh.emulator.org.update("Contact", contact["Id"], {"FirstName": "Changed", "Phone": "+1 555 0100"})
    done = sh.run("sync", "--format", "json")
    assert done.code == 3, done.err
    [run] = done.json["runs"]
    assert [(each["code"], each["path"]) for each in run["warnings"]] == [("field_gone", "fields[4].crm_field")]
    assert "Changed" in (sh.directory / "people.csv").read_text(encoding="utf-8")
    status = sh.run("status", "--format", "json").json["integrations"]["acme"][0]
    assert [each["code"] for each in status["drift"]] == ["field_gone"]
    assert "has no field 'Phone' any more" in sh.run("status").out
    checked = sh.run("mapping", "check", "--format", "json")
    assert checked.code == 2
    assert [each["code"] for each in checked.json["checks"][0]["findings"] if each["drift"]] == ["field_gone"]

    hide(sh)
    back = sh.run("sync", "--format", "json")
    assert (back.code, back.json["runs"][0]["warnings"]) == (0, []), back.err
    assert "+1 555 0100" in (sh.directory / "people.csv").read_text(encoding="utf-8"), "what happened meanwhile is seen"
    assert sh.run("status", "--format", "json").json["integrations"]["acme"][0]["drift"] == []
