"""How long a run waits for another one to end."""

from __future__ import annotations

import anyio
import pytest

from crmsync.cli.output import Format, Output
from crmsync.cli.waiting import when_free
from crmsync.errors import ConcurrentUpdateError, LeaseLostError, StorageError

pytestmark = pytest.mark.anyio


class Run:
    """It takes some seconds, and is refused the first times."""

    def __init__(self, *refused: StorageError, seconds: float = 0) -> None:
        self.refused = list(refused)
        self.seconds = seconds
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        await anyio.sleep(self.seconds)
        if self.refused:
            raise self.refused.pop(0)
        return "ended well"


BUSY = ConcurrentUpdateError("somebody else is at work")


async def test_one_whose_refusal_took_longer_than_the_time_to_wait_tries_once_more() -> None:
    run = Run(BUSY, seconds=0.02)
    assert await when_free(run, 0.01, Output(Format.JSON)) == "ended well"
    assert run.tries == 2


async def test_one_that_does_not_want_to_wait_tries_once() -> None:
    run = Run(BUSY, seconds=0.02)
    with pytest.raises(ConcurrentUpdateError):
        await when_free(run, 0, Output(Format.JSON))
    assert run.tries == 1


async def test_one_that_lost_its_own_lease_does_not_try_again() -> None:
    run = Run(LeaseLostError("another one took over"))
    with pytest.raises(LeaseLostError):
        await when_free(run, 60, Output(Format.JSON))
    assert run.tries == 1
