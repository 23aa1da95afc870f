"""People, campaigns, members and e-mail events by the command line, each from a file of its own."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.shell import FIELDS, PEOPLE, Done, Shell, shell

CAMPAIGNS = """id,name,status,sent
c1,Spring,Planned,4
c2,Summer,Planned,
"""

ACTIVITIES = """id,type,email,occurred_at,message_id,subject
000001,sent,luisg@example.org,2026-03-01T12:00:00+00:00,m-1,Hello
000002,sent,leonie@example.org,2026-03-01T12:00:00+00:00,m-1,Hello
000003,opened,luisg@example.org,2026-03-01T12:05:00+00:00,m-1,Hello
000004,opened,luisg@example.org,2026-03-01T12:09:00+00:00,m-1,Hello
000005,sent,late@example.org,2026-03-01T12:00:00+00:00,m-1,Hello
"""

SIDES = """
[locals.campaigns]
type = "csv"
path = "campaigns.csv"

[locals.activities]
type = "csv"
path = "activities.csv"
"""


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        (tmp_path / "campaigns.csv").write_text(CAMPAIGNS, encoding="utf-8")
        (tmp_path / "activities.csv").write_text(ACTIVITIES, encoding="utf-8")
        yield made


def configure(sh: Shell, sides: str = SIDES) -> None:
    """Add local sides to the configuration of people."""
    path = sh.directory / "crmsync.toml"
    path.write_text(path.read_text("utf-8") + sides, encoding="utf-8")


def runs(done: Done) -> dict[str, Any]:
    """Each object's run, in their order."""
    return {run["entity_type"]: run for run in done.json["runs"]}


def sync(sh: Shell, *arguments: str) -> dict[str, Any]:
    done = sh.run("sync", "--format", "json", *arguments)
    assert done.code in (0, 3), done.err
    return runs(done)


def append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def test_every_object_is_synced_with_its_own_file_and_parents_come_first(sh: Shell) -> None:
    configure(sh)
    org = sh.emulator.org
    org.create("Campaign", {"Name": "Theirs", "Status": "Planned"})
    planned = sh.run("plan", "--format", "json").json["plans"]
    assert [(plan["entity_type"], plan["report"]["remote"]["created"]) for plan in planned] == [
        ("Contact", 4),
        ("Campaign", 2),
        ("EmailActivity", 5),
    ]
    first = sync(sh)
    assert list(first) == ["Contact", "Campaign", "EmailActivity"]
    assert {name: (run["status"], run["remote"]["created"]) for name, run in first.items()} == {
        "Contact": ("success", 4),
        "Campaign": ("success", 2),
        "EmailActivity": ("partial", 4),
    }
    with (sh.directory / "campaigns.csv").open(encoding="utf-8") as file:
        assert sorted(row["name"] for row in csv.DictReader(file)) == ["Spring", "Summer", "Theirs"]
    assert sorted(task["Description"].splitlines()[-1] for task in org.records("Task")) == [
        "E-mail opened: 2, last 2026-03-01T12:09:00+00:00",
        "E-mail sent: 1, last 2026-03-01T12:00:00+00:00",
    ]
    # The CRM's own counts of a new campaign's members come with the next run.
    assert [run["remote"]["written"] for run in sync(sh).values()] == [0, 0, 0]
    assert [run["written"] for run in sync(sh).values()] == [0, 0, 0]
    assert {spring["NumberSent"] for spring in org.records("Campaign") if spring["Name"] == "Spring"} == {4}


