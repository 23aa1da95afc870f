"""First loads through query jobs: requests as documented, resumable anywhere, never a wrong value."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from crmsync.engine import RunBudget
from crmsync.errors import BudgetExceededError
from crmsync.protocols.provider import UnkeptJobs
from crmsync.testing.record_subject import first_page, read_pass
from tests.unit.providers.salesforce.loading.filled import FIELDS, everybody, filled, names, rest_of
from tests.unit.providers.salesforce.writing.conftest import OpenDesk

pytestmark = pytest.mark.anyio


async def test_a_load_sends_the_requests_of_the_documentation(open_desk: OpenDesk) -> None:
    """ "Create a Query Job", "Get Information About a Query Job", "Get Parallel Results for a Query Job", "Get Results
    for a Query Job", Bulk API 2.0 and Bulk API Developer Guide.
    """
    async with open_desk(**filled(5, page_records=3)) as desk:
        await read_pass(desk.store, None, FIELDS)
        calls = [call for call in desk.sent.calls if "/jobs/" in call.path]
    job = calls[1].path.split("/")[3]
    assert [(call.method, call.path) for call in (*calls[:3], *sorted(calls[3:], key=lambda call: call.path))] == [
        ("POST", "/jobs/query"),
        ("GET", f"/jobs/query/{job}"),
        ("GET", f"/jobs/query/{job}/resultPages"),
        ("GET", f"/jobs/query/{job}/results?locator=MA"),
        ("GET", f"/jobs/query/{job}/results?locator=Mw"),
    ]
    assert json.loads(calls[0].body) == {
        "operation": "query",
        "query": "SELECT Id,SystemModstamp,LastModifiedById,MarkMail_Id__c,LastName,Email FROM Contact",
    }
    assert calls[3].headers["Accept"] == "text/csv"
    assert "gzip" in calls[3].headers["Accept-Encoding"]


async def test_every_record_comes_once_and_the_count_makes_it_a_complete_scan(open_desk: OpenDesk) -> None:
    async with open_desk(**filled(23, page_records=4)) as desk:
        for limit in (None, 1, 3, 4, 100):
            full = await read_pass(desk.store, None, FIELDS, limit)
            assert names(full.records) == everybody(23)
            assert full.complete_scan


async def test_the_first_page_only_makes_the_job_known(open_desk: OpenDesk) -> None:
    async with open_desk(**filled(3)) as desk:
        page = await desk.store.changes(None, fields=FIELDS)
        assert (page.records, page.has_more, page.total) == ((), True, 3)
        [job] = desk.org.bulk.query
        assert json.loads(page.cursor or "")["jobs"][0][0] == job


async def test_values_and_blanks_are_those_of_rest(open_desk: OpenDesk) -> None:
    """Of every type, with quotes and line feeds; an empty cell is null, for Salesforce holds no empty text."""
    given = filled(0)
    values = {
        "LastName": 'Quote " comma, feed\nand 👩‍💻',
        "Birthdate": "1700-01-02",
        "HasOptedOutOfEmail": True,
        "MarkMail_Tags__c": "a;b c",
        "MailingCity": None,
        "Description": "NA",
    }
    account = given["org"].create("Account", {"Name": "Smith, Jones & Co"})
    given["org"].create("Contact", {**values, "AccountId": account})
    given["org"].create("Contact", {"LastName": "Bare"})
    parents = {"parents": {"fields": ["Account.Name"]}}
    async with open_desk(**given, **parents) as desk, open_desk(**{**given, "first_read": "rest"}, **parents) as rest:
        asked = [field.name for field in (await desk.store.describe()).fields]
        by_job = {record.id: record for record in (await read_pass(desk.store, None, asked)).records}
        by_rest = {record.id: record for record in (await read_pass(rest.store, None, asked)).records}
        assert desk.sent.of("POST", "/jobs/query")
        assert not rest.sent.of("POST", "/jobs/query")
    assert by_job == by_rest
    [full] = [record for record in by_job.values() if record.fields["LastName"] != "Bare"]
    assert full.fields["LastName"] == values["LastName"]
    assert full.fields["Birthdate"] == date(1700, 1, 2)
    assert full.fields["MarkMail_Tags__c"] == ("a", "b c")
    assert full.fields["MailingCity"] is None
    assert full.fields["Account.Name"] == "Smith, Jones & Co"
    [bare] = [record for record in by_job.values() if record.fields["LastName"] == "Bare"]
    assert bare.fields["Account.Name"] is None


async def test_numbers_are_numbers(open_desk: OpenDesk) -> None:
    given = filled(0)
    given["org"].create("Campaign", {"Name": "Spring", "BudgetedCost": 1_234_568, "NumberSent": 12})
    async with open_desk(object_name="Campaign", **given) as desk:
        [record] = (await read_pass(desk.store, None, ("Name", "BudgetedCost", "NumberSent"))).records
    assert record.fields["BudgetedCost"] == Decimal(1_234_568)
    assert record.fields["NumberSent"] == 12


async def test_results_of_several_jobs_are_fetched_side_by_side_three_pages_at_a_time(open_desk: OpenDesk) -> None:
    """Each range has a page or two: whoever waits for one page gets two more with it, of whichever job."""
    async with open_desk(**filled(30, page_records=6), bulk_read_ranges=4) as desk:
        page = await first_page(desk.store, FIELDS, 1)
        assert len(page.records) == 1
        jobs = list(desk.org.bulk.query)
        assert len(jobs) == 4
        assert sorted(call.path.split("/")[3] for call in desk.sent.of("GET", "/resultPages")) == sorted(jobs)
        assert len(desk.sent.of("GET", "/results?")) == 3
        rest = await rest_of(desk, page, 4)
        assert names([*page.records, *rest]) == everybody(30)
        pages = [call.path for call in desk.sent.of("GET", "/results?")]
        assert len(pages) == len(set(pages)), "none is fetched twice"


@pytest.mark.parametrize("state", ["Failed", "InProgress", "gone", "cut off"])
async def test_a_job_that_is_looked_at_ahead_is_no_matter_before_its_turn(state: str, open_desk: OpenDesk) -> None:
    given = filled(30, page_records=6)
    async with open_desk(**given, bulk_read_ranges=3) as desk:
        begun = await desk.store.changes(None, fields=FIELDS)
        second = json.loads(begun.cursor or "")["jobs"][1][0]
        if state == "gone":
            del given["org"].bulk.query[second]
        elif state == "cut off":
            given["org"].faults.fail_next(20, path=f"{second}/results", status=503)
        else:
            given["org"].bulk.query[second].state = state
        page = await desk.store.changes(begun.cursor, fields=FIELDS, limit=4)
        assert len(page.records) == 4
        given["org"].faults.clear()
        if state == "InProgress":
            given["org"].bulk.query[second].state = "JobComplete"
        assert names([*page.records, *await rest_of(desk, page, 4)]) == everybody(30)


async def test_a_load_goes_on_from_its_place_on_another_connection(open_desk: OpenDesk) -> None:
    """As after a crash: the job is asked for its place, and no other one is made."""
    given = filled(20, page_records=6)
    async with open_desk(**given) as desk:
        page = await first_page(desk.store, FIELDS, 4)
        page = await desk.store.changes(page.cursor, fields=FIELDS, limit=4)
        before = 4 + len(page.records)
    async with open_desk(**given) as desk:
        rest = await rest_of(desk, page, 4)
        assert len(rest) == 20 - before
        assert not desk.sent.of("POST", "/jobs/query")
    assert len(given["org"].bulk.query) == 1


async def test_a_load_that_goes_on_shows_what_changed_since_its_job_as_it_is_now(open_desk: OpenDesk) -> None:
    """We may have written in between: an old value would look like somebody's edit."""
    given = filled(9, page_records=3)
    async with open_desk(**given) as desk:
        page = await first_page(desk.store, FIELDS, 2)
        read = {record.id for record in page.records}
    unread = sorted(row["Id"] for row in given["org"].records("Contact") if row["Id"] not in read)
    given["clock"].tick(60)
    given["org"].update("Contact", unread[0], {"LastName": "Edited"})
    given["org"].delete("Contact", unread[1])
    async with open_desk(**given) as desk:
        rest = await read_pass(desk.store, page.cursor, FIELDS, 2)
        later = await read_pass(desk.store, rest.cursor, FIELDS)
    assert rest.newest()[unread[0]].fields["LastName"] == "Edited"
    assert len(rest.records) == 9 - len(read)
    assert later.newest()[unread[1]].deleted


