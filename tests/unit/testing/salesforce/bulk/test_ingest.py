"""The life of an ingest job: creating, uploading, closing, aborting, deleting, listing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import API_USER_ID, SalesforceOrg
from tests.unit.testing.salesforce.bulk.conftest import DATA, BulkClient
from tests.unit.testing.salesforce.conftest import StandingClock

pytestmark = pytest.mark.anyio

UPSERT = {"object": "Contact", "operation": "upsert", "externalIdFieldName": "MarkMail_Id__c"}
NO_HARD_DELETE = (
    "hardDelete operation requires special user profile permission, please contact your system administrator"
)


async def test_a_new_job_answers_in_the_recorded_shape(client: httpx2.AsyncClient) -> None:
    response = await client.post(f"{DATA}/jobs/ingest", json=UPSERT)
    job = response.json()["id"]
    assert response.status_code == 200
    assert response.json() == {
        "id": job,
        "operation": "upsert",
        "object": "Contact",
        "createdById": API_USER_ID,
        "createdDate": "2026-11-24T20:34:26.000+0000",
        "systemModstamp": "2026-11-24T20:34:26.000+0000",
        "state": "Open",
        "externalIdFieldName": "MarkMail_Id__c",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 68.0,
        "contentUrl": f"services/data/v68.0/jobs/ingest/{job}/batches",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    assert '"apiVersion":68.0,' in response.text
    assert len(job) == 18
    assert job.startswith("750")


async def test_the_content_url_leads_to_the_upload_and_is_gone_after_the_close(
    bulk: BulkClient, client: httpx2.AsyncClient
) -> None:
    job = await bulk.create("insert")
    url = (await bulk.info(job))["contentUrl"]
    response = await client.put(f"/{url}", content=b"LastName\nDoe\n", headers={"Content-Type": "text/csv"})
    assert (response.status_code, response.content) == (201, b"")
    closed = (await bulk.patch(job, "UploadComplete")).json()
    assert closed["state"] == "UploadComplete"
    assert not closed.keys() & {"contentUrl", "lineEnding", "columnDelimiter", "jobType"}
    assert "contentUrl" not in await bulk.info(job)


async def test_a_job_that_is_read_tells_its_numbers(bulk: BulkClient) -> None:
    job = await bulk.start("insert", "LastName\nDoe\n\nRoe\n")
    info = await bulk.info(job)
    assert info["jobType"] == "V2Ingest"
    assert (info["lineEnding"], info["columnDelimiter"]) == ("LF", "COMMA")
    numbers = {name: value for name, value in info.items() if isinstance(value, int) and name != "apiVersion"}
    assert numbers == {
        "numberRecordsProcessed": 2,
        "numberRecordsFailed": 0,
        "retries": 0,
        "totalProcessingTime": 0,
        "apiActiveProcessingTime": 0,
        "apexProcessingTime": 0,
    }
    assert "errorMessage" not in info


async def test_a_chunked_upload_is_taken_whole(bulk: BulkClient, client: httpx2.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"LastName\nDo"
        yield b"e\nRoe\n"

    job = await bulk.create("insert")
    url = f"{DATA}/jobs/ingest/{job}/batches"
    assert (await client.put(url, content=parts(), headers={"Content-Type": "text/csv"})).status_code == 201
    await bulk.patch(job, "UploadComplete")
    assert (await bulk.info(job))["numberRecordsProcessed"] == 2


async def test_a_second_upload_is_refused(bulk: BulkClient) -> None:
    job = await bulk.create("insert")
    await bulk.put(job, "LastName\nDoe\n")
    response = await bulk.put(job, "LastName\nRoe\n")
    message = (
        f"Found multipe contents for job: <{job[:15]}>, please 'Close' / 'Abort' / 'Delete' the current Job then create"
        " a new Job and make sure you only do 'PUT' once on a given Job."
    )
    assert response.status_code == 400
    assert response.json() == [{"errorCode": "BULK_API_ERROR", "message": message}]


async def test_an_upload_over_the_limit_in_base64_is_refused(bulk: BulkClient, org: SalesforceOrg) -> None:
    org.bulk.set_options(max_upload_bytes=16)
    job = await bulk.create("insert")
    response = await bulk.put(job, "LastName\nDoe\n")
    assert response.status_code == 413
    assert (await bulk.put(job, "LastName\nDoe")).status_code == 201


async def test_a_multipart_request_brings_its_data_and_closes_the_job(
    bulk: BulkClient, client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    parts = {
        "job": (None, '{"object": "Contact", "operation": "insert", "lineEnding": "CRLF"}', "application/json"),
        "content": ("content", "LastName,Description\r\nDoe,Zürich\r\n", "text/csv"),
    }
    response = await client.post(f"{DATA}/jobs/ingest", files=parts)
    assert (response.status_code, response.json()["state"]) == (200, "UploadComplete")
    info = await bulk.info(response.json()["id"])
    assert (info["state"], info["numberRecordsFailed"]) == ("JobComplete", 0)
    assert [(row["LastName"], row["Description"]) for row in org.records("Contact")] == [("Doe", "Zürich")]


@pytest.mark.parametrize("missing", ["job", "content"])
async def test_a_multipart_request_needs_both_parts(client: httpx2.AsyncClient, missing: str) -> None:
    parts = {"job": (None, '{"object": "Contact", "operation": "insert"}'), "content": ("content", "LastName\nDoe\n")}
    del parts[missing]
    response = await client.post(f"{DATA}/jobs/ingest", files=parts)
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "BULK_API_ERROR")


async def test_a_multipart_request_brings_at_most_100_000_characters(client: httpx2.AsyncClient) -> None:
    content = "LastName\n" + "é" * 99_991
    job = (None, '{"object": "Contact", "operation": "insert"}')
    for text, status in ((content, 200), (content + "x", 400)):
        response = await client.post(f"{DATA}/jobs/ingest", files={"job": job, "content": ("content", text)})
        assert response.status_code == status


@pytest.mark.parametrize(
    "change, code, message",
    [
        ({"object": "Foo"}, "INVALIDJOB", "InvalidJob : Unable to find object: Foo"),
        ({"object": None}, "INVALIDJOB", "InvalidJob : Unable to find object: "),
        (
            {"object": "Organization"},
            "INVALIDENTITY",
            "InvalidEntity : Entity 'Organization' is not supported by the Bulk API.",
        ),
        (
            {"externalIdFieldName": "Title"},
            "INVALIDJOB",
            "InvalidJob : Field name provided, Title does not match an External ID for Contact",
        ),
        (
            {"externalIdFieldName": None},
            "INVALIDJOB",
            "InvalidJob : Field name provided,  does not match an External ID for Contact",
        ),
        ({"operation": "merge"}, "API_ERROR", "Invalid value: 'merge' supplied for property: 'operation'"),
        ({"contentType": "JSON"}, "API_ERROR", "Invalid value: 'JSON' supplied for property: 'contentType'"),
        ({"lineEnding": "CR"}, "API_ERROR", "Invalid value: 'CR' supplied for property: 'lineEnding'"),
        ({"columnDelimiter": ","}, "API_ERROR", "Invalid value: ',' supplied for property: 'columnDelimiter'"),
        (
            {"operation": "hardDelete"},
            "FEATURENOTENABLED",
            f"FeatureNotEnabled : {NO_HARD_DELETE}",
        ),
    ],
)
async def test_a_job_that_cannot_be_is_refused(
    client: httpx2.AsyncClient, change: dict[str, Any], code: str, message: str
) -> None:
    response = await client.post(f"{DATA}/jobs/ingest", json=UPSERT | change)
    assert response.status_code == 400
    assert response.json() == [{"errorCode": code, "message": message}]


async def test_a_job_is_found_by_its_15_characters_and_unknown_ones_are_not(
    bulk: BulkClient, client: httpx2.AsyncClient
) -> None:
    job = await bulk.create("insert")
    assert (await bulk.info(job[:15]))["id"] == job
    for unknown in ("7505e0000000999", "x"):
        response = await client.get(f"{DATA}/jobs/ingest/{unknown}")
        assert response.status_code == 404
        assert response.json() == [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]
    assert (await client.get(f"{DATA}/jobs/query/{job}")).status_code == 404


@pytest.mark.parametrize(
    "first, second, message",
    [
        ("Aborted", "Aborted", "Aborting already Aborted Job not allowed"),
        ("Aborted", "UploadComplete", "Closing already Aborted Job not allowed"),
        ("UploadComplete", "Aborted", "Aborting already Completed Job not allowed"),
        ("UploadComplete", "UploadComplete", "Closing already Completed Job not allowed"),
    ],
)
async def test_a_job_leaves_its_state_once(bulk: BulkClient, first: str, second: str, message: str) -> None:
    job = await bulk.create("insert")
    await bulk.put(job, "LastName\nDoe\n")
    assert (await bulk.patch(job, first)).status_code == 200
    response = await bulk.patch(job, second)
    assert response.status_code == 400
    assert response.json() == [{"errorCode": "INVALIDJOBSTATE", "message": message}]


async def test_another_state_cannot_be_set(bulk: BulkClient) -> None:
    response = await bulk.patch(await bulk.create("insert"), "JobComplete")
    message = "Invalid value: 'JobComplete' supplied for property: 'state'"
    assert response.json() == [{"errorCode": "API_ERROR", "message": message}]


async def test_an_aborted_job_saves_nothing_and_gives_its_records_back(bulk: BulkClient, org: SalesforceOrg) -> None:
    job = await bulk.create("insert")
    await bulk.put(job, 'LastName,Title\n"Doe, ""J""",Boss\n')
    await bulk.patch(job, "Aborted")
    assert (await bulk.info(job))["state"] == "Aborted"
    assert await bulk.text(job, "unprocessedrecords") == 'LastName,Title\n"Doe, ""J""",Boss\n'
    assert await bulk.text(job, "successfulResults") == '"sf__Id","sf__Created"\n'
    assert org.records("Contact") == []