def test_an_event_of_somebody_new_waits_for_the_person(sh: Shell) -> None:
    configure(sh)
    sync(sh)
    [reject] = sh.run("rejects", "list", "--format", "json").json["rejects"]
    assert (reject["entity_type"], reject["markmail_id"]) == ("EmailActivity", "000005")
    assert "see that the record it is about is there" in reject["reasons"][0]["remedy"]
    append(sh.directory / "people.csv", "5,late@example.org,Late,Comer,,")
    runs_ = sync(sh)
    assert (runs_["Contact"]["remote"]["created"], runs_["EmailActivity"]["status"]) == (1, "success")
    status = sh.run("status", "--format", "json").json["integrations"]["acme"]
    assert {one["entity_type"]: one["synced"] for one in status} == {"Campaign": 2, "Contact": 5, "EmailActivity": 5}
    done = sh.run("verify", "--format", "json")
    found = [(one["entity_type"], one["consistent"], one["pairs"]) for one in done.json["verifications"]]
    assert (done.code, found) == (0, [("Contact", True, 5), ("Campaign", True, 2), ("EmailActivity", True, 5)])
    previews = sh.run("mapping", "preview", "--format", "json").json["previews"]
    assert [one["object"] for one in previews] == ["Contact"]


def test_one_object_is_chosen_and_rejects_are_retried_from_its_own_file(sh: Shell) -> None:
    configure(sh)
    assert list(sync(sh, "--object", "EmailActivity")) == ["EmailActivity"]
    assert sh.contacts() == []
    sync(sh, "--object", "Contact")
    done = sh.run("rejects", "retry", "--format", "json")
    assert {name: run["remote"]["created"] for name, run in runs(done).items()}["EmailActivity"] == 4


