"""The history, undo, conflicts and verification of campaigns, members and activities: by the same engine as people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.shell import Shell, shell

CONFIG = """
[locals.campaigns]
type = "csv"
path = "campaigns.csv"

[locals.list_members]
type = "csv"
path = "members.csv"

[locals.activities]
type = "csv"
path = "activities.csv"

[integrations.objects.Campaign]
history_days = 30
policy = "manual"
[integrations.objects.Campaign.match]
local_email = ""
remote_email = ""
[integrations.objects.Campaign.fields]
name = { crm_field = "Name", required = true }
status = "Status"

[integrations.objects.CampaignMember]
history_days = 30
policy = "manual"
[integrations.objects.CampaignMember.match]
local_email = ""
remote_email = ""
[integrations.objects.CampaignMember.fields]
crm_campaign_id = { crm_field = "CampaignId", required = true }
crm_contact_id = "ContactId"
status = "Status"

[integrations.objects.EmailActivity]
history_days = 30
[integrations.objects.EmailActivity.match]
local_email = ""
remote_email = ""
[integrations.objects.EmailActivity.fields]
type = { crm_field = "type", sync_direction = "to_crm", required = true }
email = { crm_field = "email", sync_direction = "to_crm", required = true }
occurred_at = { crm_field = "occurred_at", field_type = "datetime", sync_direction = "to_crm", required = true }
message_id = { crm_field = "message_id", sync_direction = "to_crm" }
subject = { crm_field = "subject", sync_direction = "to_crm" }
"""


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    """A campaign of ours with a member of ours, and an e-mail that was sent and opened."""
    with shell(tmp_path) as made:
        org = made.emulator.org
        campaign = org.create("Campaign", {"Name": "Spring"})
        ada = org.create("Contact", {"LastName": "Ada", "Email": "ada@example.org"})
        files = {
            "campaigns.csv": "id,name,status\nc1,Ours,Planned\n",
            "members.csv": f"id,crm_campaign_id,crm_contact_id,status\nm1,{campaign},{ada},Sent\n",
            "activities.csv": "id,type,email,occurred_at,message_id,subject\n"
            "000001,sent,ada@example.org,2026-03-01T12:00:00+00:00,m-1,Hello\n"
            "000002,opened,ada@example.org,2026-03-01T12:05:00+00:00,m-1,Hello\n",
        }
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        path = tmp_path / "crmsync.toml"
        path.write_text(path.read_text("utf-8") + CONFIG, encoding="utf-8")
        done = made.run("sync")
        assert done.code == 0, done.out + done.err
        yield made


def replace(sh: Shell, name: str, old: str, new: str) -> None:
    path = sh.directory / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def synced(sh: Shell, name: str) -> dict[str, Any]:
    run: dict[str, Any] = sh.run("sync", "--object", name, "--format", "json").json["runs"][0]
    return run


def status_in_crm(sh: Shell, name: str, crm_id: str) -> object:
    record = sh.emulator.org.get(name, crm_id)
    assert record is not None
    return record["Status"]


@pytest.mark.parametrize(
    "name, file, ours, before, after",
    [
        ("Campaign", "campaigns.csv", "c1", "Planned", "In Progress"),
        ("CampaignMember", "members.csv", "m1", "Sent", "Responded"),
    ],
)
def test_a_run_is_shown_taken_back_verified_and_its_conflict_decided(
    sh: Shell, name: str, file: str, ours: str, before: str, after: str
) -> None:
    replace(sh, file, before, after)
    run = synced(sh, name)
    [change] = sh.run("history", ours, "--object", name, "--run", run["run_id"], "--format", "json").json["changes"]
    [field] = change["fields"]
    assert (field["field"], field["before"], field["after"]) == ("Status", before, after)
    assert sh.run("undo", run["run_id"], "--object", name).code == 0
    crm_id = change["crm_id"]
    assert status_in_crm(sh, name, crm_id) == before
    assert synced(sh, name)["written"] == 0

    verified = sh.run("verify", "--object", name, "--format", "json")
    assert (verified.code, verified.json["verifications"][0]["consistent"]) == (3, False)
    replace(sh, file, after, before)
    sh.emulator.org.update(name, crm_id, {"Status": after})
    assert "1 conflict(s) waiting: see `crmsync conflicts list`" in sh.run("sync", "--object", name).out
    [conflict] = sh.run("conflicts", "list", "--format", "json").json["conflicts"]
    shown = (conflict["entity_type"], conflict["crm_field"], conflict["local_value"], conflict["remote_value"])
    assert shown == (name, "Status", before, after)
    assert sh.run("conflicts", "resolve", "--object", name, "--winner", "local", "--all").code == 0
    synced(sh, name)
    assert status_in_crm(sh, name, crm_id) == before


def test_an_activity_cannot_be_taken_back_and_it_is_said_why(sh: Shell) -> None:
    """The events of one message and person are one task, which shows none of them by itself."""
    org = sh.emulator.org
    with (sh.directory / "activities.csv").open("a", encoding="utf-8") as file:
        file.write("000003,opened,ada@example.org,2026-03-01T12:09:00+00:00,m-1,Hello\n")
    run = synced(sh, "EmailActivity")
    [change] = sh.run("history", "000003", "--object", "EmailActivity", "--format", "json").json["changes"]
    assert {one["field"]: one["after"] for one in change["fields"]}["subject"] == "Hello"
    [task] = org.records("Task")
    done = sh.run("undo", run["run_id"], "--object", "EmailActivity")
    assert (done.code, done.out.count("[not_readable]")) == (3, 1)
    assert f"0 write(s) of run {run['run_id']} are taken back" in done.out
    assert "is taken back" not in done.out
    assert org.records("Task") == [task]
    assert synced(sh, "EmailActivity")["written"] == 0