async def test_a_run_that_begins_forgets_what_an_earlier_one_has_fetched(open_desk: OpenDesk) -> None:
    """On one connection too."""
    given = filled(9)
    async with open_desk(**given) as desk:
        page = await first_page(desk.store, FIELDS, 2)
        await desk.store.settle_jobs()
        given["clock"].tick(60)
        read = {record.id for record in page.records}
        unread = next(row["Id"] for row in given["org"].records("Contact") if row["Id"] not in read)
        given["org"].update("Contact", unread, {"LastName": "Edited"})
        rest = await read_pass(desk.store, page.cursor, FIELDS, 2)
    assert rest.newest()[unread].fields["LastName"] == "Edited"


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(days=8)])
async def test_a_load_whose_job_is_gone_begins_again_with_another(delay: timedelta, open_desk: OpenDesk) -> None:
    """Deleted by somebody, or seven days old ("Bulk API and Bulk API 2.0 Limits and Allocations")."""
    given = filled(9, page_records=3)
    async with open_desk(**given) as desk:
        page = await first_page(desk.store, FIELDS, 3)
    if not delay:
        given["org"].bulk.query.clear()
    given["clock"].tick(delay.total_seconds())
    async with open_desk(**given) as desk:
        assert names(await rest_of(desk, page)) == everybody(9)
        assert len(desk.sent.of("POST", "/jobs/query")) == 1


