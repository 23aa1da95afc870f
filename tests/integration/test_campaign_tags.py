"""Tags as membership of campaigns, both ways, through the engine and over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from pydantic import SecretStr

from crmsync.errors import BudgetExceededError
from crmsync.models.mappings import ObjectMapping, OnLoss, two_way
from crmsync.models.runs import RunOptions, RunReport
from crmsync.models.schema import FieldType
from crmsync.protocols.conversion import elements_of
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg, running_emulator

pytestmark = pytest.mark.anyio

CAMPAIGNS = {"news": "Newsletter", "vip": "VIP customers"}


def mapping(**options: Any) -> ObjectMapping:
    return ObjectMapping(
        fields=(
            two_way("email", "Email", field_type=FieldType.EMAIL),
            two_way("last_name", "LastName", required=True),
            two_way("tags", "CampaignTags", field_type=FieldType.TAGS, **options),
        )
    )


@attrs.define
class Sides:
    """People on both sides, by number."""

    app: CRMSync
    org: SalesforceOrg
    local: MemoryRecordStore

    async def sync(self, **options: Any) -> RunReport:
        return await self.app.sync("main", "Contact", self.local, options=RunOptions(**options))

    def add(self, number: int, *tags: str) -> None:
        self.local.add(email=f"p{number}@example.com", last_name=f"P{number}", tags=tags)

    def tag(self, number: int, *tags: str) -> None:
        [found] = [key for key, row in self.local.snapshot().items() if row["last_name"] == f"P{number}"]
        self.local.edit(found, tags=tags)

    def join(self, number: int, tag: str) -> None:
        [contact] = [row["Id"] for row in self.org.records("Contact") if row["LastName"] == f"P{number}"]
        [campaign] = [row["Id"] for row in self.org.records("Campaign") if row["Name"] == CAMPAIGNS[tag]]
        self.org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact})

    def leave(self, number: int, tag: str) -> None:
        names = {row["Id"]: row["Name"] for row in self.org.records("Campaign")}
        [member] = [
            row["Id"]
            for row in self.org.records("CampaignMember")
            if (row["LastName"], names[row["CampaignId"]]) == (f"P{number}", CAMPAIGNS[tag])
        ]
        self.org.delete("CampaignMember", member)

    @property
    def here(self) -> dict[str, set[str]]:
        return {
            str(row["last_name"]): set(map(str, elements_of(row.get("tags")))) for row in self.local.snapshot().values()
        }

    @property
    def there(self) -> dict[str, set[str]]:
        names = {row["Id"]: row["Name"] for row in self.org.records("Campaign")}
        tags = {name: tag for tag, name in CAMPAIGNS.items()}
        found: dict[str, set[str]] = {row["LastName"]: set() for row in self.org.records("Contact")}
        for row in self.org.records("CampaignMember"):
            found[row["LastName"]].add(tags[names[row["CampaignId"]]])
        return found


@asynccontextmanager
async def sides(**options: Any) -> AsyncIterator[Sides]:
    with running_emulator() as emulator:
        for name in CAMPAIGNS.values():
            emulator.org.create("Campaign", {"Name": name})
        settings = {
            "instance_url": emulator.url,
            "allow_insecure_loopback": True,
            "safety_seconds": 0,
            "campaigns": {"tags": CAMPAIGNS},
        }
        async with CRMSync.open("memory://", vault=Vault.from_key(Vault.generate_key())) as app:
            credentials = {"access_token": SecretStr(DEFAULT_TOKEN)}
            await app.add_integration(
                "main",
                provider="salesforce",
                settings=settings,
                credentials=credentials,
                mappings={"Contact": mapping(**options)},
            )
            yield Sides(app, emulator.org, MemoryRecordStore("subscribers"))


async def test_tags_are_added_and_taken_away_on_both_sides() -> None:
    async with sides() as it:
        it.add(1, "news")
        it.add(2)
        it.org.create("Contact", {"LastName": "P3", "Email": "p3@example.com"})
        it.join(3, "vip")
        await it.sync()
        assert it.here == it.there == {"P1": {"news"}, "P2": set(), "P3": {"vip"}}
        assert (await it.sync()).written == 0

        it.tag(1, "vip")
        it.join(2, "news")
        it.leave(3, "vip")
        await it.sync()
        assert it.here == it.there == {"P1": {"vip"}, "P2": {"news"}, "P3": set()}

        it.tag(2, "news", "vip")
        it.join(1, "news")
        await it.sync()
        assert it.here == it.there == {"P1": {"news", "vip"}, "P2": {"news", "vip"}, "P3": set()}
        for _ in range(2):
            report = await it.sync()
            assert (report.written, report.problems) == (0, ())
        assert (await it.sync(full=True)).written == 0


async def test_a_tag_without_a_campaign_is_rejected_by_name_or_left_alone_as_the_mapping_says() -> None:
    async with sides() as it:
        it.add(1, "news", "other")
        report = await it.sync()
        [problem] = report.problems
        assert (problem.field, problem.message) == ("tags", "the field has no option 'other'")
        assert it.there == {"P1": set()}
    async with sides(on_loss=OnLoss.ACCEPT) as it:
        it.add(1, "news", "other")
        assert (await it.sync()).problems == ()
        assert (it.here, it.there) == ({"P1": {"news", "other"}}, {"P1": {"news"}})
        it.join(1, "vip")
        await it.sync()
        assert (it.here, it.there) == ({"P1": {"news", "other", "vip"}}, {"P1": {"news", "vip"}})
        assert (await it.sync()).written == 0


async def test_a_run_that_is_cut_short_anywhere_ends_like_one_that_is_not() -> None:
    async with sides() as it:
        for number in range(30):
            it.add(number, *(("news", "vip") if number % 3 else ("vip",)))
        for calls in range(4, 30, 2):
            with contextlib.suppress(BudgetExceededError):
                await it.sync(max_calls=calls)
        await it.sync()
        assert it.here == it.there
        assert it.there["P0"] == {"vip"}
        assert len(it.org.records("CampaignMember")) == 50
        assert (await it.sync()).written == 0


async def test_a_plan_says_in_advance_how_many_calls_it_takes_at_most() -> None:
    async with sides() as it:
        for number in range(20):
            it.add(number, "news", "vip")
        plan = await it.app.plan("main", "Contact", it.local)
        assert plan.calls is not None
        before = it.org.api_calls
        await it.app.apply(plan, it.local)
        assert it.org.api_calls - before <= plan.calls.most
        assert it.here == it.there
