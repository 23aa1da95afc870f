"""Composite and Composite Batch: references, all or none, limits, and what they cost."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg, validation_rule

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
HALTED = [
    {
        "errorCode": "PROCESSING_HALTED",
        "message": "The transaction was rolled back since another operation in the same transaction failed.",
    }
]


def create(name: str, reference: str, object_name: str = "Contact", **values: Any) -> dict[str, Any]:
    """Return a subrequest that creates a record."""
    key = "Name" if object_name == "Account" else "LastName"
    return {
        "method": "POST",
        "url": f"{DATA}/sobjects/{object_name}",
        "referenceId": reference,
        "body": {key: name, **values},
    }


def get(path: str, reference: str, **more: Any) -> dict[str, Any]:
    """Return a subrequest that reads."""
    return {"method": "GET", "url": f"{DATA}/{path}", "referenceId": reference, **more}


async def send(client: httpx2.AsyncClient, *requests: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """Return the results of a composite request."""
    version = options.pop("version", "v68.0")
    body = {**options, "compositeRequest": list(requests)}
    response = await client.post(f"/services/data/{version}/composite", json=body)
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["compositeResponse"]
    assert [list(entry) for entry in results] == [["body", "httpHeaders", "httpStatusCode", "referenceId"]] * len(
        results
    )
    return results


async def refusal(client: httpx2.AsyncClient, path: str, body: Any) -> tuple[str, str]:
    """Return code and message of a request that is refused as a whole."""
    response = await client.post(f"{DATA}/{path}", json=body)
    assert response.status_code == 400
    answer = response.json()
    (error,) = answer["compositeResponse"][0]["body"] if isinstance(answer, dict) else answer
    return error["errorCode"], error["message"]


async def test_later_subrequests_use_the_answers_of_earlier_ones(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    account, contact, found, read, gone = await send(
        client,
        create("Acme", "acc", "Account"),
        create("Ng", "con", AccountId="@{acc.id}", Title="of @{acc.id}, new: @{acc.success}"),
        get("query?q=SELECT+Id,+LastName+FROM+Contact+WHERE+AccountId='@{acc.id}'", "found"),
        get("sobjects/Contact/@{found.records[0].Id}?fields=Title,AccountId", "read"),
        {"method": "DELETE", "url": f"{DATA}/sobjects/Contact/@{{con.id}}", "referenceId": "gone"},
    )
    account_id, contact_id = account["body"]["id"], contact["body"]["id"]
    assert account["httpStatusCode"] == 201
    assert account["httpHeaders"] == {"Location": f"{DATA}/sobjects/Account/{account_id}"}
    assert found["body"]["records"][0]["LastName"] == "Ng"
    assert read["body"]["AccountId"] == account_id
    assert read["body"]["Title"] == f"of {account_id}, new: true"
    assert (gone["httpStatusCode"], gone["body"], gone["referenceId"]) == (204, None, "gone")
    deleted = org.get("Contact", contact_id)
    assert deleted is not None
    assert deleted["IsDeleted"]
    assert org.api_calls == 1


async def test_without_all_or_none_only_dependents_of_a_failure_fail(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    bad, dependent, good = await send(
        client,
        create("Acme", "acc", "Account", Website="x", NoSuch__c="y"),
        create("Ng", "con", AccountId="@{acc.id}"),
        create("Li", "other"),
    )
    assert bad["body"][0]["errorCode"] == "INVALID_FIELD"
    assert dependent["httpStatusCode"] == 400
    assert dependent["body"] == [
        {
            "errorCode": "PROCESSING_HALTED",
            "message": "Invalid reference specified. No value for acc.id found in acc.",
        }
    ]
    assert good["httpStatusCode"] == 201
    assert [row["LastName"] for row in org.records("Contact")] == ["Li"]


async def test_all_or_none_undoes_everything_and_halts_the_others(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    kept = org.create("Contact", {"LastName": "Old"})
    update = {
        "method": "PATCH",
        "url": f"{DATA}/sobjects/Contact/{kept}",
        "referenceId": "upd",
        "body": {"LastName": "New"},
    }
    results = await send(client, create("A", "a"), update, create("", "bad"), create("B", "b"), allOrNone=True)
    assert [entry["httpStatusCode"] for entry in results] == [400] * 4
    assert results[2]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert [results[place]["body"] for place in (0, 1, 3)] == [HALTED] * 3
    assert [row["LastName"] for row in org.records("Contact")] == ["Old"]
    assert all(entry["httpStatusCode"] < 300 for entry in await send(client, create("A", "a"), update, allOrNone=True))


@pytest.mark.parametrize("inner", [True, False])
async def test_all_or_none_reaches_into_collections_which_may_still_say_success(
    client: httpx2.AsyncClient, org: SalesforceOrg, inner: bool
) -> None:
    records = [{"attributes": {"type": "Contact"}, "LastName": "A"}, {"attributes": {"type": "Contact"}}]
    collection = {
        "method": "POST",
        "url": f"{DATA}/composite/sobjects",
        "referenceId": "many",
        "body": {"allOrNone": inner, "records": records},
    }
    many, one = await send(client, collection, create("B", "b"), allOrNone=True)
    assert many["httpStatusCode"] == 200
    assert [entry["success"] for entry in many["body"]] == [not inner, False]
    assert one["body"] == HALTED
    assert org.records("Contact") == []
    await send(client, collection, create("B", "b"))
    assert len(org.records("Contact")) == (1 if inner else 2)


async def test_subrequests_have_headers_and_versions_of_their_own(client: httpx2.AsyncClient) -> None:
    since = {"If-Modified-Since": "Wed, 25 Nov 2026 00:00:00 GMT"}
    unchanged, old, gone, missing, wrong = await send(
        client,
        get("sobjects/Contact/describe", "a", httpHeaders=since),
        {"method": "GET", "url": "/services/data/v45.0/", "referenceId": "b"},
        {"method": "GET", "url": "/services/data/v30.0/", "referenceId": "c"},
        get("jobs/ingest", "d"),
        {"method": "PUT", "url": f"{DATA}/sobjects/Contact", "referenceId": "e"},
    )
    assert (unchanged["httpStatusCode"], unchanged["body"]) == (304, None)
    assert "Last-Modified" in unchanged["httpHeaders"]
    assert old["body"]["sobjects"] == "/services/data/v45.0/sobjects"
    assert [entry["httpStatusCode"] for entry in (gone, missing, wrong)] == [410, 404, 405]


async def test_a_subrequest_does_not_take_over_the_conditions_of_the_request_around_it(
    client: httpx2.AsyncClient,
) -> None:
    body = {"compositeRequest": [get("sobjects/Contact/describe", "a")]}
    since = {"If-Modified-Since": "Wed, 25 Nov 2026 00:00:00 GMT"}
    response = await client.post(f"{DATA}/composite", json=body, headers=since)
    assert response.json()["compositeResponse"][0]["httpStatusCode"] == 200


@pytest.mark.parametrize("version,status", [("v51.0", 400), ("v52.0", 201)])
async def test_a_reference_to_a_null_field_is_null_since_v52(
    client: httpx2.AsyncClient, org: SalesforceOrg, version: str, status: int
) -> None:
    found = org.create("Contact", {"LastName": "Ng"})
    _, made = await send(
        client,
        get(f"sobjects/Contact/{found}?fields=FirstName,LastName", "c"),
        create("@{c.LastName}", "made", FirstName="@{c.FirstName}"),
        version=version,
    )
    assert made["httpStatusCode"] == status
    assert len(org.records("Contact")) == (2 if status == 201 else 1)


@pytest.mark.parametrize(
    "reference", ["con", "con.ID", "nobody.id", "con.errors", "con.errors[0]", "con.id.x", "con[0]", "con.i d", ""]
)
async def test_a_reference_must_lead_to_a_single_value_letter_for_letter(
    client: httpx2.AsyncClient, reference: str
) -> None:
    _, made = await send(client, create("A", "con"), create("B", "made", Title=f"@{{{reference}}}"))
    assert made["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert f"No value for {reference} found" in made["body"][0]["message"]


async def test_limits_and_faults_of_the_whole_request(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    many = {"compositeRequest": [create("A", f"r{place}") for place in range(26)]}
    code, message = await refusal(client, "composite", many)
    assert (code, message) == ("LIMIT_EXCEEDED", "The request can\u2019t contain more than 25 operations.")
    queries = {"compositeRequest": [get("query?q=SELECT+Id+FROM+Contact", f"r{place}") for place in range(6)]}
    assert (await refusal(client, "composite", queries))[0] == "LIMIT_EXCEEDED"
    odd = {"compositeRequest": [create("A", "a-b")]}
    assert "('a-b') must start with a letter" in (await refusal(client, "composite", odd))[1]
    twice = {"compositeRequest": [create("A", "a"), create("B", "a")]}
    assert (await refusal(client, "composite", twice))[0] == "INVALID_INPUT"
    malformed: list[dict[str, Any]] = [
        {},
        {"compositeRequest": []},
        {"compositeRequest": [{**create("A", "a"), "method": "post"}]},
        {"compositeRequest": [{**create("A", "a"), "url": "https://elsewhere.example/"}]},
        {"compositeRequest": [{**create("A", "a"), "referenceId": None}]},
        {"compositeRequest": [{**create("A", "a"), "httpHeaders": {"Content-Type": "text/csv"}}]},
        {"compositeRequest": ["nonsense"]},
    ]
    for wrong in malformed:
        assert (await refusal(client, "composite", wrong))[0] == "JSON_PARSER_ERROR"
    assert org.records("Contact") == []


async def test_an_odd_reference_id_spoils_only_its_users_before_v52(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    first, second, third = await send(
        client, create("A", "ref[1]"), create("B", "b", Title="@{ref[1].id}"), create("C", "c"), version="v51.0"
    )
    assert [entry["httpStatusCode"] for entry in (first, second, third)] == [201, 400, 201]
    assert first["referenceId"] == "ref[1]"
    assert [row["LastName"] for row in org.records("Contact")] == ["A", "C"]


async def test_the_resources_are_listed(client: httpx2.AsyncClient) -> None:
    assert (await client.get(f"{DATA}/composite")).json() == {
        "tree": f"{DATA}/composite/tree",
        "batch": f"{DATA}/composite/batch",
        "sobjects": f"{DATA}/composite/sobjects",
        "graph": f"{DATA}/composite/graph",
    }


async def test_a_batch_commits_each_subrequest_and_costs_a_call_for_each(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    requests = [
        {"method": "POST", "url": "v68.0/sobjects/Contact", "richInput": {"LastName": "A"}},
        {"method": "POST", "url": "v68.0/sobjects/Contact", "richInput": {}},
        {"method": "GET", "url": f"{DATA}/query?q=SELECT+LastName+FROM+Contact"},
    ]
    answer = (await client.post(f"{DATA}/composite/batch", json={"batchRequests": requests})).json()
    assert answer["hasErrors"] is True
    assert [entry["statusCode"] for entry in answer["results"]] == [201, 400, 200]
    assert answer["results"][1]["result"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert [row["LastName"] for row in answer["results"][2]["result"]["records"]] == ["A"]
    assert org.api_calls == 3
    halting = {"haltOnError": True, "batchRequests": [requests[1], requests[0]]}
    answer = (await client.post(f"{DATA}/composite/batch", json=halting)).json()
    assert [entry["statusCode"] for entry in answer["results"]] == [400, 412]
    assert answer["results"][1]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"
    assert len(org.records("Contact")) == 1
    fine = {"batchRequests": [requests[0]]}
    assert (await client.post(f"{DATA}/composite/batch", json=fine)).json()["hasErrors"] is False


async def test_a_batch_too_long_or_malformed_is_refused_as_a_whole(client: httpx2.AsyncClient) -> None:
    requests = [{"method": "GET", "url": "v68.0/limits"}] * 26
    assert (await refusal(client, "composite/batch", {"batchRequests": requests}))[0] == "LIMIT_EXCEEDED"
    malformed: list[Any] = [{}, {"batchRequests": []}, {"batchRequests": [{"method": "GET"}]}, {"batchRequests": [1]}]
    for wrong in malformed:
        assert (await refusal(client, "composite/batch", wrong))[0] == "JSON_PARSER_ERROR"


async def test_a_batch_stops_where_the_daily_limit_is(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.daily_limit = 2
    requests = [{"method": "GET", "url": "v68.0/limits"}] * 3
    answer = (await client.post(f"{DATA}/composite/batch", json={"batchRequests": requests})).json()
    assert [entry["statusCode"] for entry in answer["results"]] == [200, 200, 403]


async def test_rules_of_the_org_hold_inside(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.faults.reject(validation_rule("Contact", lambda row: row["LastName"] == "No", "No means no", "LastName"))
    _, refused = await send(client, create("Yes", "a"), create("No", "b"))
    assert refused["body"][0]["errorCode"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
