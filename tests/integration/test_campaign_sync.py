"""Campaigns and their members, both ways, through the engine and over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import pytest
from pydantic import SecretStr

from crmsync.models.runs import RunReport
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, RunningEmulator, SalesforceOrg, running_emulator

pytestmark = pytest.mark.anyio


@pytest.fixture
def emulator() -> Any:
    with running_emulator() as running:
        yield running


@asynccontextmanager
async def connected(emulator: RunningEmulator, **settings: Any) -> AsyncIterator[CRMSync]:
    given = {"instance_url": emulator.url, "allow_insecure_loopback": True, "safety_seconds": 0, **settings}
    async with CRMSync.open("memory://", vault=Vault.from_key(Vault.generate_key())) as app:
        credentials = {"access_token": SecretStr(DEFAULT_TOKEN)}
        await app.add_integration("main", provider="salesforce", settings=given, credentials=credentials)
        yield app


def written(report: RunReport) -> int:
    """What a run wrote, by its own count."""
    return report.written


def by_name(store: MemoryRecordStore, field: str) -> dict[object, dict[str, object]]:
    return {fields.get(field): dict(fields) for fields in store.snapshot().values()}


async def test_campaigns_flow_both_ways(emulator: RunningEmulator) -> None:
    org: SalesforceOrg = emulator.org
    local = MemoryRecordStore("campaigns")
    spring = local.add(name="Spring", status="Planned", start_date=date(2026, 3, 1), sent=10)
    shared = local.add(name="Both", status="Planned")
    theirs = org.create("Campaign", {"Name": "Both", "Status": "Planned"})
    org.create("Campaign", {"Name": "Theirs", "Status": "Planned"})
    async with connected(emulator) as app:
        await app.sync("main", "Campaign", local)
        rows = {row["Name"]: row for row in org.records("Campaign")}
        assert (rows["Spring"]["StartDate"], rows["Spring"]["NumberSent"]) == ("2026-03-01", 10)
        assert sorted(map(str, by_name(local, "name"))) == sorted(map(str, rows))
        assert len(rows) == 3
        assert theirs in {row["Id"] for row in rows.values()}
        local.edit(spring, status="Completed")
        org.update("Campaign", rows["Theirs"]["Id"], {"Status": "Aborted", "Description": "Off"})
        org.update("Campaign", theirs, {"Description": "Ours too"})
        await app.sync("main", "Campaign", local)
        states = {row["Name"]: row["Status"] for row in org.records("Campaign")}
        assert (states["Spring"], states["Theirs"]) == ("Completed", "Aborted")
        assert by_name(local, "name")["Theirs"]["status"] == "Aborted"
        assert local.snapshot()[shared]["description"] == "Ours too"
        await app.sync("main", "Campaign", local)
        assert written(await app.sync("main", "Campaign", local)) == 0


async def test_members_flow_both_ways_with_their_addresses(emulator: RunningEmulator) -> None:
    org: SalesforceOrg = emulator.org
    campaign = org.create("Campaign", {"Name": "Spring"})
    ada = org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com"})
    bob = org.create("Lead", {"LastName": "Bob", "Company": "Acme", "Email": "bob@example.com"})
    org.create("CampaignMember", {"CampaignId": campaign, "LeadId": bob})
    local = MemoryRecordStore("list_members")
    ours = local.add(crm_campaign_id=campaign, crm_contact_id=ada, status="Sent")
    async with connected(emulator) as app:
        await app.sync("main", "CampaignMember", local)
        members = {row["Email"]: row for row in org.records("CampaignMember")}
        assert set(members) == {"ada@example.com", "bob@example.com"}
        await app.sync("main", "CampaignMember", local)
        assert local.snapshot()[ours]["contact_email"] == "ada@example.com"
        assert by_name(local, "lead_email")["bob@example.com"]["campaign_name"] == "Spring"
        org.update("CampaignMember", members["bob@example.com"]["Id"], {"Status": "Responded"})
        local.edit(ours, status="Responded")
        await app.sync("main", "CampaignMember", local)
        assert by_name(local, "lead_email")["bob@example.com"]["responded"] is True
        assert {row["Status"] for row in org.records("CampaignMember")} == {"Responded"}
        # A copy of a person's value does not move the member's stamp, but the person's own stamp is followed.
        org.update("Contact", ada, {"Email": "ada@new.example"})
        await app.sync("main", "CampaignMember", local)
        assert local.snapshot()[ours]["contact_email"] == "ada@new.example"
        assert written(await app.sync("main", "CampaignMember", local)) == 0


async def test_statuses_are_read(emulator: RunningEmulator) -> None:
    emulator.org.create("Campaign", {"Name": "Spring"})
    local = MemoryRecordStore("list_member_statuses")
    async with connected(emulator) as app:
        await app.sync("main", "CampaignMemberStatus", local)
    assert {label: fields["responded"] for label, fields in by_name(local, "label").items()} == {
        "Sent": False,
        "Responded": True,
    }
