"""One call: what is sent again and when, what stops it, and answers that are none."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

import anyio
import httpx2
import pytest

from crmsync.errors import (
    AccessDeniedError,
    BudgetExceededError,
    ConfigurationError,
    RateLimitedError,
    SchemaChangedError,
    UnavailableError,
    UnexpectedResponseError,
)
from crmsync.providers.salesforce.backoff import LostAnswerError
from tests.unit.providers.salesforce.conftest import VERSIONS, Connect, answer, error

pytestmark = pytest.mark.anyio

BUSY = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
USED_UP = "TotalRequests Limit exceeded."


# --- sent again


async def test_a_passing_failure_is_sent_again_after_growing_waits(connect: Connect) -> None:
    async with connect([error(503, "SERVER_UNAVAILABLE")] * 3 + [answer(body=[])]) as line:
        began = line.clock.now()
        assert (await line.client.call("GET", "/x")).body == []
        waited = (line.clock.now() - began).total_seconds()
    assert len(line.script.requests) == line.budget.used == 4
    assert 1 + 2 + 4 <= waited <= 1 + 2 + 4 + 3


async def test_it_gives_up_after_the_attempts_it_was_given(connect: Connect) -> None:
    async with connect([error(500, "UNKNOWN_EXCEPTION")] * 9) as line:
        with pytest.raises(UnavailableError):
            await line.client.call("GET", "/x")
    assert len(line.script.requests) == 5


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("refusal", [(429, "REQUEST_LIMIT_EXCEEDED"), (503, "SERVER_UNAVAILABLE")])
async def test_retry_after_is_waited_for_in_both_its_forms(
    connect: Connect, form: str, refusal: tuple[int, str]
) -> None:
    server = "Wed, 25 Nov 2026 10:00:00 GMT"
    value = "17" if form == "seconds" else "Wed, 25 Nov 2026 10:00:17 GMT"
    refused = error(*refusal, Retry_After=value, Date=server)
    async with connect([refused, answer(body=[])]) as line:
        began = line.clock.now()
        await line.client.call("GET", "/x")
        assert line.clock.now() - began == timedelta(seconds=17)


@pytest.mark.parametrize("value", ["", "soon", "-5", "Wed, 25 Foo 2026", "1e400"])
async def test_a_retry_after_that_says_nothing_is_ignored(connect: Connect, value: str) -> None:
    async with connect([error(503, "SERVER_UNAVAILABLE", Retry_After=value), answer(body=[])]) as line:
        began = line.clock.now()
        await line.client.call("GET", "/x")
        assert line.clock.now() - began <= timedelta(seconds=2)


async def test_a_wait_longer_than_the_settings_allow_is_left_to_the_caller(connect: Connect) -> None:
    async with connect([error(503, "SERVER_UNAVAILABLE", Retry_After="31")]) as line:
        with pytest.raises(UnavailableError) as raised:
            await line.client.call("GET", "/x")
    assert raised.value.retry_after == 31
    assert len(line.script.requests) == 1


async def test_too_many_calls_at_once_pass_by_waiting(connect: Connect) -> None:
    async with connect([error(403, "REQUEST_LIMIT_EXCEEDED", BUSY), answer(body=[])]) as line:
        await line.client.call("GET", "/x")
    assert len(line.script.requests) == 2


async def test_the_calls_of_a_day_used_up_stop_at_once_and_say_when_to_go_on(connect: Connect) -> None:
    async with connect([error(403, "REQUEST_LIMIT_EXCEEDED", USED_UP)]) as line:
        with pytest.raises(RateLimitedError, match="24 hours are used up") as raised:
            await line.client.call("GET", "/x")
    assert raised.value.retry_after == 3600
    assert len(line.script.requests) == 1


@pytest.mark.parametrize(
    "lost",
    [httpx2.ReadError("cut"), httpx2.ReadTimeout("slow"), error(503, "SERVER_UNAVAILABLE"), error(500, "UNKNOWN")],
    ids=["dropped", "timeout", "503", "500"],
)
async def test_case_28_a_create_whose_answer_was_lost_is_not_sent_again(
    connect: Connect, lost: httpx2.Response | Exception
) -> None:
    async with connect([lost]) as line:
        with pytest.raises(LostAnswerError):
            await line.client.call("POST", "/composite/sobjects", content=b"{}", repeatable=False)
    assert len(line.script.requests) == 1


@pytest.mark.parametrize(
    "refused",
    [httpx2.ConnectError("no route"), error(403, "REQUEST_LIMIT_EXCEEDED", BUSY), error(429, "")],
    ids=["unreachable", "busy", "429"],
)
async def test_a_create_that_cannot_have_arrived_is_sent_again(
    connect: Connect, refused: httpx2.Response | Exception
) -> None:
    async with connect([refused, answer(201, {"id": "x"})]) as line:
        await line.client.call("POST", "/composite/sobjects", content=b"{}", repeatable=False)
    assert len(line.script.requests) == 2


async def test_every_attempt_is_taken_from_the_budget(connect: Connect) -> None:
    async with connect([error(503, "SERVER_UNAVAILABLE")] * 5, max_calls=3) as line:
        with pytest.raises(BudgetExceededError):
            await line.client.call("GET", "/x")
    assert len(line.script.requests) == line.budget.used == 3


async def test_what_is_no_passing_failure_is_not_sent_again(connect: Connect) -> None:
    async with connect([error(403, "INSUFFICIENT_ACCESS")]) as line:
        with pytest.raises(AccessDeniedError):
            await line.client.call("GET", "/x")
    assert len(line.script.requests) == 1


# --- how many at once


async def test_no_more_calls_are_on_their_way_than_the_settings_allow(connect: Connect) -> None:
    under_way = most = 0

    async def respond(_: httpx2.Request) -> httpx2.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.sleep(0.001)
        under_way -= 1
        return answer(body=[])

    async with connect(respond, concurrent_calls=3) as line, anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(line.client.call, "GET", "/x")
    assert most == 3


async def test_a_busy_org_is_sent_fewer_calls_at_once(connect: Connect) -> None:
    under_way = most = 0
    refusals = [error(403, "REQUEST_LIMIT_EXCEEDED", BUSY), error(403, "REQUEST_LIMIT_EXCEEDED", BUSY)]

    async def respond(_: httpx2.Request) -> httpx2.Response:
        nonlocal under_way, most
        if refusals:
            return refusals.pop()
        under_way += 1
        most = max(most, under_way)
        await anyio.sleep(0.001)
        under_way -= 1
        return answer(body=[])

    async with connect(respond, concurrent_calls=8) as line:
        await line.client.call("GET", "/x")
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(line.client.call, "GET", "/x")
    assert most <= 3


# --- answers that are none


async def test_an_answer_larger_than_allowed_is_not_read_to_its_end(connect: Connect) -> None:
    packed = gzip.compress(b'"' + b" " * (64 << 20) + b'"')
    bomb = httpx2.Response(200, stream=httpx2.ByteStream(packed), headers={"Content-Encoding": "gzip"})
    async with connect([bomb], max_answer_mb=1) as line:
        with pytest.raises(UnexpectedResponseError, match=r"more than 1 MB.*max_answer_mb"):
            await line.client.call("GET", "/x")
    assert len(line.script.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"<html>maintenance</html>", b'{"records": [', b"[" * 200_000, b"NaN", b"1e99999999999999999999", b"\xff\xfe"],
    ids=["HTML", "truncated", "nested", "NaN", "no number", "no text"],
)
async def test_what_is_no_json_is_an_error_and_not_a_crash(connect: Connect, body: bytes) -> None:
    async with connect([answer(200, body)]) as line:
        with pytest.raises(UnexpectedResponseError, match="no JSON"):
            await line.client.call("GET", "/x")


@pytest.mark.parametrize(
    "status, body, kind",
    [
        (503, b"<html><h1>Service Unavailable</h1></html>", UnavailableError),
        (502, b"", UnavailableError),
        (500, b"[" * 200_000, UnavailableError),
        (403, b"", AccessDeniedError),
        (400, b'[{"errorCode": ["x"], "message": {}}]', UnexpectedResponseError),
        (404, b"[]", SchemaChangedError),
        (418, b"null", UnexpectedResponseError),
    ],
)
async def test_a_failed_call_is_told_by_its_status_when_its_body_says_nothing(
    connect: Connect, status: int, body: bytes, kind: type[Exception]
) -> None:
    replies = [answer(body=VERSIONS), *(answer(status, body) for _ in range(5))]
    async with connect(replies, memory={}) as line:
        with pytest.raises(kind, match=str(status)):
            await line.client.call("GET", "/x")


async def test_the_body_of_a_failed_call_may_be_of_any_size(connect: Connect) -> None:
    async with connect([answer(400, b"x" * (3 << 20))]) as line:
        with pytest.raises(UnexpectedResponseError, match="400"):
            await line.client.call("GET", "/x")


async def test_a_redirect_is_not_followed(connect: Connect) -> None:
    async with connect([answer(302, [], {"Location": "https://elsewhere.example"})]) as line:
        with pytest.raises(ConfigurationError, match="instance_url"):
            await line.client.call("GET", "/x")


async def test_the_server_s_time_is_that_of_its_answer(connect: Connect) -> None:
    dated = answer(body=[], headers={"Date": "Wed, 25 Nov 2026 10:00:00 GMT"})
    async with connect([dated]) as line:
        assert (await line.client.call("GET", "/x")).at == datetime(2026, 11, 25, 10, tzinfo=UTC)


# --- the API version


async def test_the_newest_version_that_both_know_is_used_and_remembered(connect: Connect) -> None:
    """A sandbox on the preview of the next release offers one more than this library was written for."""
    preview = [*VERSIONS, {"version": "69.0"}]
    async with connect([answer(body=preview), answer(body=[]), answer(body=[])], memory={}) as line:
        await line.client.call("GET", "/x")
        await line.client.call("GET", "/x")
        assert line.memory["api_version"] == "68.0"
    assert line.paths == ["/services/data", "/services/data/v68.0/x", "/services/data/v68.0/x"]


@pytest.mark.parametrize("refusal", [(404, "NOT_FOUND"), (410, "GONE"), (410, "UNSUPPORTED_API_VERSION")])
async def test_a_remembered_version_that_the_org_no_longer_offers_is_negotiated_anew(
    connect: Connect, refusal: tuple[int, str]
) -> None:
    """The sandbox was refreshed from a production org that has not got the release yet, or the version retired."""
    replies = [error(*refusal), answer(body=VERSIONS[:-1]), answer(body=["found"])]
    async with connect(replies) as line:
        assert (await line.client.call("GET", "/x")).body == ["found"]
        assert line.memory["api_version"] == "67.0"
        assert line.budget.used == 3
    assert line.paths == ["/services/data/v68.0/x", "/services/data", "/services/data/v67.0/x"]


async def test_what_is_not_there_in_a_version_that_is_costs_one_look_a_connection(connect: Connect) -> None:
    missing = error(404, "NOT_FOUND")
    async with connect([missing, answer(body=VERSIONS), missing, missing]) as line:
        for _ in range(3):
            with pytest.raises(SchemaChangedError):
                await line.client.call("GET", "/sobjects/Nothing/describe")
    assert line.paths.count("/services/data") == 1


async def test_a_configured_version_that_the_org_does_not_offer_names_the_setting(connect: Connect) -> None:
    retired = VERSIONS[-3:]
    async with connect([error(410, "GONE"), answer(body=retired)], api_version="46.0") as line:
        with pytest.raises(ConfigurationError, match=r"not offer API version 46\.0 \(it offers 66\.0 to 68\.0\)"):
            await line.client.call("GET", "/x")


@pytest.mark.parametrize("numbers, advice", [(range(30, 46), "the org is too old"), (range(69, 72), "upgrade crmsync")])
async def test_an_org_without_a_version_in_common_is_told(connect: Connect, numbers: range, advice: str) -> None:
    offered = [{"version": f"{number}.0"} for number in numbers]
    async with connect([answer(body=offered)], memory={}) as line:
        with pytest.raises(ConfigurationError, match=advice):
            await line.client.call("GET", "/x")


async def test_a_host_that_is_no_org_is_told(connect: Connect) -> None:
    async with connect([answer(404, b"<html>")], memory={}) as line:
        with pytest.raises(ConfigurationError, match="no Salesforce org at instance_url"):
            await line.client.call("GET", "/x")


@pytest.mark.parametrize("body", [[], {}, [{"version": "new"}], None, [1]])
async def test_a_list_of_versions_that_is_none_is_an_error(connect: Connect, body: object) -> None:
    async with connect([answer(body=body)], memory={}) as line:
        with pytest.raises(UnexpectedResponseError, match="versions"):
            await line.client.call("GET", "/x")
