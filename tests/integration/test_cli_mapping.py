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
    told = " ".join(sh.run("mapping", "preview").out.split())
    assert "phone = MobilePhone (not mapped) mapped" in told
    assert 'phone = Phone {"field_type": "phone"} (not mapped)' in told
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


def test_one_record_is_shown_through_the_files_mapping_by_id_by_address_and_from_a_file(sh: Shell) -> None:
    shown = sh.run("mapping", "preview", "--record", "3", "--format", "json")
    assert shown.code == 0, shown.err
    preview = shown.json["preview"]
    assert (preview["markmail_id"], preview["crm_id"], preview["round_trip"]) == ("3", None, True)
    assert {each["target"]: each["converted"] for each in preview["to_crm"]}["LastName"] == "O'Brien"
    assert sh.run("sync").code == 0
    by_email = sh.run("mapping", "preview", "--email", "o'brien@example.org")
    assert (by_email.code, "O'Brien" in by_email.out) == (0, True)
    (sh.directory / "new.json").write_text('{"email": "not an address", "last_name": "New"}', encoding="utf-8")
    given = sh.run("mapping", "preview", "--file", "new.json")
    assert (given.code, "not an e-mail address" in given.out) == (3, True), given.out
    assert sh.run("mapping", "preview", "--record", "99").code == 1
    assert len(sh.contacts()) == 4


def test_two_files_are_compared_by_what_they_make_of_the_records(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    before = (sh.directory / "crmsync.toml").read_text(encoding="utf-8")
    (sh.directory / "old.toml").write_text(before, encoding="utf-8")
    changed = FIELDS.replace(
        'company = "MarkMail_Company__c"', 'company = { crm_field = "MarkMail_Company__c", to_crm = "off" }'
    )
    (sh.directory / "new.toml").write_text(
        before.replace(FIELDS, changed + 'first_name_2 = "Title"\n'), encoding="utf-8"
    )
    done = sh.run("mapping", "diff", "old.toml", "new.toml", "--sample", "3", "--format", "json")
    assert done.code == 0, done.err
    assert done.json["compared"] == {"local": 3, "remote": 3}
    assert done.json["fields"] == [{"side": "remote", "field": "MarkMail_Company__c", "records": 2}]
    human = sh.run("mapping", "diff", "old.toml", "new.toml")
    assert (human.code, "Embraer" in human.out) == (0, True)
    assert sh.run("mapping", "template", "export", "Contact", "--to", "default.json").code == 0
    assert sh.run("mapping", "diff", "old.toml", "default.json").code == 0
    assert sh.run("mapping", "diff", "old.toml", "absent.toml").code == 2


def test_a_preview_says_which_conflicts_and_rejects_end_with_a_field_that_goes(sh: Shell) -> None:
    waits = FIELDS.replace('company = "MarkMail_Company__c"', 'company = { crm_field = "Title", policy = "manual" }')
    sh.configure(waits)
    assert sh.run("sync").code == 0
    people = sh.directory / "people.csv"
    text = people.read_text("utf-8").replace("Embraer S.A.", "Embraer").replace("Leonie", "L" * 41)
    people.write_text(text, encoding="utf-8")
    [luis] = [contact for contact in sh.contacts() if contact["FirstName"] == "Luís"]
    sh.emulator.org.update("Contact", luis["Id"], {"Title": "Airbus"})
    assert sh.run("sync").code == 3
    less = "\n".join(line for line in waits.splitlines() if not line.startswith(("company", "first_name"))) + "\n"
    sh.configure(less)
    [preview] = sh.run("mapping", "preview", "--format", "json").json["previews"]
    assert preview["ended"] == [
        {"field": "first_name = FirstName", "conflicts": 0, "rejects": 1},
        {"field": "company = Title", "conflicts": 1, "rejects": 0},
    ]
    told = sh.run("mapping", "preview").out
    assert "with company = Title end 1 conflict(s) that wait" in told
    assert "with first_name = FirstName end 1 reject(s) because of it" in told
    assert sh.run("sync").code == 0, "as it was said"
    assert sh.run("conflicts", "list", "--format", "json").json["conflicts"] == []


def test_a_faulty_mapping_is_refused_and_not_stored(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    before = sh.run("audit", "list", "--format", "json").json["entries"]
    sh.configure(FIELDS.replace('"MarkMail_Company__c"', '"Nowhere__c"'))
    for words in ("sync", "plan", "verify", "rejects retry", "links unlink 2"):
        assert sh.run(*words.split()).code == 2, words
    assert sh.run("connect", "--test").code == 0
    sh.configure()
    assert "the mapping is the one of the last sync" in sh.run("mapping", "preview").out
    after = sh.run("audit", "list", "--format", "json").json["entries"]
    assert [one for one in after if one not in before and one["action"] == "mapping.changed"] == []


def test_a_faulty_mapping_of_a_new_integration_is_not_stored(sh: Shell) -> None:
    sh.configure(FIELDS.replace('"MarkMail_Company__c"', '"Nowhere__c"'))
    assert sh.run("sync").code == 2
    assert sh.run("status", "--format", "json").json["integrations"] == {}
    sh.configure()
    assert sh.run("sync").code == 0


def test_a_plan_under_a_changed_mapping_leaves_the_stored_one(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    sh.configure(FIELDS.replace('phone = { crm_field = "Phone", field_type = "phone" }', 'phone = "MobilePhone"'))
    assert sh.run("plan", "--format", "json").json["plans"][0]["writes"] == 4
    changes = sh.run("mapping", "preview", "--format", "json").json["previews"][0]["changes"]
    assert {one["field"] for one in changes} == {"phone = Phone", "phone = MobilePhone"}
    before = sh.emulator.org.api_calls
    assert sh.run("sync").code == 0
    used = sh.emulator.org.api_calls - before
    assert sh.run("sync").code == 0
    assert sh.emulator.org.api_calls - before - used < used, "a mapping is checked once"
    assert "the mapping is the one of the last sync" in sh.run("mapping", "preview").out
