"""Several pages of a collection in one call: how many, what it costs, and what becomes of those that fail there."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.errors import BudgetExceededError, RejectedError, TransientError
from crmsync.models.calls import StoreUse, StoreVerb
from crmsync.models.records import Operation, OperationKind, OutcomeStatus
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg, row_lock
from crmsync.testing.salesforce.faults import row_fault
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.writing.conftest import Desk, OpenDesk, create, delete, keyed, update

pytestmark = pytest.mark.anyio

FAST = {"pace": '{"call": 0.1, "collection": 0.2}'}
COLLECTIONS: dict[str, Any] = {"channel": "collections", "read_back": False}


def together(desk: Desk) -> list[list[int]]:
    """How many rows each page held of each call with several pages."""
    bodies = [json.loads(call.body) for call in desk.sent.of("POST", "/composite") if call.path == "/composite"]
    return [[len(one["body"]["records"]) for one in body["compositeRequest"]] for body in bodies]


def alone(desk: Desk) -> list[int]:
    """How many rows each page held that had a call of its own."""
    return [len(json.loads(call.body)["records"]) for call in desk.sent.calls if "/composite/sobjects" in call.path]


def is_joined(_method: str, path: str) -> bool:
    """Whether a call is one with several pages."""
    return path.endswith("/composite")


async def test_a_page_goes_ahead_and_the_others_follow_five_a_call(open_desk: OpenDesk) -> None:
    async with open_desk(**COLLECTIONS) as desk:
        operations = keyed(range(1_450))
        before = desk.budget.used
        outcomes = await desk.store.write(operations)
    assert [outcome.op_id for outcome in outcomes] == [operation.op_id for operation in operations]
    assert {outcome.status for outcome in outcomes} == {OutcomeStatus.CREATED}
    assert alone(desk) == [200]
    assert sorted(together(desk)) == [[200, 50], [200] * 5]
    assert desk.budget.used - before == 3
    assert len(desk.contacts()) == 1_450


@pytest.mark.parametrize(
    "pace, settings, calls",
    [
        ('{"call": 0.1, "collection": 0.2}', {}, [[200] * 5, [200]]),
        ('{"call": 0.1, "collection": 1.6}', {}, [[200] * 3, [200] * 3]),
        ('{"call": 0.1, "collection": 3.0}', {}, []),
        ('{"call": 0.1, "collection": 0.2}', {"collections_per_call": 2}, [[200] * 2] * 3),
        ('{"call": 0.1, "collection": 0.2}', {"collections_per_call": 1}, []),
    ],
)
async def test_a_call_has_as_many_pages_as_the_org_saves_in_five_seconds(
    open_desk: OpenDesk, pace: str, settings: dict[str, int], calls: list[list[int]]
) -> None:
    async with open_desk(memory={"pace": pace}, **COLLECTIONS, **settings) as desk:
        outcomes = await desk.store.write(keyed(range(200 * sum(map(len, calls)) or 600)))
    assert all(outcome.ok for outcome in outcomes)
    joined = [call for call in together(desk) if len(call) > 1]
    assert sorted(joined, reverse=True) == [call for call in calls if len(call) > 1]


async def test_each_verb_may_go_in_company(open_desk: OpenDesk) -> None:
    org = SalesforceOrg(clock=(clock := FakeClock()).now, external_id_field=False)
    async with open_desk(org=org, clock=clock, memory=dict(FAST), **COLLECTIONS) as desk:
        made = await desk.store.write([create(n) for n in range(500)])
        assert {outcome.status for outcome in made} == {OutcomeStatus.CREATED}
        ids = [outcome.id or "" for outcome in made]
        assert {one.status for one in await desk.store.write([update(i, Title="T") for i in ids])} == {
            OutcomeStatus.UPDATED
        }
        assert {record["Title"] for record in desk.contacts()} == {"T"}
        assert {one.status for one in await desk.store.write([delete(i) for i in ids])} == {OutcomeStatus.DELETED}
    assert not desk.contacts()
    assert len(desk.sent.of("POST", "/composite")) == 3


async def test_the_calls_are_taken_from_the_budget_before_any_is_made(open_desk: OpenDesk) -> None:
    budget = RunBudget(3)
    async with open_desk(budget=budget, memory=dict(FAST), **COLLECTIONS) as desk:
        budget.limit = budget.used + 1
        with pytest.raises(BudgetExceededError):
            await desk.store.write(keyed(range(1_200)))
        assert not desk.contacts()
        assert all(outcome.ok for outcome in await desk.store.write(keyed(range(1_000))))


async def test_a_value_that_reads_as_a_reference_is_stored_as_it_is(open_desk: OpenDesk) -> None:
    async with open_desk(memory=dict(FAST), **COLLECTIONS) as desk:
        operations = [*keyed(range(600)), create("x", key="key-x", Title="@{page0[0].id}")]
        outcomes = await desk.store.write(operations)
    assert all(outcome.ok for outcome in outcomes)
    stored = desk.org.get("Contact", outcomes[-1].id or "")
    assert stored is not None
    assert stored["Title"] == "@{page0[0].id}"


async def test_locked_rows_go_again_in_halves_of_at_most_a_page(open_desk: OpenDesk) -> None:
    async with open_desk(memory=dict(FAST), **COLLECTIONS) as desk:
        desk.org.faults.reject(row_lock("Contact", lambda _row: True, times=700))
        outcomes = await desk.store.write(keyed(range(1_000)))
    assert all(outcome.ok for outcome in outcomes)
    assert together(desk) == [[200] * 5]
    assert alone(desk) == [200, 200, 200, 100]


async def test_what_the_orgs_own_code_refuses_for_its_limits_goes_again_alone(open_desk: OpenDesk) -> None:
    """ "Execution Governors and Limits": pages of one call may share what a transaction may use."""
    message = "ContactTrigger: System.LimitException: Too many SOQL queries: 101"
    code = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
    async with open_desk(memory=dict(FAST), **COLLECTIONS) as desk:
        desk.org.faults.reject(row_fault("Contact", lambda _row: True, code, message, times=250))
        outcomes = await desk.store.write(keyed(range(600)))
        assert all(outcome.ok for outcome in outcomes)
        assert sorted(alone(desk)) == [50, 200]
        await desk.store.write(keyed(range(400)))
    assert len(together(desk)) == 1, "afterwards every page is alone"
    assert len(desk.contacts()) == 600


async def test_an_org_that_refuses_pages_in_company_gets_each_alone(open_desk: OpenDesk) -> None:
    error = {"errorCode": "LIMIT_EXCEEDED", "message": "The request can\u2019t contain more than 0 operations."}
    refusal = {"compositeResponse": [{"body": [error], "httpStatusCode": 400, "referenceId": None}]}
    async with open_desk(memory=dict(FAST), **COLLECTIONS) as desk:
        desk.org.faults.fail_next(status=400, body=refusal, path=is_joined)
        outcomes = await desk.store.write(keyed(range(600)))
        assert all(outcome.ok for outcome in outcomes)
        await desk.store.write(keyed(range(600)))
    assert alone(desk) == [200] * 6
    assert len(together(desk)) == 1


async def test_the_bound_of_a_write_counts_pages_that_failed_in_company_and_went_again_alone(
    open_desk: OpenDesk,
) -> None:
    async with open_desk(memory=dict(FAST), **COLLECTIONS) as desk:
        told = desk.store.estimate(StoreUse(StoreVerb.WRITE, 2_000))
        desk.org.faults.drop_next(times=2, path=is_joined)
        before = desk.budget.used
        outcomes = await desk.store.write(keyed(range(2_000)))
        assert all(outcome.ok for outcome in outcomes)
        assert (len(together(desk)), len(alone(desk))) == (2, 10)
        assert told is not None
        assert told.likely < desk.budget.used - before == 12 <= told.most


async def test_calls_in_company_that_are_too_many_at_a_time_are_made_later(open_desk: OpenDesk) -> None:
    async with open_desk(memory=dict(FAST), **COLLECTIONS) as desk:
        desk.org.faults.concurrency_exceeded_next()
        outcomes = await desk.store.write(keyed(range(600)))
    assert all(outcome.ok for outcome in outcomes)
    assert together(desk) == [[200] * 3] * 2


async def test_the_error_of_a_call_in_company_is_that_of_each_of_its_rows(open_desk: OpenDesk) -> None:
    async with open_desk(memory=dict(FAST), **COLLECTIONS) as desk:
        desk.org.faults.fail_next(50, status=403, body=[{"errorCode": "REQUEST_LIMIT_EXCEEDED"}], path=is_joined)
        operations = [*keyed(range(600)), Operation("gone", OperationKind.DELETE, "nonsense")]
        outcomes = await desk.store.write([*operations, create("x")])
    assert [outcome.status for outcome in outcomes[-2:]] == [OutcomeStatus.MISSING, OutcomeStatus.CREATED]
    assert all(isinstance(outcome.error, TransientError) for outcome in outcomes[:600])


@pytest.mark.parametrize("after_commit", [True, False])
async def test_upserts_whose_answer_was_lost_go_again_a_page_a_call(open_desk: OpenDesk, *, after_commit: bool) -> None:
    async with open_desk(memory=dict(FAST), **COLLECTIONS) as desk:
        desk.org.faults.drop_next(path=is_joined, after_commit=after_commit)
        outcomes = await desk.store.write(keyed(range(600)))
    assert all(outcome.ok for outcome in outcomes)
    assert len(desk.contacts()) == 600
    assert (len(together(desk)), alone(desk)) == (1, [200] * 3)


@pytest.mark.parametrize("after_commit", [True, False])
async def test_creates_whose_answer_was_lost_are_found_or_sent_again(
    open_desk: OpenDesk, *, after_commit: bool
) -> None:
    org = SalesforceOrg(clock=(clock := FakeClock()).now, external_id_field=False)
    async with open_desk(org=org, clock=clock, memory=dict(FAST), **COLLECTIONS) as desk:
        org.faults.drop_next(path=is_joined, after_commit=after_commit)
        before = desk.clock.now()
        outcomes = await desk.store.write([create(n) for n in range(600)])
        assert (desk.clock.now() - before).total_seconds() >= 5, "the org may still have been at work"
    by_id = {record["Id"]: record["Email"] for record in desk.contacts()}
    assert [by_id[outcome.id or ""] for outcome in outcomes] == [f"p{n}@example.com" for n in range(600)]
    assert len(by_id) == 600
    assert alone(desk) == ([] if after_commit else [200] * 3)


async def test_creates_that_are_lost_twice_are_unknown_and_not_sent_a_third_time(open_desk: OpenDesk) -> None:
    org = SalesforceOrg(clock=(clock := FakeClock()).now, external_id_field=False)
    async with open_desk(org=org, clock=clock, memory=dict(FAST), **COLLECTIONS) as desk:
        org.faults.drop_next(4, method="POST", path="/composite")
        outcomes = await desk.store.write([*[create(n) for n in range(600)], *keyed(range(600, 601))])
    unknown = [outcome for outcome in outcomes if isinstance(outcome.error, RejectedError)]
    assert {outcome.error.code for outcome in unknown if isinstance(outcome.error, RejectedError)} == {"answer_lost"}
    assert len(desk.contacts()) == sum(outcome.ok for outcome in outcomes)


class Sluggish(httpx2.AsyncBaseTransport):
    """An org that takes eight seconds for a page, and so long for several that nobody waits for the answer."""

    def __init__(self, org: SalesforceOrg, clock: FakeClock) -> None:
        self.joined = 0
        self._clock = clock
        self._inner = InProcessTransport(org)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/composite"):
            self.joined += 1
            self._clock.tick(60)
            raise httpx2.ReadTimeout("too slow", request=request)
        if "/composite/sobjects" in request.url.path:
            self._clock.tick(8)
        return await self._inner.handle_async_request(request)


async def test_after_a_call_that_took_too_long_pages_go_alone_also_in_the_next_run() -> None:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now)
    slow, memory = Sluggish(org, clock), dict(FAST)
    settings = {"instance_url": "https://acme.my.salesforce.com", "retry_wait": 0.0, **COLLECTIONS}
    for _ in range(2):
        context = ProviderContext(clock, RunBudget(), memory=memory)
        credentials = {"access_token": SecretStr(DEFAULT_TOKEN)}
        async with SalesforceProviderFactory(slow).open(settings, credentials, context) as provider:
            store = await provider.records("Contact")
            assert all(outcome.ok for outcome in await store.write(keyed(range(600))))
    assert slow.joined == 1
    assert len(org.records("Contact")) == 600
