"""Jobs of the first Bulk API: requests and answers as the documentation shows them, states, limits, refusals."""

from __future__ import annotations

import json

import pytest

from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.state import dump_state, load_state
from tests.unit.testing.salesforce.conftest import StandingClock
from tests.unit.testing.salesforce.dataload.conftest import LoadClient, job_xml, load_client, refusal, state_xml, xml

pytestmark = pytest.mark.anyio

PEOPLE = '"LastName","Email"\n"Ng","ng@example.org"\n"Wu","no address"\n'


def people(count: int) -> str:
    """A batch of CSV."""
    return "\n".join(["LastName", *(f"Name {number}" for number in range(count)), ""])


async def test_a_job_is_answered_as_in_the_documentation(loads: LoadClient, org: SalesforceOrg) -> None:
    """ "Step One: Create a Job" and "Step Three: Close a Job"."""
    job = await loads.create("insert")
    info = await loads.info(job)
    assert {name: info[name] for name in ("operation", "object", "state", "concurrencyMode", "contentType")} == {
        "operation": "insert",
        "object": "Contact",
        "state": "Open",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
    }
    assert (info["createdById"], info["apiVersion"], info["numberBatchesTotal"]) == (org.user_id, "64.0", "0")
    assert info["createdDate"].endswith(".000Z")
    await loads.add(job, PEOPLE)
    closed = xml(await loads.post(f"/job/{job}", state_xml("Closed")))
    assert closed["state"] == "Closed"
    counts = [closed[f"number{name}"] for name in ("BatchesCompleted", "RecordsProcessed", "RecordsFailed")]
    assert counts == ["1", "2", "1"]


async def test_a_job_in_json_is_answered_in_json(loads: LoadClient) -> None:
    """simple-salesforce sends the mode as a number."""
    body = {"operation": "insert", "object": "Contact", "concurrencyMode": 1, "contentType": "JSON"}
    made = await loads.post("/job", json.dumps(body), "JSON")
    assert (made.status_code, made.headers["Content-Type"]) == (201, "application/json")
    info = made.json()
    assert (info["state"], info["concurrencyMode"], info["apiVersion"]) == ("Open", "Serial", 64.0)
    assert list(info) == sorted(info)
    await loads.add(info["id"], '[{"LastName": "Ng"}]', "JSON")
    headers = {"Content-Type": "application/json"}
    batches = (await loads.http.get(f"/job/{info['id']}/batch", headers=headers)).json()["batchInfo"]
    assert [(batch["jobId"], batch["state"]) for batch in batches] == [(info["id"], "Completed")]


async def test_batches_go_side_by_side_through_the_queue_and_chunk_by_chunk(clock: StandingClock) -> None:
    org = SalesforceOrg(clock=clock, bulk_seconds=2, bulk_seconds_per_record=0.01)
    async with load_client(org) as loads:
        job = await loads.create("insert")
        batches = [await loads.add(job, people(count)) for count in (401, 1)]
        seen = []
        for seconds in (0, 1, 1.01, 1.99, 2.01):
            clock.move(seconds)
            infos = [await loads.info(job, batch) for batch in batches]
            seen.append([(info["state"], int(info["numberRecordsProcessed"])) for info in infos])
        assert seen == [
            [("Queued", 0), ("Queued", 0)],
            [("InProgress", 0), ("InProgress", 0)],
            [("InProgress", 0), ("Completed", 1)],
            [("InProgress", 200), ("Completed", 1)],
            [("Completed", 401), ("Completed", 1)],
        ]


async def test_an_aborted_job_leaves_its_waiting_batches_unprocessed(
    loads: LoadClient, org: SalesforceOrg, clock: StandingClock
) -> None:
    org.bulk.set_options(seconds=60)
    job, batch = await loads.load("insert", PEOPLE)
    aborted = xml(await loads.post(f"/job/{job}", state_xml("Aborted")))
    assert aborted["state"] == "Aborted"
    clock.move(120)
    assert (await loads.info(job, batch))["state"] == "NotProcessed"
    assert refusal(await loads.results(job, batch))[1:] == ("InvalidBatch", "Records not processed")
    assert org.records("Contact") == []


async def test_a_closed_job_takes_no_batch_and_no_second_closing(loads: LoadClient) -> None:
    job = await loads.create("insert")
    await loads.post(f"/job/{job}", state_xml("Closed"))
    assert refusal(await loads.post(f"/job/{job}/batch", PEOPLE, "CSV"))[:2] == (400, "InvalidJobState")
    assert refusal(await loads.post(f"/job/{job}", state_xml("Closed")))[:2] == (400, "InvalidJobState")
    assert refusal(await loads.post(f"/job/{job}", state_xml("Fine")))[:2] == (400, "InvalidJobState")


async def test_results_that_are_asked_for_too_early_are_refused(loads: LoadClient, org: SalesforceOrg) -> None:
    org.bulk.set_options(seconds=60)
    job, batch = await loads.load("insert", PEOPLE)
    assert refusal(await loads.results(job, batch)) == (400, "InvalidBatch", "Batch not completed")


async def test_faults_of_bulk_jobs_meet_batches(loads: LoadClient, org: SalesforceOrg) -> None:
    org.faults.bulk.fail_next(after_records=200, message="InternalServerError : down")
    job, batch = await loads.load("insert", people(300))
    info = await loads.info(job, batch)
    assert (info["state"], info["stateMessage"], info["numberRecordsProcessed"]) == (
        "Failed",
        "InternalServerError : down",
        "200",
    )
    # "A batch can have a state of Failed even though some records were processed."
    assert len((await loads.results(job, batch)).text.splitlines()) == 201
    org.faults.bulk.lock_chunks()
    job, batch = await loads.load("insert", PEOPLE)
    assert (await loads.results(job, batch)).text.count("UNABLE_TO_LOCK_ROW") == 2


