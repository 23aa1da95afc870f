"""Ingest jobs: their life, what a row does, and their results."""

from __future__ import annotations

import httpx2
import pytest

from crmsync.testing.salesforce import API_USER_ID, SalesforceOrg
from tests.unit.testing.salesforce.bulk.conftest import DATA, BulkClient

pytestmark = pytest.mark.anyio

UPSERT = {"object": "Contact", "operation": "upsert", "externalIdFieldName": "MarkMail_Id__c"}


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
    assert len(job) == 18
    assert job.startswith("750")


async def test_an_upsert_creates_and_updates_and_reports_rows_with_their_data(
    bulk: BulkClient, org: SalesforceOrg
) -> None:
    known = org.create("Contact", {"LastName": "Old", "MarkMail_Id__c": "m2"})
    job = await bulk.upsert("MarkMail_Id__c,LastName,Title\nm1,New,\nm2,Changed,Boss\nm3,,Boss\n")
    info = await bulk.info(job)
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 3, 1)
    new = next(row for row in org.records("Contact") if row["MarkMail_Id__c"] == "m1")
    assert await bulk.successes(job) == [
        {"sf__Id": known, "sf__Created": "false", "MarkMail_Id__c": "m2", "LastName": "Changed", "Title": "Boss"},
        {"sf__Id": new["Id"], "sf__Created": "true", "MarkMail_Id__c": "m1", "LastName": "New", "Title": ""},
    ]
    assert await bulk.failures(job) == [
        {
            "sf__Id": "",
            "sf__Error": "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",
            "MarkMail_Id__c": "m3",
            "LastName": "",
            "Title": "Boss",
        }
    ]
    assert await bulk.text(job, "unprocessedrecords") == "MarkMail_Id__c,LastName,Title\n"
