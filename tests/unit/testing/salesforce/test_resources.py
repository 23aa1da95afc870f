"""What real clients ask on their way: resources, limits, conditional reads, the Tooling API's query."""

from __future__ import annotations

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
ACCOUNT = f"{DATA}/sobjects/Account"
CONTACT = f"{DATA}/sobjects/Contact"
BEFORE = {"If-Modified-Since": "Tue, 24 Nov 2026 20:34:25 GMT"}
SINCE = {"If-Modified-Since": "Tue, 24 Nov 2026 20:34:26 GMT"}


async def test_each_resource_that_is_listed_answers(client: httpx2.AsyncClient) -> None:
    resources = (await client.get(DATA)).json()
    assert resources.pop("identity").startswith("http://org.example/id/00D")
    assert {"tooling", "search", "parameterizedSearch", "composite", "jobs", "limits"} <= set(resources)
    below = {"tooling": "/query?q=x", "jobs": "/ingest", "search": "?q=x", "parameterizedSearch": "?q=xy"}
    for name, path in resources.items():
        assert (await client.get(path + below.get(name, ""))).status_code in (200, 400), name


async def test_the_limits_have_the_keys_of_a_real_org(client: httpx2.AsyncClient) -> None:
    limits = (await client.get(f"{DATA}/limits")).json()
    assert len(limits) == 50
    assert list(limits) == sorted(limits)
    assert all(set(entry) >= {"Max", "Remaining"} for entry in limits.values())
    assert limits["DailyApiRequests"] == {"Max": 100_000, "Remaining": 99_999}


@pytest.mark.parametrize("name", ["SandboxProcess", "ApexClass", "Contact"])
async def test_the_tooling_query_knows_no_object(client: httpx2.AsyncClient, name: str) -> None:
    response = await client.get(f"{DATA}/tooling/query", params={"q": f"SELECT Id FROM {name}"})
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "INVALID_TYPE")
    for params in ({}, {"q": "SELECT"}):
        wrong = await client.get(f"{DATA}/tooling/query", params=params)
        assert wrong.json()[0]["errorCode"] == "MALFORMED_QUERY"


async def test_the_org_is_no_dev_hub(client: httpx2.AsyncClient) -> None:
    response = await client.get("/services/data/v51.0/query", params={"q": "SELECT Id FROM ScratchOrgInfo limit 1"})
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "INVALID_TYPE")


@pytest.mark.parametrize("path", [f"{DATA}/sobjects", f"{CONTACT}/describe"])
async def test_describes_are_not_sent_again_unless_changed(client: httpx2.AsyncClient, path: str) -> None:
    first = await client.get(path, headers=BEFORE)
    assert (first.status_code, first.headers["Last-Modified"]) == (200, SINCE["If-Modified-Since"])
    again = await client.get(path, headers=SINCE)
    assert (again.status_code, again.content) == (304, b"")
    assert (await client.get(path, headers={"If-Modified-Since": "soon"})).status_code == 400


async def test_a_row_is_not_sent_again_unless_changed(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    path = f"{CONTACT}/{org.create('Contact', {'LastName': 'Ng'})}"
    first = await client.get(path, headers=BEFORE)
    assert first.status_code == 200
    assert "ETag" not in first.headers
    assert (await client.get(path, headers=SINCE)).status_code == 304


async def test_only_accounts_have_tags_by_which_changes_are_seen(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    path = f"{ACCOUNT}/{org.create('Account', {'Name': 'Acme'})}"
    tag = (await client.get(path)).headers["ETag"]
    for seen in (tag, f'{tag[:-1]}-gzip"', "*", f'"other", {tag}'):
        response = await client.get(path, headers={"If-None-Match": seen})
        assert (response.status_code, response.headers["ETag"]) == (304, tag)
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200
    lost = await client.patch(path, json={"Name": "B"}, headers={"If-Match": '"other"'})
    assert (lost.status_code, lost.json()[0]["errorCode"]) == (412, "PRECONDITION_FAILED")
    assert (await client.patch(path, json={"Name": "B"}, headers={"If-Match": tag})).status_code == 204
    assert (await client.get(path)).headers["ETag"] != tag
    assert (await client.patch(path, json={"Name": "C"}, headers={"If-Match": tag})).status_code == 412
    contact = f"{CONTACT}/{org.create('Contact', {'LastName': 'Ng'})}"
    assert (await client.patch(contact, json={"LastName": "C"}, headers={"If-Match": tag})).status_code == 204


async def test_a_created_record_is_located(client: httpx2.AsyncClient) -> None:
    made = await client.post(CONTACT, json={"LastName": "Ng"})
    assert made.headers["Location"] == f"{CONTACT}/{made.json()['id']}"
    upserted = await client.patch(f"{CONTACT}/MarkMail_Id__c/m1", json={"LastName": "Ng"})
    assert upserted.headers["Location"] == f"{CONTACT}/{upserted.json()['id']}"
