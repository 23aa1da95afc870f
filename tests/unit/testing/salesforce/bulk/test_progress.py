"""Time and trouble: jobs advance by the org's clock, and run into the faults that wait for them."""

from __future__ import annotations

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg
from tests.unit.testing.salesforce.bulk.conftest import DATA, BulkClient, bulk_client
from tests.unit.testing.salesforce.conftest import StandingClock

pytestmark = pytest.mark.anyio


def people(count: int) -> str:
    """Return data for an insert."""
    return "\n".join(["LastName", *(f"Doe {number}" for number in range(count)), ""])


async def standing(bulk: BulkClient, job: str) -> tuple[str, int]:
    """Return a job's state and how many of its records are done."""
    info = await bulk.info(job)
    return info["state"], info["numberRecordsProcessed"]


async def test_without_a_time_model_the_first_poll_finds_a_job_done(bulk: BulkClient) -> None:
    assert await standing(bulk, await bulk.start("insert", people(401))) == ("JobComplete", 401)


async def test_a_job_waits_half_its_fixed_time_and_then_saves_chunk_by_chunk(clock: StandingClock) -> None:
    org = SalesforceOrg(clock=clock, bulk_seconds=2, bulk_seconds_per_record=0.01)
    async with bulk_client(org) as bulk:
        job = await bulk.start("insert", people(401))
        assert await standing(bulk, job) == ("UploadComplete", 0)
        for seconds, expected in [
            (1, ("InProgress", 0)),
            (1, ("InProgress", 0)),
            (2, ("InProgress", 200)),
            (1.99, ("InProgress", 200)),
            (0.01, ("InProgress", 400)),
            (0.01, ("JobComplete", 401)),
        ]:
            clock.move(seconds)
            assert await standing(bulk, job) == expected
            assert len(org.records("Contact")) == expected[1]
        info = await bulk.info(job)
        assert (info["totalProcessingTime"], info["apiActiveProcessingTime"]) == (6010, 4010)


async def test_a_job_at_work_tells_the_time_of_its_records_but_no_total(clock: StandingClock) -> None:
    org = SalesforceOrg(clock=clock, bulk_seconds=2, bulk_seconds_per_record=0.01)
    async with bulk_client(org) as bulk:
        job = await bulk.start("insert", people(401))
        clock.move(4)
        info = await bulk.info(job)
        assert (info["totalProcessingTime"], info["apiActiveProcessingTime"]) == (0, 2000)


async def test_what_a_job_did_by_now_is_there_for_every_request(
    clock: StandingClock,
) -> None:
    org = SalesforceOrg(clock=clock, bulk_seconds=5)
    async with bulk_client(org) as bulk:
        await bulk.start("insert", people(3))
        count = {"q": "SELECT COUNT() FROM Contact"}
        assert (await bulk.http.get(f"{DATA}/query", params=count)).json()["totalSize"] == 0
        clock.move(5)
        assert (await bulk.http.get(f"{DATA}/query", params=count)).json()["totalSize"] == 3


async def test_a_query_job_takes_time_too(clock: StandingClock) -> None:
    org = SalesforceOrg(clock=clock, bulk_seconds=2, bulk_seconds_per_record=1)
    for number in range(3):
        org.create("Contact", {"LastName": f"Doe {number}"})
    async with bulk_client(org) as bulk:
        job = await bulk.query("SELECT Id FROM Contact")
        seen = []
        for seconds in (0, 1, 2, 2):
            clock.move(seconds)
            info = await bulk.info(job, "query")
            seen.append((info["state"], info["numberRecordsProcessed"]))
    assert seen == [("UploadComplete", 0), ("InProgress", 0), ("InProgress", 1), ("JobComplete", 3)]


async def test_an_abort_keeps_what_is_saved_and_leaves_the_rest_unprocessed(clock: StandingClock) -> None:
    org = SalesforceOrg(clock=clock, bulk_seconds_per_record=0.01)
    async with bulk_client(org) as bulk:
        job = await bulk.start("insert", people(300))
        clock.move(2)
        assert (await bulk.patch(job, "Aborted")).json()["state"] == "Aborted"
        clock.move(60)
        assert await standing(bulk, job) == ("Aborted", 200)
        assert len(await bulk.successes(job)) == len(org.records("Contact")) == 200
        assert (await bulk.text(job, "unprocessedrecords")).splitlines() == [
            "LastName",
            *(f"Doe {number}" for number in range(200, 300)),
        ]