@pytest.mark.parametrize("token, message", [("", "Unable to find session id"), ("not a session", "Invalid session id")])
async def test_a_session_that_is_missing_or_dead_is_refused_with_400(
    loads: LoadClient, token: str, message: str
) -> None:
    """As recorded of real orgs (heroku/salesforce-bulk, issue 44)."""
    loads.http.headers["X-SFDC-Session"] = token
    assert refusal(await loads.post("/job", job_xml())) == (400, "InvalidSessionId", message)
    assert refusal(await loads.post("/job", "{}", "JSON")) == (400, "InvalidSessionId", message)


@pytest.mark.parametrize(
    "body, kind, code",
    [
        (job_xml(object="Nope"), "XML", "InvalidJob"),
        (job_xml(operation="merge"), "XML", "InvalidJob"),
        (job_xml(operation="upsert", contentType="CSV"), "XML", "InvalidJob"),
        (job_xml(operation="hardDelete", contentType="CSV"), "XML", "FeatureNotEnabled"),
        (job_xml(contentType="PDF"), "XML", "InvalidJob"),
        (job_xml(operation="query", contentType="XML"), "XML", "InvalidJob"),
        (job_xml(concurrencyMode="Fast"), "XML", "InvalidJob"),
        ("<jobInfo", "XML", "InvalidXML"),
        ("<job/>", "XML", "InvalidXML"),
        ('<!DOCTYPE j [<!ENTITY a "b">]><jobInfo>&a;</jobInfo>', "XML", "InvalidXML"),
        ("[]", "JSON", "InvalidJob"),
        ("{", "JSON", "InvalidJob"),
    ],
)
async def test_a_job_that_cannot_be_is_refused(loads: LoadClient, body: str, kind: str, code: str) -> None:
    assert refusal(await loads.post("/job", body, kind))[:2] == (400, code)


async def test_jobs_batches_and_urls_that_are_not_there_are_refused(loads: LoadClient) -> None:
    job, batch = await loads.load("insert", PEOPLE)
    get = loads.http.get
    assert refusal(await get("/job/750000000000009AAA"))[:2] == (400, "InvalidJob")
    assert refusal(await get(f"/job/{job}/batch/751000000000009AAA"))[:2] == (400, "InvalidBatch")
    assert refusal(await loads.results(job, batch, "752000000000009AAA"))[:2] == (400, "InvalidBatch")
    assert refusal(await loads.http.delete(f"/job/{job}"))[:2] == (405, "InvalidUrl")
    base = "http://org.example/services/async"
    assert refusal(await get(f"{base}/63.0/job/{job}"))[:2] == (400, "InvalidVersion")
    assert refusal(await get(f"{base}/20.0/job/{job}"))[:2] == (410, "InvalidVersion")
    assert refusal(await get(f"{base}/new/job/{job}"))[:2] == (404, "InvalidUrl")


async def test_every_request_is_a_call_and_every_batch_counts(loads: LoadClient, org: SalesforceOrg) -> None:
    org.bulk.set_options(batches_a_day=1)
    job, _ = await loads.load("insert", PEOPLE)
    assert org.api_calls == 2
    assert refusal(await loads.post(f"/job/{job}/batch", PEOPLE, "CSV"))[:2] == (400, "ExceededQuota")
    org.daily_limit = 0
    assert refusal(await loads.http.get(f"/job/{job}")) == (400, "ExceededQuota", "TotalRequests Limit exceeded.")


async def test_a_batch_is_of_the_jobs_content_type_and_not_too_large(loads: LoadClient) -> None:
    job = await loads.create("insert")
    assert refusal(await loads.post(f"/job/{job}/batch", "[]", "JSON"))[:2] == (400, "InvalidBatch")
    large = await loads.post(f"/job/{job}/batch", "LastName\n" + "x" * 10_000_000, "CSV")
    assert refusal(large) == (400, "ClientInputError", "Failed to read request. Exceeded max size limit of 10000000")


async def test_jobs_are_forgotten_seven_days_after_their_end(loads: LoadClient, clock: StandingClock) -> None:
    job, _ = await loads.load("insert", PEOPLE)
    assert (await loads.info(job))["numberBatchesCompleted"] == "1"
    clock.move(7 * 86_400)
    assert refusal(await loads.http.get(f"/job/{job}"))[1] == "InvalidJob"


async def test_jobs_are_part_of_the_state(loads: LoadClient, org: SalesforceOrg, clock: StandingClock) -> None:
    org.bulk.set_options(seconds=60)
    org.faults.bulk.slow_next(5)
    job, batch = await loads.load("insert", PEOPLE)
    state = json.loads(json.dumps(dump_state(org)))
    await loads.post(f"/job/{job}", state_xml("Aborted"))
    load_state(org, state)
    clock.move(64)
    assert (await loads.info(job, batch))["state"] == "InProgress"
    clock.move(1)
    assert (await loads.info(job, batch))["state"] == "Completed"
    assert [contact["LastName"] for contact in org.records("Contact")] == ["Ng"]
    again = json.loads(json.dumps(dump_state(org)))
    load_state(org, again)
    assert dump_state(org)["loads"] == again["loads"]
    with pytest.raises(ValueError, match="not a state"):
        load_state(org, {**state, "loads": {"jobs": [{}]}})
    assert dump_state(org)["loads"] == again["loads"]
