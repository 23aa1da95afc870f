"""Waiting for another run to end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from crmsync.cli.output import Output
from crmsync.errors import ConcurrentUpdateError, LeaseLostError
from crmsync.models.runs import RunOptions

_Result = TypeVar("_Result")

_POLL_SECONDS: Final = 0.5


def patience(wait: float | None, options: RunOptions) -> float:
    """The seconds that the user is willing to wait, by default as long as a run that was killed keeps others out."""
    return options.lease_seconds + 2 * _POLL_SECONDS if wait is None else wait


async def when_free(run: Callable[[], Awaitable[_Result]], seconds: float, output: Output) -> _Result:
    """Run, and while another run holds the lease, try again: one that was killed holds it until it expires.

    The last try begins when the time is over, however long the one before took to be refused.
    """
    deadline = anyio.current_time() + seconds
    told = False
    while True:
        began = anyio.current_time()
        try:
            return await run()
        except LeaseLostError:
            raise
        except ConcurrentUpdateError:
            if began >= deadline:
                raise
        if not told:
            output.note("another run is at work, or was killed a moment ago; waiting for it ...")
            told = True
        await anyio.sleep(_POLL_SECONDS)
