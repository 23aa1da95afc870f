"""The requests that are sent, against the examples of Salesforce's documentation.

Each test names the page whose example it follows, in the REST API Developer Guide unless it says otherwise. Values
are ours; methods, paths, parameters, headers and the shape of bodies are the page's. Parameters are compared decoded.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import attrs
import httpx2
import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.errors import SchemaChangedError
from crmsync.models.records import Operation, OperationKind
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.records import RecordStore
from crmsync.providers.salesforce import SalesforceProvider, SalesforceProviderFactory
from crmsync.testing.salesforce import API_USER_ID, DEFAULT_TOKEN, FieldDef, Profile, SalesforceOrg, custom_field
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.conftest import URL

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
JSON = "application/json; charset=utf-8"
COLUMNS = "Id,SystemModstamp,LastModifiedById,MarkMail_Id__c"


@attrs.frozen
class Sent:
    """A request as the server gets it, its body parsed if it is JSON."""

    method: str
    path: str
    params: dict[str, str]
    body: Any
    headers: httpx2.Headers


class Wire(httpx2.AsyncBaseTransport):
    """Notes requests on their way to an org."""

    def __init__(self, org: SalesforceOrg) -> None:
        self._org = InProcessTransport(org)
        self.sent: list[Sent] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        content = await request.aread()
        is_json = request.headers.get("Content-Type", "").startswith("application/json")
        body = json.loads(content) if is_json else content.decode()
        assert request.url.host == "acme.my.salesforce.com"
        self.sent.append(Sent(request.method, request.url.path, dict(request.url.params), body, request.headers))
        return await self._org.handle_async_request(request)

    def take(self) -> list[Sent]:
        """What was sent since the last time."""
        taken, self.sent = self.sent, []
        return taken


@attrs.frozen
class Line:
    """A provider with the store of contacts, both ready, and the wire; nothing was sent yet but what opening takes."""

    org: SalesforceOrg
    clock: FakeClock
    wire: Wire
    provider: SalesforceProvider
    contacts: RecordStore


@asynccontextmanager
async def line(
    *, external_id_field: bool = True, contact_fields: Sequence[FieldDef] = (), **settings: Any
) -> AsyncIterator[Line]:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now, external_id_field=external_id_field, custom_fields={"Contact": contact_fields})
    wire = Wire(org)
    context = ProviderContext(clock, RunBudget(), memory={"api_version": "68.0", "user_id": API_USER_ID})
    given = {"instance_url": URL, "retry_wait": 0, **settings}
    token = {"access_token": SecretStr(DEFAULT_TOKEN)}
    async with SalesforceProviderFactory(wire).open(given, token, context) as provider:
        contacts = await provider.records("Contact")
        [describe] = wire.take()
        assert (describe.method, describe.path) == ("GET", f"{DATA}/sobjects/Contact/describe")
        yield Line(org, clock, wire, provider, contacts)


def create(key: str | None = None, **fields: object) -> Operation:
    return Operation("create", OperationKind.CREATE, None, key=key, fields={"LastName": "Smith", **fields})


# --- every request


async def test_every_request_says_who_calls() -> None:
    """ "Call Options Header"; "Authorization Through Connected Apps and OAuth 2.0"; "Response Compression"."""
    async with line() as on:
        await on.contacts.write([create("k1")])
        await on.contacts.changes(None, fields=["LastName"])
        sent = on.wire.take()
    assert len(sent) > 2
    for request in sent:
        assert request.headers["Authorization"] == f"Bearer {DEFAULT_TOKEN}"
        assert request.headers["Sforce-Call-Options"] == "client=crmsync"
        assert request.headers["User-Agent"] == f"crmsync/{version('crmsync')}"
        assert request.headers["Accept"] == "application/json"
        assert "gzip" in request.headers["Accept-Encoding"]


async def test_a_body_says_what_it_is_and_no_body_says_nothing() -> None:
    """ "Headers"."""
    async with line() as on:
        await on.contacts.write([create("k1")])
        await on.contacts.changes(None, fields=["LastName"])
        for request in on.wire.take():
            expected = None if request.method == "GET" else JSON
            assert request.headers.get("Content-Type") == expected, request.path


# --- finding out


async def test_versions_are_asked_for_without_one() -> None:
    """ "Get Versions"; "sObject Describe"; "UserInfo Endpoint" (OpenID Connect, Salesforce Help)."""
    async with line() as on:
        report = await on.provider.test_connection()
        sent = on.wire.take()
    assert report.ok
    assert [(request.method, request.path) for request in sent[:2]] == [
        ("GET", "/services/oauth2/userinfo"),
        ("GET", "/services/data"),
    ]


# --- reading


async def test_records_are_queried() -> None:
    """ "Execute a SOQL Query"; "Query Options Header"."""
    async with line() as on:
        await on.contacts.find("Email", ["o'brien@example.org", "b@example.org"], fields=["Email"])
        [sent] = on.wire.take()
    assert (sent.method, sent.path) == ("GET", f"{DATA}/query")
    assert sent.params == {
        "q": f"SELECT {COLUMNS},Email FROM Contact WHERE Email IN ('o\\'brien@example.org','b@example.org')"
    }
    assert sent.headers["Sforce-Query-Options"] == "batchSize=2000"


async def test_a_first_read_counts_and_reads_what_lives() -> None:
    """ "COUNT()" (SOQL and SOSL Reference); "Execute a SOQL Query"."""
    async with line() as on:
        await on.contacts.changes(None, fields=["LastName"], limit=500)
        counted, read = on.wire.take()
    assert (counted.path, counted.params) == (f"{DATA}/query", {"q": "SELECT COUNT() FROM Contact"})
    assert read.path == f"{DATA}/query"
    assert read.params == {"q": f"SELECT {COLUMNS},LastName FROM Contact ORDER BY SystemModstamp,Id LIMIT 500"}


async def test_a_later_read_sees_the_recycle_bin_and_asks_for_what_left_it() -> None:
    """ "Execute a SOQL Query that Includes Deleted Items"; "Get Deleted Items"."""
    async with line() as on:
        first = await on.contacts.changes(None, fields=["LastName"])
        on.clock.tick(3600)
        on.wire.take()
        await on.contacts.changes(first.cursor, fields=["LastName"])
        read, deleted = on.wire.take()
    assert (read.method, read.path) == ("GET", f"{DATA}/queryAll")
    assert " WHERE SystemModstamp >= 2026-03-01T11:49:55Z ORDER BY SystemModstamp,Id LIMIT 2000" in read.params["q"]
    assert (deleted.method, deleted.path) == ("GET", f"{DATA}/sobjects/Contact/deleted/")
    assert deleted.params == {"start": "2026-03-01T12:00:00.000Z", "end": "2026-03-01T13:00:00.000Z"}


async def test_further_batches_are_asked_for_where_the_answer_says() -> None:
    """ "Query More Results": the address is given whole and without parameters."""
    async with line() as on:
        for number in range(2001):
            on.org.create("Contact", {"LastName": f"P{number}", "Email": "twin@example.org"})
        found = await on.contacts.find("Email", ["twin@example.org"], fields=["Email"])
        first, more = on.wire.take()
    assert len(found) == 2001
    assert first.path == f"{DATA}/query"
    assert (more.method, more.params) == ("GET", {})
    assert more.path.startswith(f"{DATA}/query/01g")


async def test_a_query_that_is_too_long_for_a_uri_goes_in_the_body_of_a_composite_request() -> None:
    """Help article 000386264; "Send Multiple Requests Using Composite". Further batches come as always."""
    names = [f"A_rather_long_name_of_a_field_{number:03d}__c" for number in range(400)]
    async with line(contact_fields=[custom_field(name, "Score", length=10) for name in names]) as on:
        for number in range(3):
            on.org.create("Contact", {"LastName": f"P{number}", "Email": f"{number}@x.example", names[-1]: "last"})
        page = await on.contacts.changes(None, fields=names)
        assert [record.fields[names[-1]] for record in page.records] == ["last"] * 3
        on.wire.take()
        on.clock.tick(3600)
        await on.contacts.changes(page.cursor, fields=names)
        changed, _ = on.wire.take()
        wanted = [f"{number}@x.example" for number in range(300)]
        assert len(await on.contacts.find("Email", wanted, fields=names)) == 3
        found = on.wire.take()
        on.org.set_profile(API_USER_ID, Profile(hidden=frozenset({f"Contact.{names[0]}"})))
        with pytest.raises(SchemaChangedError, match=names[0]):
            await on.contacts.find("Email", ["1@x.example"], fields=names)
    assert (changed.method, changed.path, changed.params) == ("POST", f"{DATA}/composite", {})
    [query] = changed.body["compositeRequest"]
    assert query["url"].startswith(f"{DATA}/queryAll?q=SELECT%20Id%2C")
    assert {**query, "url": ""} == {
        "method": "GET",
        "url": "",
        "referenceId": "page0",
        "httpHeaders": {"Sforce-Query-Options": "batchSize=2000"},
    }
    assert [sent.path for sent in found] == [f"{DATA}/composite"] * 2


async def test_records_are_retrieved_by_id() -> None:
    """ "Get Records With a Request Body Using sObject Collections"."""
    async with line() as on:
        record_id = on.org.create("Contact", {"LastName": "Smith"})
        await on.contacts.get([record_id], fields=["LastName"])
        [sent] = on.wire.take()
    assert (sent.method, sent.path, sent.params) == ("POST", f"{DATA}/composite/sobjects/Contact", {})
    assert sent.body == {"ids": [record_id], "fields": [*COLUMNS.split(","), "LastName"]}


# --- writing


async def test_a_create_with_a_key_is_an_upsert() -> None:
    """ "Upsert Records Using sObject Collections"."""
    async with line() as on:
        await on.contacts.write([create("m-1", Email=None)])
        sent = on.wire.take()[0]
    assert (sent.method, sent.path) == ("PATCH", f"{DATA}/composite/sobjects/Contact/MarkMail_Id__c")
    assert sent.params == {}
    assert sent.body == {
        "allOrNone": False,
        "records": [
            {"attributes": {"type": "Contact"}, "LastName": "Smith", "Email": None, "MarkMail_Id__c": "m-1"},
        ],
    }


async def test_a_create_without_a_key_is_an_insert() -> None:
    """ "Create Records Using sObject Collections": no id is set."""
    async with line(external_id_field=False) as on:
        await on.contacts.write([create()])
        sent = on.wire.take()[0]
    assert (sent.method, sent.path, sent.params) == ("POST", f"{DATA}/composite/sobjects", {})
    assert sent.body == {
        "allOrNone": False,
        "records": [{"attributes": {"type": "Contact"}, "LastName": "Smith"}],
    }


async def test_an_update_names_the_record_in_the_body() -> None:
    """ "Update Records Using sObject Collections". Field names, Id among them, are told apart in no letter case."""
    async with line() as on:
        record_id = on.org.create("Contact", {"LastName": "Smith"})
        await on.contacts.write([Operation("u", OperationKind.UPDATE, record_id, fields={"Phone": "1"})])
        sent = on.wire.take()[0]
    assert (sent.method, sent.path, sent.params) == ("PATCH", f"{DATA}/composite/sobjects", {})
    assert sent.body == {
        "allOrNone": False,
        "records": [{"attributes": {"type": "Contact"}, "Id": record_id, "Phone": "1"}],
    }


async def test_a_delete_names_the_records_in_the_address() -> None:
    """ "Delete Records Using sObject Collections"."""
    async with line() as on:
        ids = [on.org.create("Contact", {"LastName": name}) for name in ("A", "B")]
        await on.contacts.write([Operation(i, OperationKind.DELETE, i) for i in ids])
        [sent] = on.wire.take()
    assert (sent.method, sent.path) == ("DELETE", f"{DATA}/composite/sobjects")
    assert sent.params == {"ids": ",".join(ids), "allOrNone": "false"}
    assert sent.body == ""


@pytest.mark.parametrize("allowed", [True, False])
async def test_several_pages_are_subrequests_of_one_call(*, allowed: bool) -> None:
    """ "Composite", with the example of "allOrNone Parameters in Composite and Collections Requests"."""
    async with line(allow_duplicates=allowed, channel="collections") as on:
        await on.contacts.write([create(f"m-{number:03}") for number in range(600)])
        sent = on.wire.take()[1]
    assert (sent.method, sent.path, sent.params) == ("POST", f"{DATA}/composite", {})
    pages = sent.body.pop("compositeRequest")
    assert sent.body == {"allOrNone": False, "collateSubrequests": False}
    assert [len(page["body"].pop("records")) for page in pages] == [200, 200]
    headers = {"httpHeaders": {"Sforce-Duplicate-Rule-Header": "allowSave=true"}} if allowed else {}
    url = f"{DATA}/composite/sobjects/Contact/MarkMail_Id__c"
    assert pages == [
        {"method": "PATCH", "url": url, "referenceId": f"page{number}", **headers, "body": {"allOrNone": False}}
        for number in range(2)
    ]


async def test_pages_of_deletes_have_their_ids_in_their_addresses() -> None:
    """ "Composite" with "Delete Records Using sObject Collections"."""
    async with line(channel="collections") as on:
        ids = sorted(on.org.create("Contact", {"LastName": "A"}) for _ in range(600))
        await on.contacts.write([Operation(i, OperationKind.DELETE, i) for i in ids])
        sent = on.wire.take()[1]
    url = f"{DATA}/composite/sobjects?ids="
    assert sent.body["compositeRequest"] == [
        {"method": "DELETE", "url": f"{url}{','.join(page)}&allOrNone=false", "referenceId": f"page{number}"}
        for number, page in enumerate((ids[200:400], ids[400:]))
    ]


@pytest.mark.parametrize("allowed", [True, False])
async def test_only_saving_says_what_to_do_about_duplicate_rules(*, allowed: bool) -> None:
    """ "Duplicate Rule Header"."""
    async with line(allow_duplicates=allowed) as on:
        record_id = on.org.create("Contact", {"LastName": "Smith"})
        operations = [create("m-1"), Operation("u", OperationKind.UPDATE, record_id, fields={"Phone": "1"})]
        await on.contacts.write(operations)
        sent = on.wire.take()
    said = [request.headers.get("Sforce-Duplicate-Rule-Header") for request in sent]
    saving = "allowSave=true" if allowed else None
    assert said == [saving, saving, None]
    assert [request.method for request in sent] == ["PATCH", "PATCH", "POST"]


# --- bulk jobs ("Bulk API 2.0 and Bulk API Developer Guide")


async def test_a_bulk_upsert_is_a_job() -> None:
    """ "Create a Job", "Upload Job Data", "Upload Complete", "Get Information About a Job", "Get Job ... Results"."""
    async with line(channel="bulk") as on:
        await on.contacts.write([create("m-1", Email=None), create("m-2", LastName=None, Phone='say "1"')])
        sent = on.wire.take()
    made, upload, closed, *asked = [one for one in sent if "/jobs/" in one.path]
    assert (made.method, made.path) == ("POST", f"{DATA}/jobs/ingest")
    assert (
        made.body.items()
        >= {
            "object": "Contact",
            "operation": "upsert",
            "externalIdFieldName": "MarkMail_Id__c",
            "contentType": "CSV",
            "lineEnding": "LF",
        }.items()
    )
    job = closed.path.removeprefix(f"{DATA}/jobs/ingest/")
    assert job.startswith("750")
    assert (upload.method, upload.path) == ("PUT", f"{DATA}/jobs/ingest/{job}/batches")
    assert upload.headers["Content-Type"] == "text/csv"
    assert (closed.method, closed.body) == ("PATCH", {"state": "UploadComplete"})
    assert set(upload.body.splitlines()[0].split(",")) == {"MarkMail_Id__c", "LastName", "Email", "Phone"}
    assert {(one.method, one.path.removeprefix(f"{DATA}/jobs/ingest/{job}")) for one in asked} == {
        ("GET", ""),
        ("GET", "/successfulResults"),
        ("GET", "/failedResults"),
    }
    assert all(one.headers["Sforce-Call-Options"] == "client=crmsync" for one in sent)
