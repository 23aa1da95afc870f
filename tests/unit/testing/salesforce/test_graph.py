"""Composite Graph and sObject Tree: all or none, in their measures."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"


def node(name: str, reference: str, object_name: str = "Contact", **values: Any) -> dict[str, Any]:
    """Return a node that creates a record."""
    key = "Name" if object_name == "Account" else "LastName"
    url = f"{DATA}/sobjects/{object_name}/"
    return {"url": url, "method": "POST", "referenceId": reference, "body": {key: name, **values}}


def graph(graph_id: str, *nodes: dict[str, Any]) -> dict[str, Any]:
    """Return a graph."""
    return {"graphId": graph_id, "compositeRequest": list(nodes)}


async def send(client: httpx2.AsyncClient, *graphs: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the answers to graphs."""
    response = await client.post(f"{DATA}/composite/graph", json={"graphs": list(graphs)})
    assert response.status_code == 200, response.text
    answers: list[dict[str, Any]] = response.json()["graphs"]
    return answers


async def test_each_graph_is_all_or_none_and_all_are_one_call(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    good, bad = await send(
        client,
        graph("1", node("Acme", "a", "Account"), node("Ng", "c", AccountId="@{a.id}")),
        graph("2", node("Bad", "a", "Account"), node("", "c", AccountId="@{a.id}")),
    )
    assert list(good) == ["graphId", "graphResponse", "isSuccessful"]
    assert (good["graphId"], good["isSuccessful"], bad["isSuccessful"]) == ("1", True, False)
    made = good["graphResponse"]["compositeResponse"]
    (contact,) = org.records("Contact")
    assert contact["AccountId"] == made[0]["body"]["id"]
    halted, failed = bad["graphResponse"]["compositeResponse"]
    assert halted["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert failed["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert [row["Name"] for row in org.records("Account")] == ["Acme"]
    assert org.api_calls == 1


async def test_rows_are_read_changed_deleted_and_upserted_in_a_graph(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    old = org.create("Contact", {"LastName": "Old"})
    (answer,) = await send(
        client,
        graph(
            "g",
            {
                "method": "PATCH",
                "url": f"{DATA}/sobjects/Contact/MarkMail_Id__c/m1",
                "referenceId": "up",
                "body": {"LastName": "Ng"},
            },
            {
                "method": "PATCH",
                "url": f"{DATA}/sobjects/Contact/@{{up.id}}",
                "referenceId": "change",
                "body": {"Title": "Dr"},
            },
            {"method": "GET", "url": f"{DATA}/sobjects/Contact/@{{up.id}}", "referenceId": "read"},
            {"method": "DELETE", "url": f"{DATA}/sobjects/Contact/{old}", "referenceId": "gone"},
        ),
    )
    results = answer["graphResponse"]["compositeResponse"]
    assert [entry["httpStatusCode"] for entry in results] == [201, 204, 200, 204]
    assert results[2]["body"]["Title"] == "Dr"
    assert [row["LastName"] for row in org.records("Contact")] == ["Ng"]


async def test_after_more_than_fourteen_failed_graphs_the_rest_is_not_tried(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    graphs = [graph(f"g{place}", node("" if place < 15 else "Ng", "c")) for place in range(17)]
    answers = await send(client, *graphs)
    codes = [entry["graphResponse"]["compositeResponse"][0]["body"][0]["errorCode"] for entry in answers]
    assert codes == ["REQUIRED_FIELD_MISSING"] * 15 + ["PROCESSING_HALTED"] * 2
    assert org.records("Contact") == []
    graphs[14] = graph("g14", node("Li", "c"))
    assert [entry["isSuccessful"] for entry in await send(client, *graphs)] == [False] * 14 + [True] * 3


def chain(length: int) -> dict[str, Any]:
    """Return a graph of contacts, each reporting to the one before."""
    nodes = [node("N", "r0")]
    nodes += [node("N", f"r{place}", ReportsToId=f"@{{r{place - 1}.id}}") for place in range(1, length)]
    return graph("deep", *nodes)


@pytest.mark.parametrize(
    "graphs,code",
    [
        ([graph(f"g{place}", node("N", "c")) for place in range(76)], "LIMIT_EXCEEDED"),
        ([graph("g", *(node("N", f"r{place}") for place in range(501)))], "LIMIT_EXCEEDED"),
        ([chain(16)], "LIMIT_EXCEEDED"),
        (
            [
                graph(
                    "g",
                    *({**node("N", f"r{n}"), "url": f"/services/data/v{n}.0/sobjects/Contact"} for n in range(50, 66)),
                )
            ],
            "LIMIT_EXCEEDED",
        ),
        ([graph("g", node("N", "c")), graph("g", node("N", "c"))], "INVALID_INPUT"),
        ([graph("-", node("N", "c"))], "INVALID_INPUT"),
        ([graph("g", node("N", "c-d"))], "INVALID_INPUT"),
        ([graph("g", {"method": "GET", "url": f"{DATA}/limits", "referenceId": "x"})], "INVALID_INPUT"),
        ([graph("g", {**node("N", "c"), "method": "GET"})], "INVALID_INPUT"),
        ([graph("g")], "JSON_PARSER_ERROR"),
        ([], "JSON_PARSER_ERROR"),
        (["nonsense"], "INVALID_INPUT"),
    ],
)
async def test_limits_and_faults_refuse_the_whole_request(
    client: httpx2.AsyncClient, org: SalesforceOrg, graphs: list[Any], code: str
) -> None:
    response = await client.post(f"{DATA}/composite/graph", json={"graphs": graphs})
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)
    assert org.records("Contact") == []


async def test_the_largest_graphs_are_taken(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    assert (await send(client, chain(15)))[0]["isSuccessful"]
    (wide,) = await send(client, graph("wide", *(node("N", f"r{place}") for place in range(500))))
    assert wide["isSuccessful"]
    assert len(org.records("Contact")) == 515


async def test_graphs_came_with_v50(client: httpx2.AsyncClient) -> None:
    body = {"graphs": [graph("g", node("N", "c"))]}
    assert (await client.post("/services/data/v49.0/composite/graph", json=body)).status_code == 404
    assert (await client.post("/services/data/v50.0/composite/graph", json=body)).status_code == 200


def record(kind: str, reference: str, **values: Any) -> dict[str, Any]:
    """Return a record of a tree."""
    return {"attributes": {"type": kind, "referenceId": reference}, **values}


async def test_a_tree_is_created_level_by_level(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    people = {"records": [record("Contact", "ref2", LastName="Ng"), record("Contact", "ref3", LastName="Li")]}
    body = {
        "records": [
            record("Account", "ref1", Name="Acme", Contacts=people),
            record("Account", "ref4", Name="Ajax"),
        ]
    }
    response = await client.post(f"{DATA}/composite/tree/Account", json=body)
    assert response.status_code == 201
    answer = response.json()
    assert answer["hasErrors"] is False
    assert [entry["referenceId"] for entry in answer["results"]] == ["ref1", "ref4", "ref2", "ref3"]
    acme = answer["results"][0]["id"]
    assert [(row["LastName"], row["AccountId"]) for row in org.records("Contact")] == [("Ng", acme), ("Li", acme)]
    assert org.api_calls == 1


async def test_one_bad_record_fells_the_tree_and_is_named(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    people = {"records": [record("Contact", "ref2", LastName="Ng", Email="123")]}
    body = {"records": [record("Account", "ref1", Name="Acme", Contacts=people)]}
    response = await client.post(f"{DATA}/composite/tree/Account", json=body)
    assert response.status_code == 400
    assert response.json() == {
        "hasErrors": True,
        "results": [
            {
                "referenceId": "ref2",
                "errors": [
                    {
                        "statusCode": "INVALID_EMAIL_ADDRESS",
                        "message": "Email: invalid email address: 123",
                        "fields": ["Email"],
                    }
                ],
            }
        ],
    }
    assert org.records("Account") == org.records("Contact") == []


def tower(height: int) -> dict[str, Any]:
    """Return an account with accounts below it, one in each level."""
    below = {"ChildAccounts": {"records": [tower(height - 1)]}} if height > 1 else {}
    return record("Account", f"r{height}", Name="N", **below)


@pytest.mark.parametrize(
    "records,code",
    [
        ([record("Account", f"r{place}", Name="N") for place in range(201)], "LIMIT_EXCEEDED"),
        ([tower(6)], "LIMIT_EXCEEDED"),
        ([record("Account", "r", Name="N"), record("Account", "r", Name="M")], "INVALID_INPUT"),
        ([record("Contact", "r", LastName="N")], "INVALID_INPUT"),
        ([{"Name": "N"}], "INVALID_INPUT"),
        (["nonsense"], "INVALID_INPUT"),
        ([], "JSON_PARSER_ERROR"),
        ([record("Account", "r", Name="N", Contacts={"records": []})], "JSON_PARSER_ERROR"),
    ],
)
async def test_a_tree_out_of_measure_or_shape_is_refused(
    client: httpx2.AsyncClient, org: SalesforceOrg, records: list[Any], code: str
) -> None:
    response = await client.post(f"{DATA}/composite/tree/Account", json={"records": records})
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)
    assert org.records("Account") == []


async def test_a_tree_of_five_levels_and_two_hundred_records_is_taken(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    flat = [record("Account", f"f{place}", Name="N") for place in range(195)]
    response = await client.post(f"{DATA}/composite/tree/Account", json={"records": [tower(5), *flat]})
    assert response.status_code == 201
    assert len(org.records("Account")) == 200


async def test_an_unknown_relationship_is_an_unknown_field(client: httpx2.AsyncClient) -> None:
    body = {"records": [record("Account", "r", Name="N", People={"records": [record("Contact", "s")]})]}
    response = await client.post(f"{DATA}/composite/tree/Account", json=body)
    assert response.json()["results"][0]["errors"][0]["statusCode"] == "INVALID_FIELD"
    assert (await client.post(f"{DATA}/composite/tree/Nope", json=body)).status_code == 404
