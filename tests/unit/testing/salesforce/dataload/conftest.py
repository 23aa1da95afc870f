"""A client that speaks the first Bulk API as its documentation shows it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from defusedxml.ElementTree import fromstring

from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport

NAMESPACE = "{http://www.force.com/2009/06/asyncapi/dataload}"
KINDS = {"CSV": "text/csv; charset=UTF-8", "JSON": "application/json", "XML": "application/xml; charset=UTF-8"}


class LoadClient:
    """Jobs and batches over HTTP."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def post(self, path: str, body: str, kind: str = "XML") -> httpx2.Response:
        """Send something."""
        return await self.http.post(path, content=body.encode(), headers={"Content-Type": KINDS[kind]})

    async def create(self, operation: str, content_type: str = "CSV", **more: str) -> str:
        """Create a job by the XML of the documentation and return its id."""
        response = await self.post("/job", job_xml(operation=operation, contentType=content_type, **more))
        assert response.status_code == 201, response.text
        return xml(response)["id"]

    async def add(self, job: str, data: str, kind: str = "CSV") -> str:
        """Add a batch and return its id."""
        response = await self.post(f"/job/{job}/batch", data, kind)
        assert response.status_code == 201, response.text
        return str(response.json()["id"] if kind == "JSON" else xml(response)["id"])

    async def load(self, operation: str, data: str, kind: str = "CSV", **more: str) -> tuple[str, str]:
        """Create a job of one batch; their ids."""
        job = await self.create(operation, kind, **more)
        return job, await self.add(job, data, kind)

    async def info(self, job: str, batch: str | None = None) -> dict[str, str]:
        """How a job, or one of its batches, stands."""
        return xml(await self.http.get(f"/job/{job}" + (f"/batch/{batch}" if batch else "")))

    async def results(self, job: str, batch: str, *more: str) -> httpx2.Response:
        """The results of a batch, or the file of a query."""
        return await self.http.get("/".join([f"/job/{job}/batch/{batch}/result", *more]))


def job_xml(**properties: str) -> str:
    """A jobInfo; the object is Contact unless another is given."""
    values = {"operation": "insert", "object": "Contact", **properties}
    # The schema is a sequence: the operation, the object, the external id, the mode, the content type.
    order = ("operation", "object", "externalIdFieldName", "concurrencyMode", "contentType", "state")
    elements = "".join(f"<{name}>{values[name]}</{name}>" for name in order if name in values)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload">{elements}</jobInfo>'
    )


def state_xml(state: str) -> str:
    """What closes or aborts a job."""
    return f'<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload"><state>{state}</state></jobInfo>'


def xml(response: httpx2.Response) -> dict[str, str]:
    """An answer's elements by their names."""
    assert response.headers["Content-Type"] == "application/xml"
    return {element.tag.removeprefix(NAMESPACE): element.text or "" for element in fromstring(response.content)}


def refusal(response: httpx2.Response) -> tuple[int, str, str]:
    """The status, the code and the message of a refusal, in either form."""
    said: Mapping[str, Any] = json.loads(response.text) if response.text.startswith("{") else xml(response)
    return response.status_code, said["exceptionCode"], said["exceptionMessage"]


@asynccontextmanager
async def load_client(org: SalesforceOrg) -> AsyncIterator[LoadClient]:
    """Open a client of an org."""
    headers = {"X-SFDC-Session": org.access_token}
    base = "http://org.example/services/async/64.0"
    async with httpx2.AsyncClient(transport=InProcessTransport(org), base_url=base, headers=headers) as http:
        yield LoadClient(http)


@pytest.fixture
async def loads(org: SalesforceOrg) -> AsyncIterator[LoadClient]:
    async with load_client(org) as client:
        yield client
