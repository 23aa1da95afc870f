"""When the results of a job are asked for, and which of them."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.errors import RejectedError
from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.writing.conftest import Desk, OpenDesk, create, jobs_of, keyed

pytestmark = pytest.mark.anyio


def results_read(desk: Desk) -> list[str]:
    """The files of results that were asked for."""
    return [call.path.rpartition("/")[2] for call in jobs_of(desk) if call.method == "GET" and call.path.count("/") > 3]


@pytest.mark.parametrize(
    "bad, read",
    [
        ((), ["successfulResults"]),
        ((2,), ["successfulResults", "failedResults"]),
        ((0, 1, 2), ["failedResults"]),
    ],
)
async def test_results_that_the_counts_of_a_job_prove_empty_are_not_read(
    open_desk: OpenDesk, bad: tuple[int, ...], read: list[str]
) -> None:
    async with open_desk(channel="bulk") as desk:
        rows = [create(n, key=f"k{n}", **({"Title": "x" * 200} if n in bad else {})) for n in range(3)]
        outcomes = await desk.store.write(rows)
        assert results_read(desk) == read
    assert [outcome.ok for outcome in outcomes] == [n not in bad for n in range(3)]


async def test_counts_that_are_wrong_hide_no_refused_row(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        desk.org.faults.bulk.miscount_next()
        outcomes = await desk.store.write([create(1, key="a"), create(2, key="b", Title="x" * 200)])
        assert results_read(desk) == ["successfulResults", "failedResults"]
    assert [outcome.ok for outcome in outcomes] == [True, False]
    assert isinstance(outcomes[1].error, RejectedError)


async def test_all_results_of_a_job_that_did_not_come_to_every_row_are_read(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        desk.org.faults.bulk.abort_next(after_records=200)
        await desk.store.write(keyed(range(300)))
        assert results_read(desk) == ["successfulResults", "failedResults", "unprocessedrecords"]


async def test_10_000_rows_take_6_calls_and_little_more_than_the_job(open_desk: OpenDesk) -> None:
    """120 ms a call, 2 s and 1 ms a record: a describe, three to give, one question, one file of results.

    Of an unknown org the question tells when the job will be over, and then its results are asked for. The next time
    the job is asked when it should be over, 2 % after what was measured.
    """
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now, bulk_seconds=2, bulk_seconds_per_record=0.001)
    memory: dict[str, str] = {}
    calls, seconds = list[int](), list[float]()
    for _ in range(2):
        ways: dict[str, Any] = {"channel": "bulk", "read_back": False, "call_seconds": 0.12}
        async with open_desk(org=org, clock=clock, memory=memory, **ways) as desk:
            began = clock.now()
            outcomes = await desk.store.write(keyed(range(10_000)))
            calls.append(len([call for call in desk.sent.calls if call.path != "/services/data"]))
        assert all(outcome.ok for outcome in outcomes)
        seconds.append((clock.now() - began).total_seconds())
    assert calls == [6, 6]
    assert seconds[0] < 12 + 4 * 0.12 + 0.1
    assert seconds[1] < 12 * 1.02 + 5 * 0.12 + 0.1


class SlowingClock(FakeClock):
    """The second time that somebody waits, an org begins to take a hundredth of a second for a record."""

    org: SalesforceOrg
    waits = 0

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.waits += 1
        if self.waits == 2:
            self.org.bulk.set_options(seconds_per_record=0.01)


async def test_results_that_are_asked_for_too_early_are_asked_for_again_when_the_job_is_over(
    open_desk: OpenDesk,
) -> None:
    clock = SlowingClock()
    clock.org = SalesforceOrg(clock=clock.now, bulk_seconds_per_record=0.002)
    async with open_desk(org=clock.org, clock=clock, channel="bulk", read_back=False) as desk:
        outcomes = await desk.store.write(keyed(range(2_000)))
        asked = [call.path.count("/") > 3 for call in jobs_of(desk) if call.method == "GET"]
        assert results_read(desk) == ["successfulResults"] * 2
    assert all(outcome.ok for outcome in outcomes)
    assert asked[:2] == [False, True], "once in place of a question, then never before the job says that it is over"
    assert asked[-1]
    assert not any(asked[2:-1])


async def test_a_job_with_refused_records_is_asked_itself(open_desk: OpenDesk) -> None:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now, bulk_seconds_per_record=0.005)
    async with open_desk(org=org, clock=clock, channel="bulk", read_back=False) as desk:
        outcomes = await desk.store.write([create(0, key="key-0", Title="x" * 200), *keyed(range(1, 1_000))])
        assert results_read(desk) == ["successfulResults", "failedResults"]
        questions = [call for call in jobs_of(desk) if call.method == "GET" and call.path.count("/") == 3]
    assert len(questions) == 2
    assert [outcome.ok for outcome in outcomes] == [False] + [True] * 999
