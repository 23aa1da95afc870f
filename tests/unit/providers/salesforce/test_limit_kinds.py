"""The two kinds of REQUEST_LIMIT_EXCEEDED, told apart wherever they come: one stops, the other is waited for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from crmsync.errors import RateLimitedError
from crmsync.models.records import Operation, Outcome
from crmsync.providers.salesforce.backoff import BackOff
from crmsync.providers.salesforce.errors import call_error, is_used_up
from crmsync.testing.salesforce import SalesforceOrg, custom_field, row_fault
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.writing.conftest import Desk, OpenDesk, keyed, open_desk

__all__ = ["open_desk"]

pytestmark = pytest.mark.anyio

DAY = "TotalRequests Limit exceeded."
BUSY = ("ConcurrentRequests (Concurrent API Requests) Limit exceeded.", "ConcurrentPerOrgLongTxn Limit exceeded.")
COLLECTION = "/composite/sobjects"
BULK = ("/jobs/ingest", "/batches", "/jobs/ingest/750", "/successfulResults")
"""What a job is created, filled, closed and followed, and collected by."""


def refusal(message: str) -> list[dict[str, str]]:
    return [{"message": message, "errorCode": "REQUEST_LIMIT_EXCEEDED"}]


def refuse(desk: Desk, message: str, path: str, times: int = 1) -> None:
    desk.org.faults.fail_next(times, status=403, body=refusal(message), path=path)


async def written(desk: Desk, operations: Sequence[Operation]) -> Sequence[Outcome]:
    return await desk.store.write(operations)


@pytest.mark.parametrize("status", [403, 429, 503])
def test_the_message_tells_the_kinds_apart_whatever_the_status(status: int) -> None:
    body = f'[{{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"{DAY}"}}]'.encode()
    error = call_error(status, body)
    assert isinstance(error, RateLimitedError)
    assert is_used_up(error)
    assert error.retry_after == 3600


@pytest.mark.parametrize("message", BUSY)
@pytest.mark.parametrize("place", BULK)
async def test_a_busy_org_delays_each_step_of_a_bulk_job(message: str, place: str, open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk", read_back=False) as desk:
        refuse(desk, message, place, 2)
        outcomes = await written(desk, keyed(range(3)))
        assert all(outcome.ok for outcome in outcomes)
        assert len(desk.contacts()) == 3


@pytest.mark.parametrize("place", BULK)
async def test_used_up_calls_stop_each_step_of_a_bulk_job_at_once(place: str, open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk", read_back=False) as desk:
        await desk.store.find("Email", ["p@example.com"], fields=("Email",))
        refuse(desk, DAY, place, 50)
        with pytest.raises(RateLimitedError, match="24 hours are used up") as stopped:
            await written(desk, keyed(range(3)))
        assert 3500 < (stopped.value.retry_after or 0) <= 3600
        before = len(desk.sent.calls)
        with pytest.raises(RateLimitedError, match="24 hours are used up"):
            await written(desk, keyed(range(3)))
        assert len(desk.sent.calls) == before


async def test_used_up_calls_stop_what_waits_its_turn_among_collections(open_desk: OpenDesk) -> None:
    """Of ten calls four are on their way at once; what they are answered is said of all the others."""
    async with open_desk(channel="collections", read_back=False, collections_per_call=1) as desk:
        refuse(desk, DAY, "/composite/sobjects", 50)
        with pytest.raises(RateLimitedError, match="24 hours are used up"):
            await written(desk, keyed(range(2_000)))
        assert len(desk.sent.of("PATCH", "/composite/sobjects")) <= 4


async def test_what_took_effect_before_the_calls_were_used_up_is_told(open_desk: OpenDesk) -> None:
    async with open_desk(channel="collections", read_back=False, collections_per_call=1, concurrent_calls=1) as desk:
        await desk.store.write(keyed([9_999]))
        desk.org.daily_limit = desk.org.api_calls + 3
        outcomes = await written(desk, keyed(range(2_000)))
        assert sum(outcome.ok for outcome in outcomes) == 600 == len(desk.contacts()) - 1
        assert all(outcome.ok or is_used_up(outcome.error) for outcome in outcomes)


def refuse_parts(desk: Desk, message: str, path: str, times: int) -> None:
    """Subrequests of the next composite calls meet a limit that the org has reached on the way."""
    desk.org.faults.parts.fail_next(times, within="composite", status=403, message=message, path=path)


@pytest.mark.parametrize("message", BUSY)
async def test_busy_subrequests_are_sent_again_after_a_while(message: str, open_desk: OpenDesk) -> None:
    async with open_desk(channel="collections", read_back=False, retry_wait=1.0, call_seconds=0.5) as desk:
        await written(desk, keyed(range(600, 1400)))
        refuse_parts(desk, message, COLLECTION, 3)
        before, calls = desk.clock.now(), len(desk.sent.calls)
        outcomes = await written(desk, keyed(range(600)))
        assert all(outcome.ok for outcome in outcomes)
        assert desk.org.faults.waiting == 0
        taken = (desk.clock.now() - before).total_seconds()
        assert taken - 0.5 * (len(desk.sent.calls) - calls) >= 1


async def test_subrequests_for_which_no_calls_are_left_are_not_sent_again(open_desk: OpenDesk) -> None:
    async with open_desk(channel="collections", read_back=False, call_seconds=0.5) as desk:
        await written(desk, keyed(range(600, 1400)))
        refuse_parts(desk, DAY, COLLECTION, 3)
        before = len(desk.sent.calls)
        with pytest.raises(RateLimitedError, match="24 hours are used up"):
            await written(desk, keyed(range(600)))
        assert len(desk.sent.calls) == before + 1


@pytest.mark.parametrize("message", [DAY, *BUSY])
async def test_a_long_query_in_a_composite_request_meets_them_like_any_call(message: str, open_desk: OpenDesk) -> None:
    names = [f"A{number:04}_{'x' * 30}__c" for number in range(400)]
    clock = FakeClock()
    fields = {"Contact": [custom_field(name, "A", "string") for name in names]}
    async with open_desk(org=SalesforceOrg(clock=clock.now, custom_fields=fields), clock=clock) as desk:
        desk.org.create("Contact", {"LastName": "Ada", "Email": "p@example.com"})
        refuse_parts(desk, message, "/query", 1)
        asked = desk.store.find("Email", ["p@example.com"], fields=names)
        if message == DAY:
            with pytest.raises(RateLimitedError, match="24 hours are used up"):
                await asked
        else:
            assert len(await asked) == 1


async def test_a_row_of_a_job_or_a_collection_is_refused_by_kind(open_desk: OpenDesk) -> None:
    for channel in ("collections", "bulk"):
        for message, wait in ((DAY, 3600.0), (BUSY[0], None)):
            async with open_desk(channel=channel, read_back=False) as desk:
                desk.org.faults.reject(row_fault("Contact", lambda _: True, "REQUEST_LIMIT_EXCEEDED", message))
                [outcome] = await written(desk, keyed([1]))
                assert isinstance(outcome.error, RateLimitedError)
                assert outcome.error.retry_after == wait


async def test_after_a_minute_it_is_found_out_whether_calls_came_back() -> None:
    clock = FakeClock()
    back_off = BackOff(clock, attempts=3, first=1.0, longest=10.0)
    asked: list[float] = []

    async def ask() -> str:
        asked.append(1)
        if len(asked) == 1:
            raise call_error(403, f'[{{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"{DAY}"}}]'.encode())
        return "answered"

    for _ in range(3):
        with pytest.raises(RateLimitedError, match="24 hours are used up") as refused:
            await back_off.run(ask)
        clock.tick(20)
    assert len(asked) == 1
    assert refused.value.retry_after == 3560
    assert await back_off.run(ask) == "answered"
