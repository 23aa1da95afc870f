"""Many histories at the same time, each chunk of one kind and in one of several processes."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from itertools import cycle
from multiprocessing import active_children, get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from tests.property.engine.databases import on_sqlite
from tests.property.engine.history import breaks
from tests.property.engine.machine import play_many
from tests.property.engine.promises import Counts


@attrs.frozen
class Kind:
    """A storage and an event loop, and how many histories are played on them in one go: about a minute's."""

    storage: str
    backend: str
    chunk: int = 100

    def __str__(self) -> str:
        return f"{self.storage} on {self.backend}"


# One on SQLite takes four times as long.
KINDS = (
    Kind("memory", "asyncio"),
    Kind("memory", "trio"),
    Kind("memory", "asyncio"),
    Kind("sqlite", "asyncio", 50),
)


@attrs.frozen
class Played:
    """What came of a chunk. ``story`` is that of the first history that broke a promise."""

    kind: Kind
    counts: Counts
    story: str | None = None


class EndedError(Exception):
    """Somebody wants it to end."""


def play_chunk(kind: Kind, histories: int, number: int, folder: str) -> Played:
    """Make up and play so many; always the same for a ``number``."""
    counts = Counts()
    with TemporaryDirectory(dir=folder) as own, ExitStack() as stack:
        url = stack.enter_context(on_sqlite(Path(own))) if kind.storage == "sqlite" else lambda: "memory://"
        broken = play_many(url, histories, counts, backend=kind.backend, number=number)
        if broken is None:
            return Played(kind, counts)
        return Played(kind, counts, breaks(broken, url(), backend=kind.backend) or f"only once: {broken.text()}")


def play_in_crowd(
    minutes: float, histories: int, processes: int, counts: dict[Kind, Counts], tell: Callable[[str], None]
) -> str | None:
    """Play until the time is over, so many were played or one failed; answers the story of that one.

    ``counts`` is added to, and ``tell`` told, as chunks end.
    """
    end, left, kinds = time.monotonic() + 60 * minutes, histories, cycle(KINDS)
    busy: set[Future[Played]] = set()
    with TemporaryDirectory() as folder, _workers(processes) as workers:
        while True:
            while len(busy) < processes and left > 0 and time.monotonic() < end:
                kind = next(kinds)
                size = min(kind.chunk, left)
                left -= size
                busy.add(workers.submit(play_chunk, kind, size, random.getrandbits(32), folder))
            if not busy:
                return None
            done, busy = wait(busy, return_when=FIRST_COMPLETED)
            for result in (each.result() for each in done):
                counts.setdefault(result.kind, Counts()).add(result.counts)
                tell(f"{result.kind}: {counts[result.kind].told()}")
                if result.story is not None:
                    return result.story


@contextmanager
def _workers(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that are ended when this is left, whatever they are at."""
    with ProcessPoolExecutor(processes, get_context("spawn"), _leave_interrupts) as workers:
        try:
            yield workers
        finally:
            for each in active_children():
                each.terminate()


def _leave_interrupts() -> None:
    # The terminal tells all processes; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def ended_by() -> Iterator[None]:
    """Ctrl-C, and being told to end, or that the terminal is gone, raise `EndedError`, once.

    What was ignored stays so: ``nohup`` means it.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]
    usual = {each: signal.getsignal(each) for each in known if signal.getsignal(each) is not signal.SIG_IGN}

    def end(number: int, _frame: object) -> None:
        for each in usual:
            signal.signal(each, signal.SIG_IGN)
        raise EndedError(signal.Signals(number).name)

    for each in usual:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each, handler in usual.items():
            signal.signal(each, handler)