async def test_a_job_at_work_is_not_deleted(clock: StandingClock) -> None:
    org = SalesforceOrg(clock=clock, bulk_seconds=2)
    async with bulk_client(org) as bulk:
        job = await bulk.start("insert", people(1))
        clock.move(1)
        response = await bulk.http.delete(f"{DATA}/jobs/ingest/{job}")
        assert (response.status_code, response.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")


async def test_a_queued_job_is_deleted_and_saves_nothing(clock: StandingClock) -> None:
    org = SalesforceOrg(clock=clock, bulk_seconds=2)
    async with bulk_client(org) as bulk:
        job = await bulk.start("insert", people(1))
        assert (await bulk.http.delete(f"{DATA}/jobs/ingest/{job}")).status_code == 204
        clock.move(10)
        assert (await bulk.http.get(f"{DATA}/jobs/ingest/{job}")).status_code == 404
        assert org.records("Contact") == []


async def test_a_slow_job_is_slow_once(bulk: BulkClient, org: SalesforceOrg, clock: StandingClock) -> None:
    org.faults.bulk.slow_next(60)
    slow, usual = await bulk.start("insert", people(1)), await bulk.start("insert", people(1))
    assert await standing(bulk, usual) == ("JobComplete", 1)
    clock.move(59)
    assert await standing(bulk, slow) == ("InProgress", 0)
    clock.move(1)
    assert await standing(bulk, slow) == ("JobComplete", 1)


async def test_a_job_fails_halfway_and_returns_what_it_did_not_come_to(bulk: BulkClient, org: SalesforceOrg) -> None:
    org.faults.bulk.fail_next(after_records=2, message="InternalServerError : oops")
    job = await bulk.start("insert", "LastName,Title\nA,\n,\nC,\nD,x\n")
    info = await bulk.info(job)
    assert (info["state"], info["errorMessage"]) == ("Failed", "InternalServerError : oops")
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (2, 1)
    assert [row["LastName"] for row in await bulk.successes(job)] == ["A"]
    assert len(await bulk.failures(job)) == 1
    assert await bulk.text(job, "unprocessedrecords") == "LastName,Title\nC,\nD,x\n"


async def test_a_job_fails_at_once(bulk: BulkClient, org: SalesforceOrg) -> None:
    org.faults.bulk.fail_next()
    job = await bulk.start("insert", people(2))
    assert await standing(bulk, job) == ("Failed", 0)
    assert org.records("Contact") == []
    assert await standing(bulk, await bulk.start("insert", people(2))) == ("JobComplete", 2)


async def test_a_job_is_aborted_by_someone_else(bulk: BulkClient, org: SalesforceOrg) -> None:
    org.faults.bulk.abort_next(after_records=1)
    assert await standing(bulk, await bulk.start("insert", people(2))) == ("Aborted", 1)


async def test_a_query_job_fails(bulk: BulkClient, org: SalesforceOrg) -> None:
    org.faults.bulk.fail_next()
    job = await bulk.query("SELECT Id FROM Contact")
    assert (await bulk.info(job, "query"))["state"] == "Failed"
    response = await bulk.results(job)
    assert response.status_code == 412
    assert response.json()[0]["message"].endswith("Current status: FAILED")


async def test_a_locked_chunk_refuses_all_its_rows(bulk: BulkClient, org: SalesforceOrg) -> None:
    org.faults.bulk.lock_chunks(1)
    job = await bulk.start("insert", people(250))
    info = await bulk.info(job)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (250, 200)
    message = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 200 records:--"
    assert set(await bulk.errors(job)) == {message}
    assert len(org.records("Contact")) == 50


async def test_clearing_the_faults_clears_those_of_jobs(bulk: BulkClient, org: SalesforceOrg) -> None:
    org.faults.bulk.fail_next(times=3)
    org.faults.bulk.lock_chunks(3)
    org.faults.clear()
    job = await bulk.start("insert", people(2))
    info = await bulk.info(job)
    assert (info["state"], info["numberRecordsFailed"]) == ("JobComplete", 0)


async def test_over_the_days_batches_the_rest_is_unprocessed_and_the_job_failed(
    bulk: BulkClient, org: SalesforceOrg, clock: StandingClock
) -> None:
    org.bulk.set_options(batches_a_day=2)
    await bulk.info(await bulk.start("insert", people(1)))
    job = await bulk.start("insert", people(10_001))
    info = await bulk.info(job)
    assert (info["state"], info["numberRecordsProcessed"]) == ("Failed", 10_000)
    assert info["errorMessage"] == "ExceededQuota : ApiBatchItems Limit exceeded."
    assert await bulk.text(job, "unprocessedrecords") == "LastName\nDoe 10000\n"
    limits = (await bulk.http.get(f"{DATA}/limits")).json()
    assert limits["DailyBulkApiBatches"] == {"Max": 2, "Remaining": 0}
    clock.move(86_400)
    assert await standing(bulk, await bulk.start("insert", people(1))) == ("JobComplete", 1)


async def test_over_the_days_query_jobs_there_is_none(
    bulk: BulkClient, client: httpx2.AsyncClient, org: SalesforceOrg, clock: StandingClock
) -> None:
    org.bulk.set_options(query_jobs_a_day=2)
    for _ in range(2):
        await bulk.query("SELECT Id FROM Contact")
    body = {"operation": "query", "query": "SELECT Id FROM Contact"}
    response = await client.post(f"{DATA}/jobs/query", json=body)
    message = "Max bulk v2 query jobs (2) per 24 hrs has been reached (2)"
    assert response.status_code == 400
    assert response.json() == [{"errorCode": "LIMIT_EXCEEDED", "message": message}]
    limits = (await client.get(f"{DATA}/limits")).json()
    assert limits["DailyBulkV2QueryJobs"] == {"Max": 2, "Remaining": 0}
    clock.move(86_400)
    assert (await client.post(f"{DATA}/jobs/query", json=body)).status_code == 200


async def test_a_new_day_begins_on_request(bulk: BulkClient, org: SalesforceOrg) -> None:
    await bulk.query("SELECT Id FROM Contact")
    await bulk.info(await bulk.start("insert", people(1)))
    org.reset_counters()
    limits = (await bulk.http.get(f"{DATA}/limits")).json()
    assert [limits[name]["Remaining"] for name in ("DailyBulkV2QueryJobs", "DailyBulkApiBatches")] == [10_000, 15_000]
