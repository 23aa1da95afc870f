"""First loads through several query jobs, each for a range of ids: what one job would give, sooner."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from crmsync.models.records import ChangePage, Record
from crmsync.providers.salesforce.cursor import Cursor, IdRange, JobPlace
from crmsync.testing.record_subject import first_page, read_pass
from tests.unit.providers.salesforce.loading.filled import FIELDS, everybody, filled, names
from tests.unit.providers.salesforce.writing.conftest import Desk, OpenDesk, delete

pytestmark = pytest.mark.anyio


def ranged(count: int, ranges: int = 5, **options: Any) -> dict[str, Any]:
    """An org with so many contacts, read by a job for each of so many ranges."""
    return {**filled(count, **options), "bulk_read_ranges": ranges}


def created(desk: Desk) -> list[str]:
    """The queries of the jobs that were asked for."""
    return [json.loads(call.body)["query"] for call in desk.sent.of("POST", "/jobs/query")]


def place_of(page: ChangePage) -> Cursor:
    """Where a page ends."""
    assert page.cursor is not None
    return Cursor.decode(page.cursor)


async def begun(desk: Desk) -> ChangePage:
    """The first page of a load, which only makes the jobs known."""
    page = await desk.store.changes(None, fields=FIELDS)
    assert page.records == ()
    return page


async def rest_of(desk: Desk, page: ChangePage, limit: int | None = None) -> list[Record]:
    """All that follows a page of a pass."""
    return (await read_pass(desk.store, page.cursor, FIELDS, limit)).records


async def test_each_range_is_a_job_of_its_own_between_ids_of_the_object(
    open_desk: OpenDesk, caplog: pytest.LogCaptureFixture
) -> None:
    """ "PK Chunking", Bulk API 2.0 and Bulk API Developer Guide, splits a query by conditions on the Id as well."""
    given = ranged(30, 3)
    async with open_desk(**given) as desk:
        with caplog.at_level(logging.INFO, logger="crmsync.providers.salesforce.loading.first_load"):
            page = await begun(desk)
        ids = sorted(row["Id"] for row in given["org"].records("Contact"))
        sent = [(call.method, call.path.partition("?")[0]) for call in desk.sent.calls]
        [first, second, third] = created(desk)
    assert caplog.messages == [
        "30 records of Contact are read by 3 query job(s): the settings ask for it; 3 range(s) by the settings"
    ]
    assert sent[-3:] == [("POST", "/jobs/query")] * 3
    assert sent[-9:-3] == [("GET", "/query")] * 6, "the count, the first id, the last one, the count of each range"
    one, two = [each.part.until for each in place_of(page).jobs[:2]]
    assert one is not None
    assert two is not None
    assert ids[0] < one < two < ids[-1]
    select = "SELECT Id,SystemModstamp,LastModifiedById,MarkMail_Id__c,LastName,Email FROM Contact WHERE "
    assert {first, second, third} == {
        f"{select}(Id <= '{one}')",
        f"{select}(Id > '{one}') AND (Id <= '{two}')",
        f"{select}(Id > '{two}')",
    }


@pytest.mark.parametrize("ranges", [1, 2, 5, 12])
async def test_every_record_comes_once_and_the_count_makes_it_a_complete_scan(ranges: int, open_desk: OpenDesk) -> None:
    async with open_desk(**ranged(23, ranges, page_records=4)) as desk:
        for limit in (None, 1, 3):
            full = await read_pass(desk.store, None, FIELDS, limit)
            assert names(full.records) == everybody(23)
            assert len(full.records) == 23
            assert full.complete_scan


@pytest.mark.parametrize("ranges,longest", [(1, 100), (5, 20)])
async def test_the_jobs_are_at_work_at_the_same_time(ranges: int, longest: int, open_desk: OpenDesk) -> None:
    """Two seconds, and one for each record of the longest range: not for each record there is. So it is whether the
    org's pace is known by then or not.
    """
    given, memory = ranged(100, ranges), dict[str, str]()
    given["org"].bulk.set_options(seconds=2.0, seconds_per_record=1.0)
    for _ in range(2):
        async with open_desk(**given, memory=memory, call_seconds=0.12) as desk:
            began = given["clock"].now()
            full = await read_pass(desk.store, None, FIELDS)
            seconds = (given["clock"].now() - began).total_seconds()
        assert full.complete_scan
        assert 2 + longest <= seconds < 2 + longest + 5


async def test_no_more_than_five_jobs_are_asked_for_ahead(open_desk: OpenDesk) -> None:
    given = ranged(60, 12)
    async with open_desk(**given) as desk:
        page = await begun(desk)
        assert len(created(desk)) == 5
        cursor, most = page.cursor, 0
        while page.has_more:
            page = await desk.store.changes(cursor, fields=FIELDS)
            cursor = page.cursor
            if page.has_more:
                most = max(most, sum(each.job_id is not None for each in place_of(page).jobs))
        assert len(created(desk)) == 12
    assert most == 5
    assert page.complete_scan


async def test_a_load_goes_on_with_the_jobs_that_exist(open_desk: OpenDesk) -> None:
    """As after a crash, in the middle of the second range: nothing that came is read again, and no job made twice."""
    given = ranged(40, 4, page_records=3)
    async with open_desk(**given) as desk:
        page, read = await begun(desk), 0
        while read < 15:
            page = await desk.store.changes(page.cursor, fields=FIELDS, limit=2)
            read += len(page.records)
    async with open_desk(**given) as desk:
        assert len(await rest_of(desk, page, 7)) == 40 - read
        assert created(desk) == []
    assert len(given["org"].bulk.query) == 4


async def test_a_load_that_goes_on_shows_every_range_as_it_is_now(open_desk: OpenDesk) -> None:
    given = ranged(20, 4)
    async with open_desk(**given) as desk:
        page = await begun(desk)
    given["clock"].tick(60)
    ids = sorted(row["Id"] for row in given["org"].records("Contact"))
    for record_id in (ids[0], ids[-1]):
        given["org"].update("Contact", record_id, {"LastName": "Edited"})
    async with open_desk(**given) as desk:
        rest = await read_pass(desk.store, page.cursor, FIELDS)
    assert rest.newest()[ids[0]].fields["LastName"] == "Edited"
    assert rest.newest()[ids[-1]].fields["LastName"] == "Edited"


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
async def test_only_the_range_whose_job_fails_is_asked_again(
    state: str, open_desk: OpenDesk, caplog: pytest.LogCaptureFixture
) -> None:
    """By REST, as the org may refuse another job for the same reason."""
    given = ranged(40, 4)
    fault = given["org"].faults.bulk
    (fault.fail_next if state == "Failed" else fault.abort_next)(after_records=2)
    async with open_desk(**given) as desk:
        with caplog.at_level(logging.WARNING):
            full = await read_pass(desk.store, None, FIELDS)
        queries = [call for call in desk.sent.of("GET", "/query") if "LastName" in call.path]
    assert names(full.records) == everybody(40)
    assert len(full.records) == 40
    assert full.complete_scan
    assert len(queries) == 1, "one range of ten"
    assert sorted(job.state for job in given["org"].bulk.query.values()) == sorted([state, *3 * ["JobComplete"]])
    assert f"the job ended as {state}" in caplog.text


async def test_one_job_that_fails_takes_no_range_along_that_has_none_yet(open_desk: OpenDesk) -> None:
    given = ranged(48, 12)
    given["org"].faults.bulk.fail_next()
    async with open_desk(**given) as desk:
        full = await read_pass(desk.store, None, FIELDS)
        assert len(created(desk)) == 12
    assert names(full.records) == everybody(48)
    assert full.complete_scan


async def test_where_two_jobs_in_a_row_fail_no_more_are_made(open_desk: OpenDesk) -> None:
    """Each may have taken an hour to do so."""
    given = ranged(48, 12)
    given["org"].faults.bulk.fail_next(times=5)
    async with open_desk(**given) as desk:
        full = await read_pass(desk.store, None, FIELDS)
        # Five at first, and one when the first is lost.
        assert len(created(desk)) == 6
    assert names(full.records) == everybody(48)
    assert full.complete_scan


async def test_a_load_that_goes_on_with_more_fields_asks_for_each_range_again(open_desk: OpenDesk) -> None:
    given = ranged(20, 4)
    async with open_desk(**given) as desk:
        page = await first_page(desk.store, ["LastName"], 2)
    async with open_desk(**given) as desk:
        rest = await read_pass(desk.store, page.cursor, FIELDS)
        assert len(created(desk)) == 4
    assert {record.fields["Email"] for record in rest.records} == {f"p{number}@example.com" for number in range(20)}
    assert rest.complete_scan


async def test_a_range_that_is_lost_half_way_is_counted_once(open_desk: OpenDesk) -> None:
    """What it gave before comes again, and the scan is complete all the same."""
    given = ranged(20, 2, page_records=4)
    async with open_desk(**given) as desk:
        page = await first_page(desk.store, FIELDS, 4)
        [first, *_] = place_of(page).jobs
        assert (first.seen, place_of(page).seen) == (4, 4)
        assert first.job_id is not None
        del given["org"].bulk.query[first.job_id]
    async with open_desk(**given) as desk:
        rest = await read_pass(desk.store, page.cursor, FIELDS)
        assert len(created(desk)) == 1, "the other job is still there"
    assert names(rest.records) == everybody(20)
    assert rest.complete_scan


@pytest.mark.parametrize("ranges", [4, 24])
async def test_where_the_org_allows_no_more_jobs_the_other_ranges_come_by_rest(
    ranges: int, open_desk: OpenDesk
) -> None:
    """10,000 in 24 hours ("Bulk API and Bulk API 2.0 Limits and Allocations")."""
    given = ranged(48, ranges)
    given["org"].bulk.set_options(query_jobs_a_day=3)
    async with open_desk(**given) as desk:
        for limit in (None, 1):
            full = await read_pass(desk.store, None, FIELDS, limit)
            assert names(full.records) == everybody(48)
            assert len(full.records) == 48
            assert full.complete_scan
    assert len(given["org"].bulk.query) == 3


async def test_changes_between_the_jobs_are_met_by_the_pass_after_the_load(open_desk: OpenDesk) -> None:
    """An edit, an addition, a deletion and what came back from the recycle bin, around a job that is made late."""
    given = ranged(30, 10)
    org, clock = given["org"], given["clock"]
    ids = sorted(row["Id"] for row in org.records("Contact"))
    async with open_desk(**given) as desk:
        page = await begun(desk)
        clock.tick(60)
        org.update("Contact", ids[0], {"LastName": "Edited"})
        org.delete("Contact", ids[1])
        org.delete("Contact", ids[-2])
        org.delete("Contact", ids[-1])
        added = org.create("Contact", {"LastName": "Added"})
        load = await read_pass(desk.store, page.cursor, FIELDS)
        org.undelete("Contact", ids[-1])
        clock.tick(7200)
        later = await read_pass(desk.store, load.cursor, FIELDS)
    assert not load.complete_scan
    shown = {**load.newest(), **later.newest()}
    assert shown[ids[0]].fields["LastName"] == "Edited"
    assert shown[ids[1]].deleted
    assert shown[ids[-2]].deleted
    assert not shown[ids[-1]].deleted
    assert added in {key for key, record in shown.items() if not record.deleted}


async def test_what_a_bulk_job_deletes_during_the_load_is_gone_in_the_pass_after_it(open_desk: OpenDesk) -> None:
    """Whether its range was read by then or not; what was undeleted since is back."""
    given = ranged(30, 10)
    org = given["org"]
    ids = sorted(row["Id"] for row in org.records("Contact"))
    gone = [ids[0], ids[15], ids[28], ids[29]]
    async with open_desk(**given, channel="bulk") as desk:
        page = await first_page(desk.store, FIELDS, 3)
        given["clock"].tick(60)
        outcomes = await desk.store.write([delete(record_id) for record_id in gone])
        assert all(outcome.ok for outcome in outcomes)
        assert desk.sent.of("POST", "/jobs/ingest")
        load = await read_pass(desk.store, page.cursor, FIELDS)
        org.undelete("Contact", ids[29])
        given["clock"].tick(7200)
        later = await read_pass(desk.store, load.cursor, FIELDS)
    assert not load.complete_scan
    assert {record.id for record in later.records if record.deleted} == set(gone) - {ids[29]}
    shown = {record.id: record for record in (*page.records, *load.records, *later.records)}
    assert {key for key, record in shown.items() if not record.deleted} == {row["Id"] for row in org.records("Contact")}


async def test_a_parent_that_changes_between_the_jobs_is_followed_by_the_pass_after_the_load(
    open_desk: OpenDesk,
) -> None:
    given = ranged(20, 4)
    org, fields = given["org"], (*FIELDS, "Account.Name")
    account = org.create("Account", {"Name": "Before"})
    ids = sorted(row["Id"] for row in org.records("Contact"))
    for record_id in (ids[0], ids[-1]):
        org.update("Contact", record_id, {"AccountId": account})
    given["clock"].tick(3600)
    async with open_desk(**given, parents={"fields": ["Account.Name"]}) as desk:
        page = await first_page(desk.store, fields, 2)
        given["clock"].tick(60)
        org.update("Account", account, {"Name": "After"})
        load = await read_pass(desk.store, page.cursor, fields)
        given["clock"].tick(60)
        later = await read_pass(desk.store, load.cursor, fields)
    assert {later.newest()[record_id].fields["Account.Name"] for record_id in (ids[0], ids[-1])} == {"After"}


async def test_parents_blanks_and_types_are_those_of_rest(open_desk: OpenDesk) -> None:
    given = ranged(6, 3)
    account = given["org"].create("Account", {"Name": "Smith, Jones & Co"})
    given["org"].create("Contact", {"LastName": 'A "quote",\nand more', "AccountId": account, "MailingCity": None})
    given["org"].create("Contact", {"LastName": "NA", "Birthdate": "1700-01-02", "MarkMail_Tags__c": "a;b c"})
    parents = {"parents": {"fields": ["Account.Name"]}}
    async with open_desk(**given, **parents) as desk, open_desk(**{**given, "first_read": "rest"}, **parents) as rest:
        asked = [field.name for field in (await desk.store.describe()).fields]
        by_jobs = {record.id: record for record in (await read_pass(desk.store, None, asked)).records}
        assert len(created(desk)) == 3
        assert by_jobs == {record.id: record for record in (await read_pass(rest.store, None, asked)).records}


async def test_a_position_in_the_one_job_of_an_older_version_is_gone_on_from(open_desk: OpenDesk) -> None:
    given = filled(9, page_records=3)
    async with open_desk(**given) as desk:
        page = await first_page(desk.store, FIELDS, 4)
        state = json.loads(page.cursor or "")
        [[job_id, version, locator, skip, *_]] = state.pop("jobs")
        old = json.dumps({**state, "job": [job_id, version, locator, skip]})
        rest = await read_pass(desk.store, old, FIELDS)
        assert len(created(desk)) == 1
    assert len(rest.records) == 9 - len(page.records)
    assert rest.complete_scan


def test_a_position_among_jobs_is_read_as_it_was_written() -> None:
    made = JobPlace("750000000000001AAA", "68.0", "MA", 3, IdRange(None, "003000000000009AAA"), records=7, seen=2)
    waiting = JobPlace(part=IdRange("003000000000009AAA", None), records=7)
    cursor = Cursor(jobs=(made, waiting), seen=2, expected=14)
    assert Cursor.decode(cursor.encode()) == cursor
    assert made.anew == JobPlace(part=made.part, records=7)
