"""Bulk jobs across a restart, and set by the control API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import BulkOptions, SalesforceOrg, dump_state, load_file, load_state, save_file
from tests.unit.testing.salesforce.bulk.conftest import BulkClient, bulk_client
from tests.unit.testing.salesforce.conftest import StandingClock

pytestmark = pytest.mark.anyio

THREE = "LastName\nDoe\nRoe\n\nPoe\n"


async def test_a_job_at_work_goes_on_after_a_restart(clock: StandingClock, tmp_path: Path) -> None:
    options: dict[str, Any] = {"clock": clock, "bulk_seconds_per_record": 0.01}
    data = "\n".join(["LastName,TITLE", *(f"Doe {number},x" for number in range(300)), ""])
    before = SalesforceOrg(**options)
    async with bulk_client(before) as bulk:
        job = await bulk.start("insert", data)
        clock.move(2)
        assert (await bulk.info(job))["numberRecordsProcessed"] == 200
    save_file(before, tmp_path / "org.json")
    after = SalesforceOrg(**options)
    assert load_file(after, tmp_path / "org.json")
    async with bulk_client(after) as bulk:
        clock.move(1)
        info = await bulk.info(job)
        assert (info["state"], info["numberRecordsProcessed"]) == ("JobComplete", 300)
        assert {row["LastName"] for row in await bulk.successes(job)} == {f"Doe {number}" for number in range(300)}
        assert len(after.records("Contact")) == 300
        assert await bulk.create("insert") > job


async def test_results_queries_and_allocations_survive_a_restart(clock: StandingClock) -> None:
    before = SalesforceOrg(clock=clock)
    async with bulk_client(before) as bulk:
        ingest = await bulk.start("insert", THREE)
        successes = (await bulk.info(ingest)) and await bulk.successes(ingest)
        query = await bulk.query("SELECT LastName FROM Contact")
        page = await bulk.results(query, maxRecords=2)
        before.faults.bulk.fail_next(after_records=1)
        before.bulk.set_options(seconds=1)
        failing = await bulk.start("insert", THREE)
    after = SalesforceOrg(clock=clock)
    load_state(after, json.loads(json.dumps(dump_state(before))))
    async with bulk_client(after) as bulk:
        assert await bulk.successes(ingest) == successes
        again = await bulk.results(query, maxRecords=2)
        assert (again.text, again.headers["sforce-locator"]) == (page.text, page.headers["sforce-locator"])
        assert (await bulk.info(failing))["state"] == "Failed"
        limits = (await bulk.http.get("/services/data/v68.0/limits")).json()
        assert limits["DailyBulkV2QueryJobs"]["Remaining"] == 9_999
        assert limits["DailyBulkApiBatches"]["Remaining"] == 14_998


async def test_a_state_without_jobs_is_loaded_and_a_broken_one_refused(bulk: BulkClient, org: SalesforceOrg) -> None:
    job = await bulk.start("insert", THREE)
    state = dump_state(org)
    with pytest.raises(ValueError, match="bulk jobs"):
        load_state(org, {**state, "bulk": {**state["bulk"], "ingest": [{"object_name": "Contact"}]}})
    assert (await bulk.info(job))["numberRecordsProcessed"] == 3
    without = {name: value for name, value in state.items() if name != "bulk"}
    load_state(org, without)
    assert org.records("Contact") == []


async def test_the_control_api_sets_times_and_limits(
    bulk: BulkClient, client: httpx2.AsyncClient, clock: StandingClock
) -> None:
    response = await client.post("/__emulator__/bulk", json={"seconds": 30, "page_records": 1})
    assert response.json() == {
        "seconds": 30,
        "seconds_per_record": 0.0,
        "hard_delete": False,
        "max_upload_bytes": 150_000_000,
        "batches_a_day": 15_000,
        "query_jobs_a_day": 10_000,
        "page_records": 1,
    }
    job = await bulk.start("insert", THREE)
    clock.move(29)
    assert (await bulk.info(job))["state"] == "InProgress"
    await client.post("/__emulator__/advance", json={"seconds": 1})
    assert (await bulk.info(job))["state"] == "JobComplete"


async def test_the_control_api_sets_faults(bulk: BulkClient, client: httpx2.AsyncClient) -> None:
    await client.post("/__emulator__/bulk", json={"fail": {"after_records": 1}, "abort": {}, "lock_chunks": 1})
    states = [(await bulk.info(await bulk.start("insert", THREE)))["state"] for _ in range(3)]
    assert states == ["Failed", "Aborted", "JobComplete"]


@pytest.mark.parametrize("body", [{"second": 1}, {"slow": {"times": 1}}, {"fail": {"after": 1}}])
async def test_the_control_api_refuses_what_it_does_not_know(
    client: httpx2.AsyncClient, org: SalesforceOrg, body: dict[str, Any]
) -> None:
    response = await client.post("/__emulator__/bulk", json=body)
    assert response.status_code == 400
    assert org.bulk.options == BulkOptions()