async def test_a_load_on_another_api_version_begins_again(open_desk: OpenDesk) -> None:
    """ "Get Results for a Query Job": results are given out with the job's version only."""
    given = filled(4)
    async with open_desk(**given, api_version="60.0") as desk:
        page = await first_page(desk.store, FIELDS, 2)
    async with open_desk(**given, api_version="68.0") as desk:
        assert names(await rest_of(desk, page)) == everybody(4)


async def test_a_load_that_wants_other_fields_than_its_job_begins_again(open_desk: OpenDesk) -> None:
    given = filled(4)
    async with open_desk(**given) as desk:
        page = await first_page(desk.store, ["LastName"], 2)
        again = await read_pass(desk.store, page.cursor, FIELDS)
    assert {record.fields["Email"] for record in again.records} == {f"p{number}@example.com" for number in range(4)}


async def test_changes_while_a_load_runs_are_met_by_the_pass_after_it(open_desk: OpenDesk) -> None:
    """Its position is from before the job was made, whatever the job was quick enough to see."""
    given = filled(6, page_records=2)
    async with open_desk(**given) as desk:
        page = await first_page(desk.store, FIELDS, 1)
        org, clock = given["org"], given["clock"]
        ids = [row["Id"] for row in org.records("Contact")]
        clock.tick(60)
        org.update("Contact", ids[0], {"LastName": "Edited"})
        org.delete("Contact", ids[5])
        added = org.create("Contact", {"LastName": "Added"})
        clock.tick(7200)
        load = await read_pass(desk.store, page.cursor, FIELDS)
        later = await read_pass(desk.store, load.cursor, FIELDS)
    assert later.newest()[ids[0]].fields["LastName"] == "Edited"
    assert later.newest()[ids[5]].deleted
    assert added in later.live_ids()


async def test_a_load_that_does_not_find_as_many_as_were_counted_is_no_complete_scan(open_desk: OpenDesk) -> None:
    """So what it did not show is not taken for deleted."""
    given = filled(6)
    async with open_desk(**given) as desk:
        page = await desk.store.changes(None, fields=FIELDS)
        given["org"].delete("Contact", given["org"].records("Contact")[0]["Id"])
        given["org"].bulk.query.clear()
        rest = await read_pass(desk.store, page.cursor, FIELDS)
    assert len(rest.records) == 5
    assert not rest.complete_scan


async def test_a_broken_download_is_made_again_and_gives_nothing_twice(open_desk: OpenDesk) -> None:
    given = filled(40, page_records=10)
    async with open_desk(**given) as desk:
        page = await desk.store.changes(None, fields=FIELDS)
        given["org"].faults.fail_next(2, path="/results", status=503)
        assert names(await rest_of(desk, page, 7)) == everybody(40)


async def test_how_far_the_job_is_is_told_while_it_is_waited_for(open_desk: OpenDesk) -> None:
    told: list[tuple[int, int]] = []

    class Watching(UnkeptJobs):
        def progressed(self, job: Any, processed: int) -> None:
            told.append((processed, job.records))

    given = filled(60)
    given["org"].bulk.set_options(seconds=2.0, seconds_per_record=0.5)
    async with open_desk(**given, lent={"jobs": Watching()}) as desk:
        await read_pass(desk.store, None, FIELDS)
    assert len(told) > 1
    assert told[-1] == (60, 60)


async def test_every_call_of_a_load_is_taken_from_the_budget(open_desk: OpenDesk) -> None:
    given = filled(7, page_records=2)
    budget = RunBudget()
    async with open_desk(**given, budget=budget) as desk:
        await read_pass(desk.store, None, FIELDS)
        assert budget.used == len(desk.sent.calls)
    async with open_desk(**given, budget=RunBudget(budget.used - 2)) as desk:
        with pytest.raises(BudgetExceededError):
            await read_pass(desk.store, None, FIELDS)


@pytest.mark.parametrize("row", ['"003000000000001AAA"', None, '"x","y","z","","Last 2",""'])
async def test_nothing_is_taken_from_results_that_cannot_be_read(row: str | None, open_desk: OpenDesk) -> None:
    """A row that is cut off, one that is missing, one without an id: the load goes on by REST."""
    given = filled(5)
    async with open_desk(**given) as desk:
        page = await desk.store.changes(None, fields=FIELDS)
        [job] = given["org"].bulk.query.values()
        # A blank line is no row, so the page announces five rows and has four.
        job.rows[2] = row or ""
        rest = await read_pass(desk.store, page.cursor, FIELDS)
    assert names(rest.records) == everybody(5)
    assert rest.complete_scan


async def test_an_interrupted_load_leaves_no_file_open(open_desk: OpenDesk) -> None:
    """A resource warning would fail this test."""
    given = filled(300, page_records=150)
    async with open_desk(**given) as desk:
        page = await first_page(desk.store, FIELDS, 10)
    assert page.has_more
