"""Trouble that comes over the control API: latencies, locks, limits and partial failures."""

from __future__ import annotations

import time
from statistics import median, quantiles
from typing import Any

import anyio
import httpx2
import pytest

from crmsync.testing.salesforce import Lognormal, SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
CONTACT = f"{DATA}/sobjects/Contact"


async def trouble(client: httpx2.AsyncClient, **faults: Any) -> None:
    """Switch faults on."""
    answer = await client.post("/__emulator__/faults", json=faults)
    assert answer.status_code == 200, answer.text


def codes(response: httpx2.Response) -> list[str]:
    """The error codes of an answer."""
    return [error["errorCode"] for error in response.json()]


def test_latencies_have_their_median_and_their_tail() -> None:
    latency = Lognormal(0.1, 1.0, seed=7)
    drawn = [latency.sample() for _ in range(5_000)]
    assert median(drawn) == pytest.approx(0.1, rel=0.1)
    assert quantiles(drawn, n=100)[98] == pytest.approx(1.0, rel=0.2)
    again = Lognormal(0.1, 1.0, seed=7)
    assert [again.sample() for _ in range(3)] == drawn[:3]


@pytest.mark.parametrize("shape", [(0.0, 1.0), (2.0, 1.0)])
def test_a_latency_that_is_none_is_refused(shape: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="0 < median <= p99"):
        Lognormal(*shape)


async def test_calls_take_as_long_as_the_distribution_says(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    await trouble(client, latency={"median": 0.02, "p99": 0.03, "seed": 3})
    assert org.faults.latency == Lognormal(0.02, 0.03, seed=3)
    begun = time.perf_counter()
    await client.get(f"{DATA}/limits")
    assert time.perf_counter() - begun > 0.01
    await trouble(client, clear=True)
    assert not org.faults.latency


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_any_failure_can_be_a_page_of_html(client: httpx2.AsyncClient, status: int) -> None:
    await trouble(client, fail={"status": status, "html": True, "retry_after": 3})
    failed = await client.get(f"{DATA}/limits")
    assert (failed.status_code, failed.headers["Retry-After"]) == (status, "3")
    assert failed.headers["Content-Type"].startswith("text/html")
    assert f"<title>{status}</title>" in failed.text
    assert (await client.get(f"{DATA}/limits")).status_code == 200


async def test_sessions_expire(client: httpx2.AsyncClient) -> None:
    await trouble(client, expire_sessions=True)
    expired = await client.get(f"{DATA}/limits")
    assert (expired.status_code, codes(expired)) == (401, ["INVALID_SESSION_ID"])


async def test_the_days_calls_are_used_up(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    await trouble(client, api_limit_reached=True)
    refused = await client.get(f"{DATA}/limits")
    assert (refused.status_code, codes(refused)) == (403, ["REQUEST_LIMIT_EXCEEDED"])
    assert refused.json()[0]["message"] == "TotalRequests Limit exceeded."
    org.reset_counters()
    assert (await client.get(f"{DATA}/limits")).status_code == 200


async def test_too_many_calls_at_a_time_are_refused(client: httpx2.AsyncClient) -> None:
    message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    await trouble(client, concurrency_exceeded=1)
    refused = await client.get(f"{DATA}/limits")
    assert (refused.status_code, refused.json()[0]["message"]) == (403, message)
    await trouble(client, concurrent_limit=2, latency=0.1)
    answers: list[int] = []

    async def ask() -> None:
        answers.append((await client.get(f"{DATA}/limits")).status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
    assert sorted(answers) == [200, 200, 403]


async def test_locked_records_and_those_that_belong_to_them_wait(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    account = org.create("Account", {"Name": "Acme"})
    other = org.create("Account", {"Name": "Apex"})
    contact = org.create("Contact", {"LastName": "Ada", "AccountId": account})
    await trouble(client, lock={"ids": [account], "seconds": 30})
    refused = await client.patch(f"{CONTACT}/{contact}", json={"Title": "Dr"})
    assert codes(refused) == ["UNABLE_TO_LOCK_ROW"]
    assert account in refused.json()[0]["message"]
    assert codes(await client.delete(f"{CONTACT}/{contact}")) == ["UNABLE_TO_LOCK_ROW"]
    assert codes(await client.patch(f"{CONTACT}/{contact}", json={"AccountId": other})) == ["UNABLE_TO_LOCK_ROW"]
    assert (await client.post(CONTACT, json={"LastName": "Bo", "AccountId": other})).status_code == 201
    org.advance(31)
    assert (await client.patch(f"{CONTACT}/{contact}", json={"Title": "Dr"})).status_code == 204


async def test_calls_at_the_same_time_clash_over_an_account(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    account, other = (org.create("Account", {"Name": name}) for name in ("Acme", "Apex"))
    await trouble(client, contention=True, latency=0.2)
    outcomes: list[tuple[str, bool]] = []

    async def save(name: str, account_id: str) -> None:
        record = {"attributes": {"type": "Contact"}, "LastName": name, "AccountId": account_id}
        rows = (await client.post(f"{DATA}/composite/sobjects", json={"records": [record, record]})).json()
        outcomes.extend((name, row["success"]) for row in rows)

    async with anyio.create_task_group() as tasks:
        for name, account_id in (("a", account), ("b", account), ("c", other)):
            tasks.start_soon(save, name, account_id)
    saved = {name for name, success in outcomes if success}
    assert "c" in saved
    assert len(saved & {"a", "b"}) == 1
    assert sorted(success for _, success in outcomes) == [False, False, True, True, True, True]
    await save("d", account)
    assert ("d", True) in outcomes


async def test_a_collection_fails_in_part(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    await trouble(client, fail_rows={"every": 3, "code": "SERVER_UNAVAILABLE", "message": "later", "object": "Contact"})
    record = {"attributes": {"type": "Contact"}, "LastName": "Ada"}
    body = {"records": [record] * 7}
    rows = (await client.post(f"{DATA}/composite/sobjects", json=body)).json()
    assert [row["success"] for row in rows] == [True, True, False, True, True, False, True]
    assert rows[2]["errors"] == [{"statusCode": "SERVER_UNAVAILABLE", "message": "later", "fields": []}]
    org.create("Account", {"Name": "Acme"})
    rows = (await client.post(f"{DATA}/composite/sobjects", json={**body, "allOrNone": True})).json()
    assert not any(row["success"] for row in rows)
    assert len(org.records("Contact")) == 5


@pytest.mark.parametrize(
    "faults", [{"odd": 1}, {"fail": {"colour": "red"}}, {"fail_rows": {"every": 0}}, {"latency": {"median": 0}}]
)
async def test_a_fault_that_is_not_there_is_refused(client: httpx2.AsyncClient, faults: dict[str, Any]) -> None:
    answer = await client.post("/__emulator__/faults", json=faults)
    assert answer.status_code == 400
    assert (await client.get(f"{DATA}/limits")).status_code == 200