def test_members_come_with_a_mapping_and_a_file_of_their_own(sh: Shell) -> None:
    org = sh.emulator.org
    campaign = org.create("Campaign", {"Name": "Spring"})
    ada = org.create("Contact", {"LastName": "Ada", "Email": "ada@example.org"})
    (sh.directory / "members.csv").write_text(
        f"id,crm_campaign_id,crm_contact_id,status,contact_email\nm1,{campaign},{ada},Sent,\n", encoding="utf-8"
    )
    configure(
        sh,
        """
[locals.list_members]
type = "csv"
path = "members.csv"

[integrations.objects.CampaignMember.match]
local_email = ""
remote_email = ""

[integrations.objects.CampaignMember.fields]
crm_campaign_id = { crm_field = "CampaignId", required = true }
crm_contact_id = "ContactId"
status = "Status"
contact_email = { crm_field = "Contact.Email", sync_direction = "from_crm" }
""",
    )
    assert list(sync(sh)) == ["Contact", "CampaignMember"]
    [member] = org.records("CampaignMember")
    org.update("CampaignMember", member["Id"], {"Status": "Responded"})
    sync(sh)
    with (sh.directory / "members.csv").open(encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    assert (row["status"], row["contact_email"]) == ("Responded", "ada@example.org")


def test_a_missing_local_side_is_said_before_anything_is_synced(sh: Shell) -> None:
    configure(sh, SIDES + '[integrations.objects.CampaignMember.fields]\nstatus = "Status"\n')
    done = sh.run("sync")
    assert done.code == 2
    assert "no local side for acme CampaignMember: add [locals.list_members]" in done.err
    assert sh.contacts() == []
    assert sh.run("sync", "--object", "Contact").code == 0


def test_a_local_side_that_is_there_for_nothing_is_said(sh: Shell) -> None:
    configure(sh, SIDES.replace("[locals.campaigns]", "[locals.campaings]"))
    done = sh.run("sync")
    assert done.code == 2
    assert "locals.campaings: no object is mapped to this local object (did you mean campaigns?)" in done.err


def test_faults_of_a_local_side_are_told_with_its_path(sh: Shell) -> None:
    configure(sh, SIDES.replace('path = "activities.csv"', 'file = "activities.csv"'))
    done = sh.run("sync")
    assert done.code == 2
    assert "locals.activities.file: is not an option of this type" in done.err
    assert "locals.activities.path: is missing" in done.err
    configure(sh, '[locals.subscribers]\ntype = "csv"\npath = "people.csv"\n')
    assert "local and locals.subscribers are the same side" in sh.run("sync").err


def test_a_file_that_maps_nothing_syncs_each_side_with_one_object(sh: Shell) -> None:
    path = sh.directory / "crmsync.toml"
    before = path.read_text("utf-8")
    path.write_text(before[: before.index("[integrations.objects.Contact.match]")] + SIDES, encoding="utf-8")
    assert {name: run["remote"]["created"] for name, run in sync(sh).items()} == {
        "Contact": 4,
        "Campaign": 2,
        "EmailActivity": 4,
    }


def test_a_files_only_side_is_that_of_all_it_maps(sh: Shell) -> None:
    (sh.directory / "people.csv").write_text("id,name\nc1,Spring\n", encoding="utf-8")
    path = sh.directory / "crmsync.toml"
    before = path.read_text("utf-8")
    start = before.index("[integrations.objects.Contact.match]")
    mapping = '[integrations.objects.Campaign]\nmatch = { local_email = "name", remote_email = "Name" }\n'
    path.write_text(f'{before[:start]}{mapping}[integrations.objects.Campaign.fields]\nname = "Name"\n', "utf-8")
    assert sync(sh)["Campaign"]["remote"]["created"] == 1
    path.write_text(before.replace("[local]", "[locals.leads]"), encoding="utf-8")
    assert "add [local], or name another local_object in its mapping (there are: leads)" in sh.run("sync").err


STOPPED_AND_HELD = (
    "stopped by a guard: acme Contact; not run, since they build on what was stopped: acme EmailActivity;"
    " whatever else was selected was run"
)


def test_a_stopped_object_stops_only_what_builds_on_it(sh: Shell) -> None:
    configure(sh)
    path = sh.directory / "crmsync.toml"
    guarded = '[integrations.objects.Contact]\ndelete_in_crm = "propagate"\ndelete_guard_count = 1\n'
    match = "[integrations.objects.Contact.match]"
    path.write_text(path.read_text("utf-8").replace(match, guarded + match), encoding="utf-8")
    sync(sh)
    (sh.directory / "people.csv").write_text("\n".join(PEOPLE.splitlines()[:2]) + "\n", encoding="utf-8")
    append(sh.directory / "campaigns.csv", "c3,Autumn,Planned,")
    repair = sh.run("verify", "--repair", "--format", "json")
    verified = [(one["entity_type"], one["counts"]) for one in repair.json["verifications"]]
    assert (repair.code, verified) == (4, [("Campaign", {"unlinked_local": 1})])
    assert [one["entity_type"] for one in repair.json["stopped"]] == ["Contact"]
    assert [one["entity_type"] for one in repair.json["held"]] == ["EmailActivity"]
    assert {each["Name"] for each in sh.emulator.org.records("Campaign")} == {"Spring", "Summer", "Autumn"}
    looked = sh.run("verify", "--format", "json")
    assert (looked.code, len(looked.json["verifications"])) == (3, 3), "a mere look is stopped by no guard"
    shown = sh.run("sync")
    assert (shown.code, len(sh.contacts())) == (4, 4)
    assert "error: acme Contact: " in shown.err
    assert STOPPED_AND_HELD in " ".join(shown.err.split())
    done = sh.run("sync", "--format", "json")
    assert (done.code, list(runs(done)), done.json["error"]["code"]) == (4, ["Campaign"], "delete_guard")
    assert [one["entity_type"] for one in done.json["stopped"]] == ["Contact"]
    assert done.json["held"] == [
        {"integration_id": "acme", "entity_type": "EmailActivity", "because_of": "Contact"},
    ]
    allowed = sh.run("sync", "--allow-deletes", "3", "--format", "json")
    assert list(runs(allowed)) == ["Contact", "Campaign", "EmailActivity"]
    assert "stopped" not in allowed.json


def test_every_stop_of_a_retry_is_told_and_so_is_that_of_a_plan(sh: Shell) -> None:
    """Each object's run has a budget of its own, which is too small for those that have anything to do."""
    configure(sh)
    people, campaigns = sh.directory / "people.csv", sh.directory / "campaigns.csv"
    append(people, f"5,late@example.org,Late,{'L' * 100},,")
    append(campaigns, f"c3,{'x' * 90},Planned,")
    assert [run["status"] for run in sync(sh).values()] == ["partial", "partial", "partial"]
    for path, long in ((people, "L" * 100), (campaigns, "x" * 90)):
        path.write_text(path.read_text("utf-8").replace(long, "Late"), encoding="utf-8")
    config = sh.directory / "crmsync.toml"
    unlimited = config.read_text("utf-8")
    config.write_text(unlimited.replace("[run]\n", "[run]\nmax_calls = 1\n"), encoding="utf-8")
    for command, waits in (["rejects", "retry"], ["EmailActivity"]), (["plan"], []):
        done = sh.run(*command, "--format", "json")
        assert [one["entity_type"] for one in done.json["stopped"]][:2] == ["Contact", "Campaign"]
        assert [one["entity_type"] for one in done.json["held"]] == waits
        assert (done.code, done.json["error"]["code"]) == (4, "budget_exceeded")
    config.write_text(unlimited, encoding="utf-8")
    retried = sh.run("rejects", "retry", "--format", "json")
    assert {name: run["remote"]["created"] for name, run in runs(retried).items()} == {
        "Contact": 1,
        "Campaign": 1,
        "EmailActivity": 1,
    }


def test_who_lets_accounts_be_made_without_a_key_is_warned_wherever_it_shows(sh: Shell) -> None:
    """By what is to be written, what was, and by the object itself; nobody who leaves accounts alone is."""
    said = 'warning: accounts = "create" without account_key_field'
    sh.configure(FIELDS.replace("MarkMail_Company__c", "Account.Name"))
    file = sh.directory / "crmsync.toml"
    file.write_text(
        file.read_text().replace("[integrations.credentials]", 'accounts = "create"\n[integrations.credentials]')
    )
    for command in ("fields", "sync"):
        done = sh.run(command)
        assert (done.code, done.out.count(said)) == (0, 1), done
    told = [
        sh.run("fields", "--format", "json").json["objects"][0]["warnings"],
        sh.run("sync", "--format", "json").json["runs"][0]["warnings"],
    ]
    assert [[(each["path"], each["code"]) for each in one] for one in told] == [
        [("account_key_field", "unkeyed_accounts")]
    ] * 2
    assert all("name it in account_key_field" in one[0]["remedy"] for one in told)
    sh.configure()
    assert sh.run("fields", "--format", "json").json["objects"][0]["warnings"] == []


def test_statuses_that_campaigns_lack_are_told_and_then_made(sh: Shell) -> None:
    org = sh.emulator.org
    campaign, ada = org.create("Campaign", {"Name": "Spring"}), org.create("Contact", {"LastName": "Ada"})
    rows = f"id,crm_campaign_id,crm_contact_id,status\nm1,{campaign},{ada},Clicked\n"
    (sh.directory / "members.csv").write_text(rows, encoding="utf-8")
    sh.configure()
    file = sh.directory / "crmsync.toml"
    bare = file.read_text(encoding="utf-8") + '[locals.list_members]\ntype = "csv"\npath = "members.csv"\n'
    making = bare.replace(
        "[integrations.credentials]", "campaigns.create_member_statuses = true\n[integrations.credentials]"
    )
    file.write_text(bare, encoding="utf-8")
    told = sh.run("plan", "--object", "CampaignMember", "--format", "json").json["plans"][0]["report"]["warnings"][-1]
    assert (told["path"], told["code"]) == ("campaigns.create_member_statuses", "lacks_member_statuses")
    file.write_text(making, encoding="utf-8")
    said = "warning: member statuses are created that campaigns lack: 'Clicked' in 1 campaign(s)"
    assert said in sh.run("plan", "--object", "CampaignMember").out
    sh.run("sync", "--object", "CampaignMember")
    assert [row["Status"] for row in org.records("CampaignMember")] == ["Clicked"]
