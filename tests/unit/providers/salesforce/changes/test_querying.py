"""Changes that are queried, of an org whose commits become visible late."""

from __future__ import annotations

import pytest

from crmsync.protocols.records import RecordStore
from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.changes.conftest import DAY, LOOK_BACK, changed

pytestmark = pytest.mark.anyio

LATE = 240


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


async def test_a_query_begins_before_a_transaction_that_ran_at_the_pass_before(
    contacts: RecordStore, org: SalesforceOrg, clock: FakeClock
) -> None:
    """`getDeleted` tells since when one runs, so a commit later than the look-back is found, for no call more."""
    _, cursor = await changed(contacts, None)
    clock.tick(LOOK_BACK)
    org.faults.commit_late(LOOK_BACK * 10)
    org.create("Contact", {"LastName": "Slow"})
    for _ in range(9):
        clock.tick(LOOK_BACK)
        seen, cursor = await changed(contacts, cursor)
        assert seen == set()
    clock.tick(LOOK_BACK * 2)
    seen, cursor = await changed(contacts, cursor)
    assert seen == {"Slow"}
    clock.tick(LOOK_BACK * 2)
    assert (await changed(contacts, cursor))[0] == set(), "it is read no longer"


async def test_what_a_query_may_miss_is_what_began_before_a_first_load(
    contacts: RecordStore, org: SalesforceOrg, clock: FakeClock
) -> None:
    """Nobody is asked for deletions then. A full read finds it."""
    org.faults.commit_late(LOOK_BACK * 3)
    org.create("Contact", {"LastName": "Slow"})
    clock.tick(LOOK_BACK * 2)
    _, cursor = await changed(contacts, None)
    clock.tick(LOOK_BACK * 2)
    assert (await changed(contacts, cursor))[0] == set()
    assert (await changed(contacts, None))[0] == {"Slow"}


async def test_a_query_follows_a_transaction_for_a_day(
    contacts: RecordStore, org: SalesforceOrg, clock: FakeClock
) -> None:
    """Another tenant's may run for days: all changes since would be read in every pass."""
    _, cursor = await changed(contacts, None)
    org.create("Contact", {"LastName": "Then"})
    org.faults.covered_lag = 3 * DAY
    clock.tick(DAY / 2)
    seen, cursor = await changed(contacts, cursor)
    assert seen == {"Then"}
    clock.tick(DAY / 4)
    seen, cursor = await changed(contacts, cursor)
    assert seen == {"Then"}
    clock.tick(DAY)
    _, cursor = await changed(contacts, cursor)
    clock.tick(3600)
    assert (await changed(contacts, cursor))[0] == set()
