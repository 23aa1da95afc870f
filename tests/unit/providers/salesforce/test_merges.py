"""Asking a record who was merged into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.models.records import Record
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.records import SupportsMerges
from crmsync.providers.salesforce import SalesforceProvider, SalesforceProviderFactory
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.conftest import URL

pytestmark = pytest.mark.anyio

NEEDED = {"Account": {"Name": "Acme"}, "Contact": {"LastName": "Ada"}, "Lead": {"LastName": "Ada", "Company": "Acme"}}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def org(clock: FakeClock) -> SalesforceOrg:
    return SalesforceOrg(clock=clock.now)


@pytest.fixture
async def provider(org: SalesforceOrg, clock: FakeClock) -> AsyncIterator[SalesforceProvider]:
    token = {"access_token": SecretStr(DEFAULT_TOKEN)}
    context = ProviderContext(clock, RunBudget())
    async with SalesforceProviderFactory(InProcessTransport(org)).open({"instance_url": URL}, token, context) as opened:
        yield opened


async def folded(provider: SalesforceProvider, name: str, survivors: list[str]) -> dict[str, str | None]:
    """Who was folded into whom, by what the store of an object says of these records."""
    store = await provider.records(name)
    assert isinstance(store, SupportsMerges)
    return trail(await store.merged_into(survivors, fields=()))


def queries(org: SalesforceOrg) -> int:
    """How many calls looked into the recycle bin."""
    return sum(count for call, count in org.calls.items() if call.endswith("/queryAll"))


def trail(tombstones: Sequence[Record]) -> dict[str, str | None]:
    assert all(tombstone.deleted for tombstone in tombstones)
    return {tombstone.id: tombstone.merged_into for tombstone in tombstones}


@pytest.mark.parametrize("name", NEEDED)
async def test_the_losers_of_a_merge_are_found_by_their_survivor(
    provider: SalesforceProvider, org: SalesforceOrg, name: str
) -> None:
    kept, lost, also_lost, stranger = (org.create(name, NEEDED[name]) for _ in range(4))
    org.merge(name, kept, [lost, also_lost])
    org.delete(name, stranger)
    assert await folded(provider, name, [kept, stranger]) == {lost: kept, also_lost: kept}


async def test_what_was_merged_into_a_loser_before_is_found_too(
    provider: SalesforceProvider, org: SalesforceOrg
) -> None:
    first, second, third = (org.create("Contact", {"LastName": "Ada"}) for _ in range(3))
    org.merge("Contact", second, [first])
    org.merge("Contact", third, [second])
    assert await folded(provider, "Contact", [third]) == {second: third, first: second}


async def test_a_record_that_is_gone_says_into_whom_it_went(provider: SalesforceProvider, org: SalesforceOrg) -> None:
    first, second, third, deleted = (org.create("Contact", {"LastName": "Ada"}) for _ in range(4))
    org.merge("Contact", second, [first])
    org.merge("Contact", third, [second])
    org.delete("Contact", deleted)
    store = await provider.records("Contact")
    assert isinstance(store, SupportsMerges)
    assert trail(await store.merged_away([first, third, deleted], fields=())) == {first: second, second: third}


async def test_a_loser_says_what_it_held_last(provider: SalesforceProvider, org: SalesforceOrg) -> None:
    kept, lost = (org.create("Contact", {"LastName": name}) for name in ("Ada", "Byron"))
    org.merge("Contact", kept, [lost])
    store = await provider.records("Contact")
    assert isinstance(store, SupportsMerges)
    [asked] = await store.merged_into([kept], fields=["LastName", "Email"])
    assert asked.fields == {"LastName": "Byron", "Email": None}
    assert await store.merged_away([lost], fields=["LastName", "Email"]) == [asked]
    read = await store.changes(None, fields=["LastName", "Email"])
    assert [record.id for record in read.records] == [kept]


async def test_ids_are_recognised_in_their_short_form_and_others_ignored(
    provider: SalesforceProvider, org: SalesforceOrg
) -> None:
    kept, lost = (org.create("Contact", {"LastName": "Ada"}) for _ in range(2))
    org.merge("Contact", kept, [lost])
    assert await folded(provider, "Contact", [kept[:15], "nobody"]) == {lost: kept}


async def test_a_loser_that_was_brought_back_was_not_merged(provider: SalesforceProvider, org: SalesforceOrg) -> None:
    kept, lost = (org.create("Contact", {"LastName": "Ada"}) for _ in range(2))
    org.merge("Contact", kept, [lost])
    org.undelete("Contact", lost)
    assert await folded(provider, "Contact", [kept]) == {}


async def test_what_cannot_be_merged_is_not_asked_for(provider: SalesforceProvider, org: SalesforceOrg) -> None:
    campaign = org.create("Campaign", {"Name": "Spring"})
    assert await folded(provider, "Campaign", [campaign]) == {}
    assert queries(org) == 0


async def test_a_page_of_survivors_takes_few_calls(provider: SalesforceProvider, org: SalesforceOrg) -> None:
    kept, lost = (org.create("Contact", {"LastName": "Ada"}) for _ in range(2))
    org.merge("Contact", kept, [lost])
    ids = [f"0030000000{number:05d}AAA" for number in range(1999)]
    assert await folded(provider, "Contact", [*ids, kept]) == {lost: kept}
    assert 1 < queries(org) <= 6
