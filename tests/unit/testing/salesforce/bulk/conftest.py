"""A client that speaks Bulk API 2.0 as the documentation shows it, one call a method."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport

DATA = "/services/data/v68.0"
Rows = list[dict[str, str]]


class BulkClient:
    """Jobs over HTTP."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.http = client

    async def create(self, operation: str, object_name: str = "Contact", **properties: str) -> str:
        """Create an ingest job and return its id."""
        body = {"operation": operation, "object": object_name, **properties}
        response = await self.http.post(f"{DATA}/jobs/ingest", json=body)
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    async def put(self, job: str, data: str | bytes) -> httpx2.Response:
        """Upload a job's data."""
        content = data.encode() if isinstance(data, str) else data
        headers = {"Content-Type": "text/csv"}
        return await self.http.put(f"{DATA}/jobs/ingest/{job}/batches", content=content, headers=headers)

    async def patch(self, job: str, state: str, kind: str = "ingest") -> httpx2.Response:
        """Close or abort a job."""
        return await self.http.patch(f"{DATA}/jobs/{kind}/{job}", json={"state": state})

    async def info(self, job: str, kind: str = "ingest") -> dict[str, Any]:
        """Return how a job stands."""
        response = await self.http.get(f"{DATA}/jobs/{kind}/{job}")
        assert response.status_code == 200, response.text
        info: dict[str, Any] = response.json()
        return info

    async def start(self, operation: str, data: str | bytes, object_name: str = "Contact", **properties: str) -> str:
        """Create a job, upload its data, close it and return its id."""
        job = await self.create(operation, object_name, **properties)
        assert (await self.put(job, data)).status_code == 201
        assert (await self.patch(job, "UploadComplete")).status_code == 200
        return job

    async def upsert(self, data: str | bytes, **properties: str) -> str:
        """Start an upsert of Contacts by their MarkMail_Id__c and return the job's id."""
        return await self.start("upsert", data, externalIdFieldName="MarkMail_Id__c", **properties)

    async def text(self, job: str, resource: str) -> str:
        """Return one of the results of an ingest job."""
        response = await self.http.get(f"{DATA}/jobs/ingest/{job}/{resource}")
        assert response.status_code == 200, response.text
        return response.text

    async def successes(self, job: str) -> Rows:
        """Return the rows saved."""
        return rows(await self.text(job, "successfulResults"))

    async def failures(self, job: str) -> Rows:
        """Return the rows refused."""
        return rows(await self.text(job, "failedResults"))

    async def errors(self, job: str) -> list[str]:
        """Return the errors of the rows refused."""
        return [row["sf__Error"] for row in await self.failures(job)]

    async def query(self, text: str, operation: str = "query", version: str = "68.0", **properties: str) -> str:
        """Create a query job and return its id."""
        body = {"operation": operation, "query": text, **properties}
        response = await self.http.post(f"/services/data/v{version}/jobs/query", json=body)
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    async def results(self, job: str, version: str = "68.0", **parameters: str | int) -> httpx2.Response:
        """Return a page of a query job's results, the job polled before."""
        await self.http.get(f"/services/data/v{version}/jobs/query/{job}")
        return await self.http.get(f"/services/data/v{version}/jobs/query/{job}/results", params=parameters)


def rows(text: str) -> Rows:
    """Return CSV with commas as dicts."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


@asynccontextmanager
async def bulk_client(org: SalesforceOrg) -> AsyncIterator[BulkClient]:
    """Open a client of an org."""
    headers = {"Authorization": f"Bearer {org.access_token}"}
    transport = InProcessTransport(org, control=True)
    async with httpx2.AsyncClient(transport=transport, base_url="http://org.example", headers=headers) as client:
        yield BulkClient(client)


@pytest.fixture
def bulk(client: httpx2.AsyncClient) -> BulkClient:
    return BulkClient(client)
