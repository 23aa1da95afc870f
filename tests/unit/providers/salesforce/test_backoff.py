"""When a call is sent again."""

from __future__ import annotations

import itertools

import pytest

from crmsync.errors import RejectedError, UnavailableError
from crmsync.providers.salesforce.backoff import BackOff, LostAnswerError
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio


async def waits(error: Exception, *, attempts: int = 4, longest: float = 60.0) -> list[float]:
    """The seconds before each further attempt of a call that fails in this way."""
    clock = FakeClock()
    moments = []

    async def attempt() -> None:
        moments.append(clock.now())
        raise error

    with pytest.raises(type(error)):
        await BackOff(clock, attempts=attempts, first=1.0, longest=longest).run(attempt)
    return [(later - before).total_seconds() for before, later in itertools.pairwise(moments)]


async def test_waits_double_and_differ_so_that_those_who_failed_together_do_not_come_again_together() -> None:
    many = [await waits(UnavailableError("busy")) for _ in range(20)]
    for position, least in enumerate((1.0, 2.0, 4.0)):
        spread = [each[position] for each in many]
        assert all(least <= seconds <= least + 1.0 for seconds in spread)
        assert len(set(spread)) > 10


async def test_waits_grow_no_longer_than_the_longest() -> None:
    assert all(seconds <= 3.0 for seconds in await waits(UnavailableError("busy"), attempts=8, longest=2.0))


@pytest.mark.parametrize(
    "error", [RejectedError("no"), LostAnswerError("who knows"), UnavailableError("", retry_after=61)]
)
async def test_what_will_not_pass_or_must_not_be_sent_blindly_is_not_tried_again(error: Exception) -> None:
    assert await waits(error) == []