@pytest.mark.parametrize("resource", ["successfulResults", "failedResults", "unprocessedrecords"])
async def test_an_open_job_takes_data_but_has_no_results(
    bulk: BulkClient, client: httpx2.AsyncClient, resource: str
) -> None:
    response = await client.get(f"{DATA}/jobs/ingest/{await bulk.create('insert')}/{resource}")
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")


async def test_a_closed_job_takes_no_data(bulk: BulkClient) -> None:
    job = await bulk.start("insert", "LastName\nDoe\n")
    response = await bulk.put(job, "LastName\nRoe\n")
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")


async def test_results_are_found_in_any_letter_case_and_others_are_not_found(
    bulk: BulkClient, client: httpx2.AsyncClient
) -> None:
    job = await bulk.start("insert", "LastName\nDoe\n")
    await bulk.info(job)
    assert await bulk.text(job, "unprocessedRecords") == "LastName\n"
    assert await bulk.text(job, "successfulResults/") == await bulk.text(job, "successfulResults")
    assert (await client.get(f"{DATA}/jobs/ingest/{job}/otherResults")).status_code == 404


async def test_a_job_is_deleted_when_it_is_not_at_work(bulk: BulkClient, client: httpx2.AsyncClient) -> None:
    job = await bulk.create("insert")
    assert (await client.delete(f"{DATA}/jobs/ingest/{job}")).json()[0]["errorCode"] == "INVALIDJOBSTATE"
    await bulk.patch(job, "Aborted")
    assert (await client.delete(f"{DATA}/jobs/ingest/{job}")).status_code == 204
    assert (await client.get(f"{DATA}/jobs/ingest/{job}")).status_code == 404


