"""References to records of another synced object: each side holds its own id of the same record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crmsync.models.mappings import FieldMapping, MatchKeys, ObjectMapping, two_way
from crmsync.models.records import Unlinked
from crmsync.models.runs import RunStatus
from crmsync.models.schema import FieldType
from crmsync.testing.world import FakeClock, World, world

pytestmark = pytest.mark.anyio

NO_MATCH = MatchKeys(local_email="", remote_email="")
CAMPAIGNS = ObjectMapping(local_object="campaigns", fields=(two_way("name", "Name"),), match=NO_MATCH)
LIST_ID = FieldMapping(
    markmail_field="list_id", crm_field="CampaignId", field_type=FieldType.REFERENCE, references="Campaign"
)
MEMBERS = ObjectMapping(local_object="members", fields=(two_way("email", "Email"), LIST_ID), match=NO_MATCH)


@asynccontextmanager
async def two_objects() -> AsyncIterator[tuple[World, World]]:
    """Campaigns and their members, of one integration."""
    clock = FakeClock()
    async with (
        world(CAMPAIGNS, clock=clock, remote={"id_prefix": "701"}) as campaigns,
        world(MEMBERS, clock=clock, repository=campaigns.repository, remote={"id_prefix": "00v"}) as members,
    ):
        campaigns.entity_type, members.entity_type = "Campaign", "CampaignMember"
        yield campaigns, members


def ids_by_name(found: World) -> dict[str, str]:
    """The CRM's ids by what the first mapped field holds."""
    name = found.mapping.fields[0].crm_field
    return {str(fields[name]): record_id for record_id, fields in found.remote.snapshot().items()}


async def test_each_side_holds_its_own_id_of_the_record() -> None:
    async with two_objects() as (campaigns, members):
        campaigns.local.add(id="spring", name="Spring")
        crm_id = campaigns.remote.add(Name="Autumn")
        await campaigns.sync()
        spring = ids_by_name(campaigns)["Spring"]
        [autumn] = (each for each, fields in campaigns.local.snapshot().items() if fields["name"] == "Autumn")

        members.local.add(id="m1", email="ada@example.org", list_id="spring")
        members.remote.add(Email="grace@example.org", CampaignId=crm_id)
        report = await members.sync()

        assert report.status is RunStatus.SUCCESS
        assert {each["Email"]: each["CampaignId"] for each in members.remote.snapshot().values()} == {
            "ada@example.org": spring,
            "grace@example.org": crm_id,
        }
        assert {each["email"]: each["list_id"] for each in members.local.snapshot().values()} == {
            "ada@example.org": "spring",
            "grace@example.org": autumn,
        }
        assert (await members.plan()).records == ()


async def test_a_change_of_the_reference_flows_both_ways() -> None:
    async with two_objects() as (campaigns, members):
        for name in ("spring", "summer"):
            campaigns.local.add(id=name, name=name)
        members.local.add(id="m1", email="ada@example.org", list_id="spring")
        await campaigns.sync()
        await members.sync()
        ids = ids_by_name(campaigns)
        [member] = members.remote.snapshot()

        members.remote.edit(member, CampaignId=ids["summer"])
        await members.sync()
        assert members.local.snapshot()["m1"]["list_id"] == "summer"

        members.clock.tick()
        members.local.edit("m1", list_id="spring")
        await members.sync()
        assert members.remote.snapshot()[member]["CampaignId"] == ids["spring"]

        members.local.edit("m1", list_id=None)
        await members.sync()
        assert members.remote.snapshot()[member]["CampaignId"] is None


async def test_a_reference_waits_until_its_record_is_linked() -> None:
    async with two_objects() as (campaigns, members):
        members.local.add(id="m1", email="ada@example.org", list_id="spring")
        first = await members.sync()
        [member] = members.remote.snapshot()
        assert first.status is RunStatus.PARTIAL
        assert members.remote.snapshot()[member].get("CampaignId") is None
        assert [(each.field, each.code) for each in first.problems] == [("list_id", "invalid")]
        assert "not linked yet" in first.problems[0].message

        campaigns.local.add(id="spring", name="Spring")
        await campaigns.sync()
        assert (await members.sync()).status is RunStatus.SUCCESS
        [campaign] = campaigns.remote.snapshot()
        assert members.remote.snapshot()[member]["CampaignId"] == campaign


async def test_a_crm_reference_waits_too_and_nothing_foreign_is_written() -> None:
    async with two_objects() as (campaigns, members):
        stray = campaigns.remote.add(Name="Spring")
        members.remote.add(Email="ada@example.org", CampaignId=stray)
        assert (await members.sync()).status is RunStatus.PARTIAL
        [member] = members.local.snapshot()
        assert members.local.snapshot()[member].get("list_id") is None
        await campaigns.sync()
        assert (await members.sync()).status is RunStatus.SUCCESS
        [campaign] = campaigns.local.snapshot()
        assert members.local.snapshot()[member]["list_id"] == campaign


async def test_a_merged_campaign_takes_its_members_along() -> None:
    async with two_objects() as (campaigns, members):
        campaigns.local.add(id="spring", name="Spring")
        members.local.add(id="m1", email="ada@example.org", list_id="spring")
        await campaigns.sync()
        await members.sync()
        survivor = campaigns.remote.add(Name="Spring and summer")
        campaigns.remote.remove(ids_by_name(campaigns)["Spring"], merged_into=survivor)
        await campaigns.sync()
        await members.sync(full=True)
        [member] = members.remote.snapshot().values()
        assert member["CampaignId"] == survivor
        assert members.local.snapshot()["m1"]["list_id"] == "spring"


def test_an_unlinked_id_is_compared_like_any_and_never_converted() -> None:
    assert Unlinked("spring") == "spring"
