"""People's rights, against an org over HTTP: what is held about one, and erasing one with all that refers to them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from crmsync.errors import ConfigurationError
from crmsync.models.erasure import Person
from crmsync.models.mappings import MatchKeys, ObjectMapping, two_way
from crmsync.models.schema import FieldType
from crmsync.protocols.records import RecordStore
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, RunningEmulator, custom_field, running_emulator

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def synced(emulator: RunningEmulator) -> AsyncIterator[tuple[CRMSync, dict[str, RecordStore]]]:
    """Ann and Bob, linked, both members of a campaign in the CRM."""
    org = emulator.org
    people, campaigns, members = (MemoryRecordStore(name) for name in ("subscribers", "campaigns", "members"))
    people.add(email="ann@example.org", first_name="Ann", last_name="Alm")
    people.add(email="bob@example.org", first_name="Bob", last_name="Berg")
    spring = org.create("Campaign", {"Name": "Spring"})
    settings = {"instance_url": emulator.url, "allow_insecure_loopback": True, "safety_seconds": 0}
    async with CRMSync.open("memory://", vault=Vault.from_key(Vault.generate_key())) as app:
        credentials = {"access_token": SecretStr(DEFAULT_TOKEN)}
        await app.add_integration(
            "main",
            provider="salesforce",
            settings=settings,
            credentials=credentials,
        )
        sides: dict[str, RecordStore] = {"Contact": people, "Campaign": campaigns, "CampaignMember": members}
        await app.sync("main", "Contact", people)
        for contact in org.records("Contact"):
            org.create("CampaignMember", {"CampaignId": spring, "ContactId": contact["Id"]})
        for name in ("Campaign", "CampaignMember"):
            await app.sync("main", name, sides[name])
        yield app, sides


def emails(emulator: RunningEmulator) -> set[str]:
    return {row["Email"] for row in emulator.org.records("Contact")}


async def test_everything_held_about_a_person_is_told_as_json(emulator: RunningEmulator) -> None:
    async with synced(emulator) as (app, sides):
        data = await app.personal_data("main", sides, Person(emails=frozenset({"Ann@example.org"})))
        told = json.loads(data.model_dump_json())
        by_object = {one["entity_type"]: one for one in told["objects"]}
        contact = by_object["Contact"]
        assert {record["side"] for record in contact["records"]} == {"local", "remote"}
        assert {record["fields"].get("FirstName", "Ann") for record in contact["records"]} == {"Ann"}
        assert len(contact["links"]) == 1
        assert [record["side"] for record in by_object["CampaignMember"]["records"]].count("remote") == 1
        assert by_object["Campaign"]["records"] == []
        assert "bob@" not in json.dumps(told)


async def test_a_person_goes_with_their_memberships_and_does_not_come_back(emulator: RunningEmulator) -> None:
    async with synced(emulator) as (app, sides):
        report = await app.erase_person("main", sides, Person(emails=frozenset({"ann@example.org"})), by="the DPO")
        assert report.complete
        assert "ann@" not in report.model_dump_json()
        assert [one.entity_type for one in report.objects][-1] == "Contact"
        assert emails(emulator) == {"bob@example.org"}
        assert len(emulator.org.records("CampaignMember")) == 1
        emulator.org.create("Contact", {"Email": "ann@example.org", "LastName": "Alm"})
        again = await app.sync("main", "Contact", sides["Contact"])
        assert (again.written, again.remote.erased) == (0, 1)
        assert (await app.sync("main", "CampaignMember", sides["CampaignMember"])).written == 0
        assert await app.allow_again("main", Person(emails=frozenset({"ann@example.org"}))) == 1
        people = sides["Contact"]
        assert isinstance(people, MemoryRecordStore)
        assert len(people.snapshot()) == 1


async def test_an_erasure_can_leave_the_sides_and_needs_all_local_ones(emulator: RunningEmulator) -> None:
    async with synced(emulator) as (app, sides):
        ann = Person(emails=frozenset({"ann@example.org"}))
        with pytest.raises(ConfigurationError, match="CampaignMember"):
            await app.erase_person("main", {"Contact": sides["Contact"], "Campaign": sides["Campaign"]}, ann)
        await app.pause("main")
        report = await app.erase_person("main", sides, ann, sides=())
        assert [record for one in report.objects for record in one.records] == []
        assert emails(emulator) == {"ann@example.org", "bob@example.org"}
        (link,) = await app.links("main", "Contact")
        assert link.markmail_id


async def test_the_audit_log_says_whose_consent_was_changed_by_a_mark_alone(emulator: RunningEmulator) -> None:
    async with synced(emulator) as (app, sides):
        ann = next(row["Id"] for row in emulator.org.records("Contact") if row["Email"] == "ann@example.org")
        emulator.org.update("Contact", ann, {"HasOptedOutOfEmail": True})
        await app.sync("main", "Contact", sides["Contact"])
        (entry,) = await app.audit_log("main", action="consents.changed")
        (change,) = entry.event.details["changes"]
        assert (change["side"], change["to"]) == ("local", "opted out")
        (link,) = [one for one in await app.links("main", "Contact") if one.crm_id == ann]
        assert link.markmail_id not in str(entry.event.details)
        assert (await app.verify_audit()).ok


async def test_what_has_a_name_of_its_own_stays_when_the_person_goes_whom_it_names() -> None:
    """A campaign with a look-up to its speaker, and another one of the same name."""
    speaker = custom_field("Speaker__c", "Speaker", "reference", references=("Contact",), relationship="Speaker__r")
    with running_emulator(custom_fields={"Campaign": [speaker]}) as emulator:
        async with synced(emulator) as (app, sides):
            org = emulator.org
            ann = next(row["Id"] for row in org.records("Contact") if row["Email"] == "ann@example.org")
            org.update("Campaign", org.records("Campaign")[0]["Id"], {"Speaker__c": ann})
            mapping = ObjectMapping(
                local_object="campaigns",
                fields=(two_way("name", "Name"), two_way("speaker", "Speaker__c", field_type=FieldType.REFERENCE)),
                match=MatchKeys(local_email="name", remote_email="Name"),
            )
            await app.change_mapping("main", "Campaign", mapping)
            report = await app.erase_person("main", sides, Person(emails=frozenset({"ann@example.org"})))
            assert report.complete
            assert emails(emulator) == {"bob@example.org"}
            assert [row["Name"] for row in org.records("Campaign")] == ["Spring"]


async def test_it_is_told_where_each_field_s_values_can_be(emulator: RunningEmulator) -> None:
    async with synced(emulator) as (app, _):
        places = {(one.entity_type, one.crm_field): one for one in await app.data_map("main")}
        assert places["Contact", "Email"].conflict_days == 90
        assert places["Contact", "Email"].history_days == 0
        assert not places["Contact", "Email"].sensitive
