"""Run a coroutine so that Ctrl-C and SIGTERM end it in good order: what must not be cut off is finished first."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.abc

from crmsync.engine.tasks import single_error

_Result = TypeVar("_Result")


def run_interruptible(work: Callable[..., Awaitable[_Result]], *arguments: object) -> _Result:
    """`anyio.run`, where the first Ctrl-C or SIGTERM cancels through anyio, and a second Ctrl-C ends at once.

    Left to itself the event loop would cancel the task in its own way, which passes the shields that let a lease be
    taken or given back as a whole.

    :raises KeyboardInterrupt: a signal ended it.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return anyio.run(work, *arguments)
    return anyio.run(_watched, work, arguments)


async def _watched(work: Callable[..., Awaitable[_Result]], arguments: tuple[object, ...]) -> _Result:
    done: list[_Result] = []
    with single_error():
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_on_signal, group.cancel_scope)
            done.append(await work(*arguments))
            group.cancel_scope.cancel()
    if not done:
        raise KeyboardInterrupt
    return done[0]


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return
