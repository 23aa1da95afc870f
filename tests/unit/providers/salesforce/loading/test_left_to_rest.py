"""First loads that no query job can do are done by REST."""

from __future__ import annotations

import logging

import pytest

from crmsync.providers.salesforce.loading.by_job import JobLoad
from crmsync.providers.salesforce.rows import RowReader
from crmsync.providers.salesforce.schema import read_describe
from crmsync.testing.record_subject import read_pass
from tests.unit.providers.salesforce.conftest import Connect
from tests.unit.providers.salesforce.loading.filled import FIELDS, everybody, filled, names, rest_of
from tests.unit.providers.salesforce.writing.conftest import OpenDesk

pytestmark = pytest.mark.anyio


async def test_an_org_whose_jobs_are_gone_at_once_is_read_by_rest(open_desk: OpenDesk) -> None:
    """Asking for one after the other would never end."""
    given = filled(9)
    async with open_desk(**given) as desk:
        page = await desk.store.changes(None, fields=FIELDS)
        given["org"].bulk.query.clear()
        assert names(await rest_of(desk, page)) == everybody(9)
        assert len(desk.sent.of("POST", "/jobs/query")) == 1


async def test_a_refused_job_leaves_the_load_to_rest_with_a_note(
    open_desk: OpenDesk, caplog: pytest.LogCaptureFixture
) -> None:
    given = filled(5)
    given["org"].bulk.set_options(query_jobs_a_day=0)
    async with open_desk(**given) as desk:
        with caplog.at_level(logging.WARNING):
            full = await read_pass(desk.store, None, FIELDS)
        asked = len(desk.sent.of("POST", "/jobs/query"))
        await read_pass(desk.store, None, FIELDS)
        assert len(desk.sent.of("POST", "/jobs/query")) == asked, "it is not asked again"
    assert names(full.records) == everybody(5)
    assert full.complete_scan
    assert "Contact is read by REST" in caplog.text
    assert "Last 1" not in caplog.text


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
async def test_a_job_that_fails_leaves_the_load_to_rest(state: str, open_desk: OpenDesk) -> None:
    given = filled(5)
    if state == "Failed":
        given["org"].faults.bulk.fail_next(after_records=2)
    else:
        given["org"].faults.bulk.abort_next(after_records=2)
    async with open_desk(**given) as desk:
        full = await read_pass(desk.store, None, FIELDS)
    assert names(full.records) == everybody(5)
    assert full.complete_scan
    assert [job.state for job in given["org"].bulk.query.values()] == [state]


async def test_a_job_that_takes_too_long_is_aborted_and_the_load_left_to_rest(open_desk: OpenDesk) -> None:
    given = filled(5)
    given["org"].bulk.set_options(seconds=900.0)
    async with open_desk(**given, bulk_wait_seconds=30) as desk:
        assert names((await read_pass(desk.store, None, FIELDS)).records) == everybody(5)
    assert [job.state for job in given["org"].bulk.query.values()] == ["Aborted"]


async def test_versions_without_result_pages_are_read_by_rest(open_desk: OpenDesk) -> None:
    async with open_desk(**filled(5), api_version="57.0") as desk:
        assert names((await read_pass(desk.store, None, FIELDS)).records) == everybody(5)
        assert not desk.sent.of("POST", "/jobs/query")


async def test_why_no_job_can_read_is_said(connect: Connect) -> None:
    fields = [
        {"name": name, "type": kind, "length": length, "createable": True, "updateable": True, "nillable": True}
        for name, kind, length in (
            ("Id", "id", 18),
            ("Notes__c", "textarea", 131_072),
            ("Page__c", "textarea", 131_073),
        )
    ]
    reader = RowReader(read_describe({"name": "Contact", "fields": fields}), None, None)
    async with connect([]) as line:
        assert await JobLoad(line.client).hindrance(reader, ["Notes__c"]) is None
        assert await JobLoad(line.client).hindrance(reader, ["Page__c"]) == "a field is too long for CSV"
    async with connect([], transport="sf") as line:
        assert "CLI" in str(await JobLoad(line.client).hindrance(reader, ["Notes__c"]))
    async with connect([], memory={"api_version": "57.0"}) as line:
        assert "57.0" in str(await JobLoad(line.client).hindrance(reader, ["Notes__c"]))
