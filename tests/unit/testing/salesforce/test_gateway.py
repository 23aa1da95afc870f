"""Versions, tokens, limits, odd URLs: what every call meets before its resource."""

from __future__ import annotations

import httpx2
import pytest

from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
NOT_FOUND = [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]


async def test_the_versions_are_listed_to_anyone_and_cost_nothing(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    response = await client.get("/services/data", headers={"Authorization": ""})
    versions = response.json()
    assert versions[0] == {"label": "Winter '18", "url": "/services/data/v41.0", "version": "41.0"}
    assert versions[-1] == {"label": "Winter '27", "url": DATA, "version": "68.0"}
    assert [entry["version"] for entry in versions] == [f"{number}.0" for number in range(41, 69)]
    assert "Sforce-Limit-Info" not in response.headers
    assert org.api_calls == 0


@pytest.mark.parametrize(
    "version,status,code",
    [("v20.0", 410, "GONE"), ("v30.0", 410, "GONE"), ("v69.0", 404, "NOT_FOUND"), ("v68", 404, "NOT_FOUND")],
)
async def test_retired_and_unknown_versions_are_told_apart(
    client: httpx2.AsyncClient, version: str, status: int, code: str
) -> None:
    response = await client.get(f"/services/data/{version}/limits")
    assert (response.status_code, response.json()[0]["errorCode"]) == (status, code)


@pytest.mark.parametrize("version", ["v31.0", "v68.0"])
async def test_live_versions_answer_under_their_own_name(client: httpx2.AsyncClient, version: str) -> None:
    response = await client.get(f"/services/data/{version}/")
    assert response.json()["sobjects"] == f"/services/data/{version}/sobjects"


@pytest.mark.parametrize("header", ["", "Bearer wrong", DEFAULT_TOKEN, f"Basic {DEFAULT_TOKEN}"])
@pytest.mark.parametrize("path", ["limits", "nothing/here", "query?q=SELECT"])
async def test_without_a_good_token_every_resource_is_401(client: httpx2.AsyncClient, header: str, path: str) -> None:
    response = await client.get(f"{DATA}/{path}", headers={"Authorization": header})
    assert response.status_code == 401
    assert response.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    assert "Sforce-Limit-Info" not in response.headers


async def test_expired_sessions_are_401(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    assert (await client.get(f"{DATA}/limits")).status_code == 200
    org.expire_sessions()
    assert (await client.get(f"{DATA}/limits")).status_code == 401


async def test_every_answer_tells_the_calls_used_until_the_limit_refuses_more() -> None:
    org = SalesforceOrg(daily_limit=2)
    headers = {"Authorization": f"Bearer {org.access_token}"}
    async with httpx2.AsyncClient(
        transport=InProcessTransport(org), base_url="http://org.example", headers=headers
    ) as client:
        ok = await client.get(f"{DATA}/limits")
        bad = await client.get(f"{DATA}/query", params={"q": "SELECT"})
        over = await client.post(f"{DATA}/sobjects/Contact", json={"LastName": "Ng"})
    assert ok.headers["Sforce-Limit-Info"] == "api-usage=1/2"
    assert ok.json()["DailyApiRequests"] == {"Max": 2, "Remaining": 1}
    assert (bad.status_code, bad.headers["Sforce-Limit-Info"]) == (400, "api-usage=2/2")
    assert over.status_code == 403
    assert over.json() == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    assert org.records("Contact") == []


async def test_records_are_counted_without_the_recycle_bin(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    ids = [org.create("Contact", {"LastName": name}) for name in "ABC"]
    org.delete("Contact", ids[0])
    response = await client.get(f"{DATA}/limits/recordCount", params={"sObjects": "Contact,Lead"})
    assert response.json() == {"sObjects": [{"count": 2, "name": "Contact"}, {"count": 0, "name": "Lead"}]}


@pytest.mark.parametrize("path", [f"//{DATA[1:]}/limits", f"///{DATA[1:]}/limits/", f"{DATA}/limits/"])
async def test_slashes_in_front_and_behind_do_not_matter(client: httpx2.AsyncClient, path: str) -> None:
    response = await client.get(f"http://org.example{path}")
    assert "DailyApiRequests" in response.json()


async def test_unknown_resources_and_methods_are_refused_with_the_code_first(client: httpx2.AsyncClient) -> None:
    missing = await client.get(f"{DATA}/nothing/here")
    assert (missing.status_code, missing.json()) == (404, NOT_FOUND)
    assert list(missing.json()[0]) == ["errorCode", "message"]
    outside = await client.get("/elsewhere")
    assert (outside.status_code, outside.json()) == (404, NOT_FOUND)
    wrong = await client.put(f"{DATA}/sobjects/Contact", json={})
    assert wrong.status_code == 405
    assert wrong.headers["Allow"] == "GET,POST"
    assert wrong.json()[0]["errorCode"] == "METHOD_NOT_ALLOWED"


async def test_a_uri_over_16384_bytes_is_414_and_with_its_headers_431(client: httpx2.AsyncClient) -> None:
    def query(length: int) -> str:
        return f"{DATA}/query?q=SELECT+Id+FROM+Contact{'+' * length}"

    assert (await client.get(query(15_000))).status_code == 200
    assert (await client.get(query(16_384))).status_code == 414
    headers = {"X-Filler": "x" * 8_000}
    assert (await client.get(query(15_000), headers=headers)).status_code == 431


async def test_calls_are_counted_by_resource_not_by_record(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    for name in ("x", "y"):
        await client.patch(f"{DATA}/sobjects/Contact/MarkMail_Id__c/{name}", json={"LastName": name})
    await client.get(f"{DATA}/query", params={"q": "SELECT Id FROM Contact"})
    assert org.calls == {"PATCH /sobjects/{object}/{field}/{value:path}": 2, "GET /query": 1}
    org.reset_counters()
    assert (org.calls, org.api_calls) == ({}, 0)
