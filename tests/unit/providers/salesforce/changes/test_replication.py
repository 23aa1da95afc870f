"""Changes that getUpdated and getDeleted name."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs
import pytest

from crmsync.errors import CursorExpiredError
from crmsync.protocols.records import RecordStore
from tests.unit.providers.salesforce.changes.conftest import DAY, LOOK_BACK, Site, changed, records_of

pytestmark = pytest.mark.anyio


def _is_named(name: str, _object: str, row: Mapping[str, Any]) -> bool:
    return bool(row["LastName"] == name)


@pytest.mark.parametrize("seed", range(6))
async def test_get_updated_misses_no_commit_however_late_it_is(site: Site, seed: int) -> None:
    """Whatever the times of saves, commits and passes are, from the first load on, and between the calls of a pass."""
    chance = random.Random(seed)
    names = [f"P{number}" for number in range(40)]
    delays = {name: chance.choice([0, 0, 5, 70, LOOK_BACK, LOOK_BACK * 8, DAY / 2]) for name in names}
    for name, seconds in delays.items():
        site.org.faults.commit_late(seconds, partial(_is_named, name))
    unsaved = list(names)

    def somebody_works(_call: str) -> None:
        site.clock.tick(chance.choice([0, 1, 20, 61]))
        if unsaved and chance.random() < 0.2:
            site.org.create("Contact", {"LastName": unsaved.pop()})

    site.wire.on_call = somebody_works
    seen: set[object] = set()
    cursor = None
    async with site.opened(changes="get_updated") as provider:
        store = await provider.records("Contact")
        while unsaved:
            records, cursor = await records_of(store, cursor, limit=3)
            seen |= {record.fields["LastName"] for record in records}
            site.clock.tick(chance.choice([1, 59, LOOK_BACK, 3600]))
        site.clock.tick(DAY / 2 + 1)
        records, _ = await records_of(store, cursor, limit=3)
    assert seen | {record.fields["LastName"] for record in records} == set(names)


async def test_get_updated_takes_two_calls_and_one_for_each_page(replicated: RecordStore, site: Site) -> None:
    org, clock = site.org, site.clock
    ids = {org.create("Contact", {"LastName": f"P{number}"}) for number in range(5)}
    clock.tick(LOOK_BACK)
    _, cursor = await changed(replicated, None)
    clock.tick(DAY)
    site.wire.take()
    _, cursor = await changed(replicated, cursor)
    assert site.wire.take() == ["updated", "deleted"], "nothing changed"
    for record_id in ids:
        org.update("Contact", record_id, {"LastName": "New"})
    clock.tick(1)
    records, cursor = await records_of(replicated, cursor, limit=2)
    assert site.wire.take() == ["updated", "Contact", "Contact", "Contact", "deleted"]
    assert {record.id for record in records} == ids
    clock.tick(LOOK_BACK)
    records, _ = await records_of(replicated, cursor)
    assert len(records) == len(ids), "the seconds of a minute are cut off, so its records come once more"


async def test_what_changed_in_the_same_minute_is_not_waited_for(replicated: RecordStore, site: Site) -> None:
    """The end that is asked for lies ahead, since its seconds are cut off."""
    _, cursor = await changed(replicated, None)
    site.clock.tick(90)
    site.org.create("Contact", {"LastName": "Now"})
    assert (await changed(replicated, cursor))[0] == {"Now"}


async def test_a_pass_by_get_updated_goes_on_after_a_crash_with_the_records_that_are_left(
    replicated: RecordStore, site: Site
) -> None:
    """Whoever goes on asks for the ids again, and reads none of the records that came already."""
    _, cursor = await changed(replicated, None)
    ids = [site.org.create("Contact", {"LastName": f"P{number}"}) for number in range(5)]
    first = await replicated.changes(cursor, fields=["LastName"], limit=2)
    site.wire.take()
    async with site.opened(changes="get_updated") as provider:
        rest, _ = await records_of(await provider.records("Contact"), first.cursor, limit=2)
    assert [record.id for record in (*first.records, *rest)] == sorted(ids)
    assert site.wire.take() == ["updated", "Contact", "Contact", "deleted"]


async def test_more_ids_than_one_answer_holds_are_asked_for_by_shorter_stretches(
    replicated: RecordStore, site: Site
) -> None:
    """EXCEEDED_ID_LIMIT says so ("sObject Get Updated", REST API Developer Guide)."""
    _, cursor = await changed(replicated, None)
    ids = []
    for number in range(12):
        site.clock.tick(400)
        ids.append(site.org.create("Contact", {"LastName": f"P{number}"}))
    site.clock.tick(400)
    site.org.faults.replicated_ids = 5
    site.wire.take()
    records, cursor = await records_of(replicated, cursor, limit=3)
    assert {record.id for record in records} == set(ids)
    assert len(records) < len(ids) + 3, "where two stretches meet a record may come twice"
    site.clock.tick(LOOK_BACK)
    assert (await changed(replicated, cursor))[0] == set()


async def test_more_ids_in_a_minute_than_one_answer_holds_are_read_from_the_start(
    replicated: RecordStore, site: Site
) -> None:
    _, cursor = await changed(replicated, None)
    site.clock.tick(LOOK_BACK)
    for number in range(6):
        site.org.create("Contact", {"LastName": f"P{number}"})
    site.clock.tick(LOOK_BACK)
    site.org.faults.replicated_ids = 5
    with pytest.raises(CursorExpiredError, match="EXCEEDED_ID_LIMIT"):
        await replicated.changes(cursor, fields=["LastName"])


@pytest.mark.parametrize("days", [16, 31])
async def test_a_position_older_than_the_log_is_read_from_the_start(
    replicated: RecordStore, site: Site, days: int
) -> None:
    _, cursor = await changed(replicated, None)
    site.clock.tick(days * DAY)
    with pytest.raises(CursorExpiredError):
        await replicated.changes(cursor, fields=["LastName"])


async def test_deletions_merges_and_undeletes_are_told_with_get_updated(replicated: RecordStore, site: Site) -> None:
    """Those that are gone are not among the ids; `getDeleted` names them, and the recycle bin what became of them."""
    org = site.org
    kept, loser, deleted, revived, other = (org.create("Contact", {"LastName": name}) for name in "ABCDE")
    site.clock.tick(LOOK_BACK)
    _, cursor = await changed(replicated, None)
    site.clock.tick(LOOK_BACK)
    org.merge("Contact", kept, [loser])
    org.update("Contact", deleted, {"LastName": "Changed before"})
    for record_id in (deleted, revived):
        org.delete("Contact", record_id)
    site.clock.tick(61)
    org.undelete("Contact", revived)
    site.clock.tick(61)
    records, cursor = await records_of(replicated, cursor)
    told = {record.id: (record.deleted, record.merged_into) for record in records}
    assert told == {
        kept: (False, None),
        loser: (True, kept),
        deleted: (True, None),
        revived: (False, None),
    }
    site.clock.tick(61)
    assert [record.id for record in (await records_of(replicated, cursor))[0] if record.deleted] == []
    assert other not in told


async def test_changes_of_parents_come_with_get_updated_too(site: Site) -> None:
    """However late they are committed: a transaction on any object holds `latestDateCovered` back."""
    org, clock = site.org, site.clock
    account = org.create("Account", {"Name": "Acme"})
    contact = org.create("Contact", {"LastName": "Ng", "AccountId": account})
    fields = ("LastName", "Account.Name")
    async with site.opened(changes="get_updated", parents={"fields": ["Account.Name"]}) as provider:
        store = await provider.records("Contact")
        clock.tick(LOOK_BACK)
        _, cursor = await records_of(store, None, fields=fields)
        clock.tick(LOOK_BACK)
        org.faults.commit_late(LOOK_BACK * 6, lambda object_name, _row: object_name == "Account")
        org.update("Account", account, {"Name": "Acme & Co."})
        clock.tick(LOOK_BACK * 3)
        records, cursor = await records_of(store, cursor, fields=fields)
        assert records == []
        clock.tick(LOOK_BACK * 4)
        records, _ = await records_of(store, cursor, fields=fields)
    assert [(record.id, record.fields["Account.Name"]) for record in records] == [(contact, "Acme & Co.")]


async def test_an_object_that_cannot_be_replicated_is_queried_and_the_log_says_so(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    table = site.org.tables["Contact"]
    table.definition = attrs.evolve(table.definition, replicateable=False)
    async with site.opened(changes="get_updated") as provider:
        assert 'changes = "get_updated" is of no use to Contact' in str((await provider.test_connection()).warnings)
        store = await provider.records("Contact")
        _, cursor = await changed(store, None)
        site.clock.tick(LOOK_BACK)
        gone = site.org.create("Contact", {"LastName": "Gone"})
        site.org.delete("Contact", gone)
        site.wire.take()
        records, _ = await records_of(store, cursor)
    assert [(record.id, record.deleted) for record in records] == [(gone, True)]
    assert site.wire.take() == ["queryAll"]
    assert "Contact, which cannot be replicated: its changes are read by query" in caplog.text


@pytest.mark.parametrize("before, after", [("query", "get_updated"), ("get_updated", "query")])
async def test_the_way_of_reading_changes_may_change_between_two_passes_and_within_one(
    site: Site, before: str, after: str
) -> None:
    org, clock = site.org, site.clock
    async with site.opened(changes=before) as provider:
        _, cursor = await changed(await provider.records("Contact"), None)
        clock.tick(LOOK_BACK)
        names = {f"P{number}" for number in range(5)}
        for name in names:
            org.create("Contact", {"LastName": name})
            clock.tick(1)
        page = await (await provider.records("Contact")).changes(cursor, fields=["LastName"], limit=2)
    async with site.opened(changes=after) as provider:
        store = await provider.records("Contact")
        rest, within = await changed(store, page.cursor)
        assert rest | {record.fields["LastName"] for record in page.records} == names
        assert (await changed(store, cursor))[0] == names
        clock.tick(LOOK_BACK * 2)
        org.create("Contact", {"LastName": "Later"})
        assert "Later" in (await changed(store, within))[0]


async def test_converted_leads_are_told_of_with_get_updated(site: Site) -> None:
    """They are still there, as records that became something else."""
    async with site.opened(changes="get_updated", people="lead_then_contact") as provider:
        people = await provider.records("Person")
        lead = site.org.create("Lead", {"LastName": "Ng", "Company": "Acme"})
        _, cursor = await records_of(people, None)
        site.clock.tick(LOOK_BACK)
        converted = site.org.convert_lead(lead)
        records, _ = await records_of(people, cursor)
    assert {record.id: record.merged_into for record in records} == {
        lead: converted.contact_id,
        converted.contact_id: None,
    }
