"""Reading changes from an org whose commits become visible late."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.records import RecordStore
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.conftest import URL

pytestmark = pytest.mark.anyio

LATE = 240
LOOK_BACK = 600


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def org(clock: FakeClock) -> SalesforceOrg:
    return SalesforceOrg(clock=clock.now)


@pytest.fixture
async def contacts(org: SalesforceOrg, clock: FakeClock) -> AsyncIterator[RecordStore]:
    context = ProviderContext(clock, RunBudget())
    settings = {"instance_url": URL, "look_back_seconds": LOOK_BACK}
    token = {"access_token": SecretStr(DEFAULT_TOKEN)}
    async with SalesforceProviderFactory(InProcessTransport(org)).open(settings, token, context) as provider:
        yield await provider.records("Contact")


async def changed(store: RecordStore, cursor: str | None) -> tuple[set[object], str | None]:
    """The last names of one whole pass, and the position after it."""
    page = await store.changes(cursor, fields=["LastName"])
    assert not page.has_more
    return {record.fields["LastName"] for record in page.records}, page.cursor


async def test_case_17_a_record_with_an_older_stamp_that_becomes_visible_late_is_not_missed(
    contacts: RecordStore, org: SalesforceOrg, clock: FakeClock
) -> None:
    """A transaction that takes minutes commits with the SystemModstamp of its save, behind what a pass has read."""
    org.create("Contact", {"LastName": "Early"})
    clock.tick(LOOK_BACK * 2)
    _, cursor = await changed(contacts, None)
    clock.tick(60)
    org.faults.commit_late(LATE, lambda _object, row: row.get("LastName") == "Slow")
    org.create("Contact", {"LastName": "Slow"})
    clock.tick(30)
    org.create("Contact", {"LastName": "Quick"})
    clock.tick(30)
    seen, cursor = await changed(contacts, cursor)
    assert seen == {"Quick"}, "the slow one is stamped, and not to be seen yet"
    clock.tick(LATE)
    seen, cursor = await changed(contacts, cursor)
    assert "Slow" in seen
    clock.tick(LOOK_BACK * 2)
    _, cursor = await changed(contacts, cursor)
    clock.tick(LOOK_BACK * 2)
    assert (await changed(contacts, cursor))[0] == set(), "the look-back ends"


async def test_a_commit_later_than_the_look_back_is_the_limit_of_what_is_promised(
    contacts: RecordStore, org: SalesforceOrg, clock: FakeClock
) -> None:
    clock.tick(LOOK_BACK * 2)
    _, cursor = await changed(contacts, None)
    org.faults.commit_late(LOOK_BACK * 3)
    org.create("Contact", {"LastName": "Slow"})
    clock.tick(LOOK_BACK * 2)
    _, cursor = await changed(contacts, cursor)
    clock.tick(LOOK_BACK * 2)
    assert (await changed(contacts, cursor))[0] == set()
    assert (await changed(contacts, None))[0] == {"Slow"}, "a full read finds it"
