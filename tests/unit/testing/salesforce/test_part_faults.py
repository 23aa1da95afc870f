"""Faults of parts of a call: subrequests of Composite, Graph and Batch, and records of sObject Collections."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
LONG = "ConcurrentPerOrgLongTxn Limit exceeded."


async def trouble(client: httpx2.AsyncClient, **faults: Any) -> httpx2.Response:
    return await client.post("/__emulator__/faults", json=faults)


def node(name: str, object_name: str = "Contact", **fields: Any) -> dict[str, Any]:
    body = {"LastName": name, **fields} if object_name == "Contact" else {"Name": name}
    return {"method": "POST", "url": f"{DATA}/sobjects/{object_name}", "referenceId": name, "body": body}


async def composite(client: httpx2.AsyncClient, *nodes: dict[str, Any], **given: Any) -> list[dict[str, Any]]:
    answer = await client.post(f"{DATA}/composite", json={"compositeRequest": nodes, **given})
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["compositeResponse"]
    return found


def names(org: SalesforceOrg) -> list[str]:
    return [row["LastName"] for row in org.records("Contact")]


async def test_a_subrequest_fails_in_the_midst_of_a_call_that_succeeds(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    fault = {"within": "composite", "path": "sobjects/Contact", "status": 403, "message": LONG}
    assert (await trouble(client, fail_part=fault)).status_code == 200
    account, refused, saved = await composite(client, node("Acme", "Account"), node("Ng"), node("Li"))
    assert [account["httpStatusCode"], refused["httpStatusCode"], saved["httpStatusCode"]] == [201, 403, 201]
    assert refused["body"] == [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": LONG}]
    assert refused["referenceId"] == "Ng"
    assert names(org) == ["Li"]


async def test_a_subrequest_takes_effect_and_fails_all_the_same(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    """Where all are undone together, that effect is undone, too."""
    fault = {"status": 500, "after_effect": True}
    await trouble(client, fail_part=fault)
    first, second = await composite(client, node("Ng"), node("Li", AccountId="@{Ng.id}"))
    assert first["body"][0]["errorCode"] == "UNKNOWN_EXCEPTION"
    assert second["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert names(org) == ["Ng"]
    await trouble(client, fail_part=fault)
    assert [one["httpStatusCode"] for one in await composite(client, node("Bo"), allOrNone=True)] == [500]
    assert names(org) == ["Ng"]


async def test_a_node_takes_its_graph_along_and_leaves_the_others(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    await trouble(client, fail_part={"within": "graph", "path": "Contact", "code": "UNABLE_TO_LOCK_ROW", "status": 400})
    graphs = [{"graphId": f"g{n}", "compositeRequest": [node("Acme", "Account"), node(f"P{n}")]} for n in range(2)]
    answer = (await client.post(f"{DATA}/composite/graph", json={"graphs": graphs})).json()["graphs"]
    assert [graph["isSuccessful"] for graph in answer] == [False, True]
    halted, locked = answer[0]["graphResponse"]["compositeResponse"]
    assert [halted["body"][0]["errorCode"], locked["body"][0]["errorCode"]] == [
        "PROCESSING_HALTED",
        "UNABLE_TO_LOCK_ROW",
    ]
    assert names(org) == ["P1"]
    assert len(org.records("Account")) == 1


async def test_a_batch_halts_at_its_part_that_fails(client: httpx2.AsyncClient) -> None:
    await trouble(client, fail_part={"within": "batch", "method": "GET", "times": 1})
    asked = [{"method": "GET", "url": "v68.0/limits"}, {"method": "GET", "url": "v68.0/sobjects"}]
    sent = {"batchRequests": asked, "haltOnError": True}
    answer = (await client.post(f"{DATA}/composite/batch", json=sent)).json()
    assert answer["hasErrors"] is True
    assert [one["statusCode"] for one in answer["results"]] == [503, 412]
    again = (await client.post(f"{DATA}/composite/batch", json=sent)).json()
    assert again["hasErrors"] is False


async def test_a_record_of_a_collection_fails_alone(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    records = [{"attributes": {"type": "Contact"}, "LastName": name} for name in ("Ng", "Li")]
    await trouble(client, fail_part={"within": "collections", "status": 403, "message": LONG})
    refused, saved = (await client.post(f"{DATA}/composite/sobjects", json={"records": records})).json()
    error = {"statusCode": "REQUEST_LIMIT_EXCEEDED", "message": LONG, "fields": []}
    assert refused == {"success": False, "errors": [error]}
    assert names(org) == ["Li"]
    await trouble(client, fail_part={"path": saved["id"], "method": "DELETE"})
    [kept] = (await client.delete(f"{DATA}/composite/sobjects", params={"ids": saved["id"]})).json()
    assert kept["errors"][0]["statusCode"] == "SERVER_UNAVAILABLE"


async def test_a_fault_waits_for_its_own_kind_of_call(client: httpx2.AsyncClient) -> None:
    await trouble(client, fail_part={"within": "graph"})
    assert [one["httpStatusCode"] for one in await composite(client, node("Ng"))] == [201]
    unknown = await trouble(client, fail_part={"within": "tree"})
    assert unknown.status_code == 400
    assert "within is one of composite, graph, batch, collections" in unknown.text
    await trouble(client, clear=True)
    graph = {"graphs": [{"graphId": "g", "compositeRequest": [node("Li")]}]}
    assert (await client.post(f"{DATA}/composite/graph", json=graph)).json()["graphs"][0]["isSuccessful"]


async def test_too_many_long_transactions_refuse_a_call(client: httpx2.AsyncClient) -> None:
    await trouble(client, long_transactions_exceeded=1)
    refused = await client.get(f"{DATA}/limits")
    assert (refused.status_code, refused.json()) == (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": LONG}])
    assert (await client.get(f"{DATA}/limits")).status_code == 200