async def test_jobs_are_listed_by_type_in_pages_of_1000(bulk: BulkClient, client: httpx2.AsyncClient) -> None:
    jobs = [await bulk.create("insert") for _ in range(1_001)]
    first = (await client.get(f"{DATA}/jobs/ingest")).json()
    second = (await client.get(first["nextRecordsUrl"])).json()
    assert (len(first["records"]), first["done"]) == (1_000, False)
    assert (len(second["records"]), second["done"], second["nextRecordsUrl"]) == (1, True, None)
    assert {record["id"] for record in first["records"] + second["records"]} == set(jobs)
    assert first["records"][0]["jobType"] == "V2Ingest"
    assert not first["records"][0].keys() & {"numberRecordsProcessed", "retries"}


@pytest.mark.parametrize(
    "kind, parameters, count",
    [
        ("ingest", {}, 1),
        ("ingest", {"jobType": "V2Ingest"}, 1),
        ("ingest", {"jobType": "Classic"}, 0),
        ("ingest", {"isPkChunkingEnabled": "true"}, 0),
        ("ingest", {"isPkChunkingEnabled": "false"}, 1),
        ("query", {}, 2),
        ("query", {"jobType": "V2Query"}, 2),
        ("query", {"jobType": "V2Ingest"}, 1),
    ],
)
async def test_a_list_of_jobs_is_filtered(
    bulk: BulkClient, client: httpx2.AsyncClient, kind: str, parameters: dict[str, str], count: int
) -> None:
    await bulk.create("insert")
    for _ in range(2):
        await bulk.query("SELECT Id FROM Contact")
    answer = (await client.get(f"{DATA}/jobs/{kind}", params=parameters)).json()
    assert (len(answer["records"]), answer["done"], answer["nextRecordsUrl"]) == (count, True, None)


async def test_a_made_up_list_locator_is_refused(client: httpx2.AsyncClient) -> None:
    response = await client.get(f"{DATA}/jobs/ingest", params={"queryLocator": "01g-1"})
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


async def test_an_ended_job_is_forgotten_after_seven_days(
    bulk: BulkClient, client: httpx2.AsyncClient, clock: StandingClock
) -> None:
    ended, opened = await bulk.start("insert", "LastName\nDoe\n"), await bulk.create("insert")
    query = await bulk.query("SELECT Id FROM Contact")
    await bulk.info(ended)
    clock.move(7 * 86_400 - 1)
    assert (await bulk.info(ended))["state"] == "JobComplete"
    clock.move(1)
    assert (await client.get(f"{DATA}/jobs/ingest/{ended}")).status_code == 404
    assert (await client.get(f"{DATA}/jobs/query/{query}")).status_code == 404
    assert (await bulk.info(opened))["state"] == "Open"


@pytest.mark.parametrize(
    "version, path, status",
    [("40.0", "ingest", 404), ("41.0", "ingest", 200), ("46.0", "query", 404), ("47.0", "query", 200)],
)
async def test_the_api_is_there_from_its_first_version_on(
    client: httpx2.AsyncClient, version: str, path: str, status: int
) -> None:
    assert (await client.get(f"/services/data/v{version}/jobs/{path}")).status_code == status


async def test_every_request_costs_one_api_call(bulk: BulkClient, org: SalesforceOrg) -> None:
    job = await bulk.start("insert", "LastName\nDoe\n")
    await bulk.info(job)
    await bulk.successes(job)
    assert org.api_calls == 5
    assert org.calls["PUT /jobs/ingest/{job}/batches"] == 1
