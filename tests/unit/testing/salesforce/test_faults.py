"""Trouble on demand, before the effect of a call and after it."""

from __future__ import annotations

import anyio
import httpx2
import pytest

from crmsync.testing.salesforce import (
    ConnectionDroppedError,
    RowError,
    SalesforceOrg,
    create_app,
    row_fault,
    row_lock,
    validation_rule,
)

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
CONTACT = f"{DATA}/sobjects/Contact"
COLLECTIONS = f"{DATA}/composite/sobjects"


async def create(client: httpx2.AsyncClient) -> httpx2.Response:
    """Create a contact."""
    return await client.post(CONTACT, json={"LastName": "Ng"})


@pytest.mark.parametrize("after_commit,saved", [(False, 0), (True, 1)])
async def test_a_call_fails_before_or_after_its_effect(
    client: httpx2.AsyncClient, org: SalesforceOrg, *, after_commit: bool, saved: int
) -> None:
    org.faults.fail_next(after_commit=after_commit)
    failed = await create(client)
    assert failed.status_code == 503
    assert failed.json()[0]["errorCode"] == "SERVER_UNAVAILABLE"
    assert len(org.records("Contact")) == saved
    assert (await create(client)).status_code == 201


@pytest.mark.parametrize("after_commit,saved", [(False, 0), (True, 1)])
async def test_a_connection_is_dropped_before_or_after_the_effect(
    client: httpx2.AsyncClient, org: SalesforceOrg, *, after_commit: bool, saved: int
) -> None:
    org.faults.drop_next(after_commit=after_commit)
    with pytest.raises(httpx2.RemoteProtocolError):
        await create(client)
    assert len(org.records("Contact")) == saved
    assert (await create(client)).status_code == 201


