"""First loads by ranges of ids: complete whatever the ids are, in a fraction of the time, from any place on."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest

from crmsync.errors import UnavailableError
from crmsync.providers.salesforce.cursor import Cursor
from crmsync.providers.salesforce.loading.by_ranges import RangeLoad
from crmsync.providers.salesforce.loading.cutting import divided
from crmsync.providers.salesforce.rows import RowReader
from crmsync.providers.salesforce.schema import read_describe
from crmsync.testing.record_subject import first_page, read_pass
from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.ids import make_id
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.conftest import Connect, answer
from tests.unit.providers.salesforce.writing.conftest import Call, OpenDesk

FIELDS = ("LastName",)
NOT_WRITTEN = {"createable": False, "updateable": False, "nillable": False}
COLUMNS = "Id,SystemModstamp,LastModifiedById,MarkMail_Id__c,LastName"


def filled(count: int) -> dict[str, Any]:
    """An org with so many contacts, and its clock."""
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now)
    for number in range(count):
        org.create("Contact", {"LastName": f"Last {number}"})
    clock.tick(3600)
    return {"org": org, "clock": clock}


def statements(calls: list[Call]) -> list[str]:
    """The queries that were sent."""
    return [parse_qs(urlsplit(call.path).query)["q"][0] for call in calls if call.path.startswith("/query?")]


@pytest.mark.anyio
async def test_the_queries_of_ranges(open_desk: OpenDesk) -> None:
    """Cut evenly between the first and the last id; each goes on after the last id read."""
    async with open_desk(**filled(9)) as desk:
        full = await read_pass(desk.store, None, FIELDS, 2)
        [count, first, last, *pages] = statements(desk.sent.calls)
    ids = sorted(record.id for record in full.records)
    assert count == "SELECT COUNT() FROM Contact"
    assert {first, last} == {
        "SELECT Id FROM Contact ORDER BY Id ASC LIMIT 1",
        "SELECT Id FROM Contact ORDER BY Id DESC LIMIT 1",
    }
    middle = ids[4]
    assert sorted(pages[:2]) == [
        f"SELECT {COLUMNS} FROM Contact WHERE (Id <= '{middle}') ORDER BY Id LIMIT 2",
        f"SELECT {COLUMNS} FROM Contact WHERE (Id > '{middle}') ORDER BY Id LIMIT 2",
    ]
    assert f"SELECT {COLUMNS} FROM Contact WHERE (Id > '{ids[1]}') AND (Id <= '{middle}') ORDER BY Id LIMIT 2" in pages
    assert full.complete_scan


@pytest.mark.anyio
async def test_a_small_object_is_read_page_after_page(open_desk: OpenDesk) -> None:
    async with open_desk(**filled(9)) as desk:
        assert len((await read_pass(desk.store, None, FIELDS)).records) == 9
        [_, page] = statements(desk.sent.calls)
    assert page.endswith("ORDER BY SystemModstamp,Id LIMIT 2000")


@pytest.mark.anyio
async def test_a_load_goes_on_from_its_ranges_on_another_connection(open_desk: OpenDesk) -> None:
    given_org = filled(30)
    async with open_desk(**given_org) as desk:
        page = await first_page(desk.store, FIELDS, 3)
        page = await desk.store.changes(page.cursor, fields=FIELDS, limit=3)
    async with open_desk(**given_org) as desk:
        rest = await read_pass(desk.store, page.cursor, FIELDS, 3)
    assert len(rest.records) == 24
    assert rest.complete_scan


@pytest.mark.anyio
async def test_records_added_and_deleted_meanwhile_disturb_no_other(open_desk: OpenDesk) -> None:
    given_org = filled(30)
    org, clock = given_org["org"], given_org["clock"]
    async with open_desk(**given_org) as desk:
        ids = {row["Id"] for row in org.records("Contact")}
        page = await first_page(desk.store, FIELDS, 2)
        read = {record.id for record in page.records}
        gone = sorted(ids - read)[::5]
        clock.tick(60)
        for record_id in gone:
            org.delete("Contact", record_id)
        added = org.create("Contact", {"LastName": "Added"})
        clock.tick(7200)
        rest = await read_pass(desk.store, page.cursor, FIELDS, 2)
        later = await read_pass(desk.store, rest.cursor, FIELDS)
    assert ids - set(gone) <= read | rest.live_ids()
    assert not rest.complete_scan
    assert {record.id for record in later.records if record.deleted} >= set(gone) & (read | rest.live_ids())
    assert added in rest.live_ids() | later.live_ids()


@pytest.mark.anyio
async def test_what_is_fetched_ahead_is_of_this_pass_alone(open_desk: OpenDesk) -> None:
    """An abandoned pass leaves pages behind; a later one, in the same place, must not be given them."""
    given_org = filled(12)
    org, clock = given_org["org"], given_org["clock"]
    async with open_desk(**given_org) as desk:
        await first_page(desk.store, FIELDS, 2)
        for row in org.records("Contact"):
            org.update("Contact", row["Id"], {"LastName": "Edited"})
        clock.tick(7200)
        full = await read_pass(desk.store, None, FIELDS, 2)
    assert {record.fields["LastName"] for record in full.records} == {"Edited"}


@pytest.mark.anyio
async def test_a_page_that_fails_is_asked_for_again_and_the_others_are_not(open_desk: OpenDesk) -> None:
    given_org = filled(30)
    async with open_desk(**given_org, lent={"retry_attempts": 1}) as desk:
        pages = [await first_page(desk.store, FIELDS, 2)]
        for _ in range(4):
            pages.append(await desk.store.changes(pages[-1].cursor, fields=FIELDS, limit=2))
        given_org["org"].faults.fail_next(path="/query", status=503)
        with pytest.raises(UnavailableError):
            await desk.store.changes(pages[-1].cursor, fields=FIELDS, limit=2)
        before = len(desk.sent.calls)
        pages.append(await desk.store.changes(pages[-1].cursor, fields=FIELDS, limit=2))
        assert len(desk.sent.calls) <= before + 1
        rest = await read_pass(desk.store, pages[-1].cursor, FIELDS, 2)
    assert sum(len(page.records) for page in pages) + len(rest.records) == 30


@pytest.mark.anyio
async def test_pages_are_fetched_side_by_side(connect: Connect) -> None:
    """All ranges' pages are on their way before the first is answered."""
    waiting = 0
    all_there = anyio.Event()

    async def serve(request: httpx2.Request) -> httpx2.Response:
        nonlocal waiting
        waiting += 1
        if waiting == 3:
            all_there.set()
        with anyio.fail_after(5):
            await all_there.wait()
        assert "LIMIT" in json.dumps(request.url.params["q"])
        return answer(200, {"totalSize": 0, "done": True, "records": []})

    async with connect(serve) as line:
        ranges = divided(make_id("003", 0), make_id("003", 900), 3)
        described = {"name": "Contact", "fields": [{"name": "Id", "type": "id", **NOT_WRITTEN}]}
        reader = RowReader(read_describe(described), None, None)
        rows, left = await RangeLoad(line.client).take(Cursor(ranges=ranges), reader, ["Id"], 10)
    assert rows == []
    assert left == ranges[1:]