async def test_an_answer_is_held_after_the_effect(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.faults.hold_next(60, method="POST")
    with anyio.move_on_after(1) as patience:
        await create(client)
    assert patience.cancelled_caught
    assert len(org.records("Contact")) == 1
    assert (await create(client)).status_code == 201


async def test_held_answers_are_released_and_faults_cleared_release_them(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    for release in (org.faults.release, org.faults.clear):
        org.faults.hold_next(600, method="POST")
        answers: list[int] = []

        async def hold(answers: list[int] = answers) -> None:
            answers.append((await create(client)).status_code)

        async with anyio.create_task_group() as group:
            group.start_soon(hold)
            await anyio.sleep(0.1)
            assert answers == []
            release()
        assert answers == [201]


async def test_over_plain_asgi_a_dropped_connection_is_an_error_of_its_own(org: SalesforceOrg) -> None:
    org.faults.drop_next()
    transport = httpx2.ASGITransport(app=create_app(org))
    async with httpx2.AsyncClient(transport=transport, base_url="http://org.example") as client:
        with pytest.raises(ConnectionDroppedError):
            await create(client)


async def test_a_fault_waits_for_the_calls_that_it_is_meant_for(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.faults.fail_next(2, status=429, retry_after=7, method="POST", path="sobjects/Contact")
    assert (await client.get(f"{DATA}/limits")).status_code == 200
    assert (await client.patch(f"{CONTACT}/MarkMail_Id__c/x", json={"LastName": "Ng"})).status_code == 201
    answers = [await create(client) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 201]
    assert answers[0].headers["Retry-After"] == "7"


async def test_a_fault_may_be_chosen_by_a_function_and_send_any_body(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    body = [
        {
            "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
            "errorCode": "REQUEST_LIMIT_EXCEEDED",
        }
    ]
    org.faults.fail_next(status=403, body=body, path=lambda method, path: method == "GET" and path.endswith("limits"))
    assert (await create(client)).status_code == 201
    refused = await client.get(f"{DATA}/limits")
    assert (refused.status_code, refused.json()) == (403, body)


async def test_an_outage_of_the_edge_answers_in_html(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.faults.html_outage()
    response = await create(client)
    assert response.status_code == 503
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.text.startswith("<html>")


async def test_latency_delays_every_call(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.faults.latency = 0.05
    begun = anyio.current_time()
    await client.get(f"{DATA}/limits")
    assert anyio.current_time() - begun >= 0.05


async def test_a_validation_rule_refuses_with_the_admins_words(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.faults.reject(validation_rule("Contact", lambda row: "Title" not in row, "A title, please.", "Title"))
    refused = await create(client)
    assert refused.status_code == 400
    assert refused.json() == [
        {"message": "A title, please.", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "fields": ["Title"]}
    ]
    assert (await client.post(CONTACT, json={"LastName": "Ng", "Title": "Dr"})).status_code == 201
    org.create("Lead", {"LastName": "Ng", "Company": "C"})


async def test_a_row_lock_clears_after_some_tries(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.faults.reject(row_lock("Contact", lambda row: row["LastName"] == "Locked", times=1))
    body = {"records": [{"attributes": {"type": "Contact"}, "LastName": name} for name in ("Free", "Locked")]}
    first = (await client.post(COLLECTIONS, json=body)).json()
    assert [outcome["success"] for outcome in first] == [True, False]
    assert first[1]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
    second = (await client.post(COLLECTIONS, json=body)).json()
    assert [outcome["success"] for outcome in second] == [True, True]


async def test_a_late_commit_shows_an_old_stamp_to_later_readers(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    known = org.create("Contact", {"LastName": "Old", "MarkMail_Id__c": "m1"})
    org.faults.commit_late(30, lambda _object, row: row.get("FirstName") == "Late")
    fresh = org.create("Contact", {"LastName": "New", "FirstName": "Late", "MarkMail_Id__c": "m2"})
    org.update("Contact", known, {"FirstName": "Late", "LastName": "Changed"})
    prompt = org.create("Contact", {"LastName": "Prompt"})

    async def seen() -> list[tuple[str, str, str]]:
        soql = "SELECT Id, LastName, SystemModstamp FROM Contact ORDER BY SystemModstamp, Id"
        records = (await client.get(f"{DATA}/query", params={"q": soql})).json()["records"]
        return [(record["Id"], record["LastName"], record["SystemModstamp"]) for record in records]

    born = "2026-11-24T20:34:26.000+0000"
    assert await seen() == [(known, "Old", born), (prompt, "Prompt", born)]
    assert (await client.get(f"{CONTACT}/{fresh}")).status_code == 404
    assert (await client.get(f"{CONTACT}/MarkMail_Id__c/m2")).status_code == 404
    with pytest.raises(RowError, match="DUPLICATE_VALUE"):
        org.create("Contact", {"LastName": "Twin", "MarkMail_Id__c": "m2"})
    stretch = {"start": "2026-11-24T20:34:00Z", "end": "2026-11-24T20:40:00Z"}
    feed = (await client.get(f"{CONTACT}/updated", params=stretch)).json()
    assert feed == {"ids": [known, prompt], "latestDateCovered": born}
    org.advance(30)
    assert await seen() == [(known, "Changed", born), (fresh, "New", born), (prompt, "Prompt", born)]


async def test_a_rolled_back_call_leaves_late_records_as_they_were(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    org.faults.commit_late(30)
    late = org.create("Contact", {"LastName": "Late"})
    rows = [
        {"attributes": {"type": "Contact"}, "Id": late, "LastName": "Later"},
        {"attributes": {"type": "Contact"}, "Id": late, "LastName": None},
    ]
    await client.patch(COLLECTIONS, json={"allOrNone": True, "records": rows})
    assert (await client.get(f"{CONTACT}/{late}")).status_code == 404
    org.advance(30)
    assert (await client.get(f"{CONTACT}/{late}")).json()["LastName"] == "Late"


async def test_clearing_switches_every_fault_off(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.faults.fail_next(5)
    org.faults.latency = 60
    org.faults.reject(row_fault("Contact", lambda _row: True, "TRIGGER_FAILED", "no"))
    org.faults.commit_late(60)
    org.faults.clear()
    record_id = (await create(client)).json()["id"]
    assert (await client.get(f"{CONTACT}/{record_id}")).status_code == 200
