"""Many histories at the same time, each chunk of one kind and in one of several processes."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
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


# One on SQLite takes three times as long.
KINDS = (
    Kind("memory", "asyncio"),
    Kind("memory", "trio"),
    Kind("memory", "asyncio"),
    Kind("sqlite", "asyncio", 50),
)


@attrs.frozen
class Played:
    """What came of a chunk. ``story`` is that of the first history that broke a promise; it ends the chunk."""

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


@attrs.define
class Progress:
    """What a crowd has played so far. ``faults`` counts the chunks that ended with one."""

    histories: int
    counts: dict[Kind, Counts] = attrs.field(factory=dict)
    faults: Counter[Kind] = attrs.field(factory=Counter)
    begun: float = attrs.field(factory=time.monotonic)

    @property
    def played(self) -> int:
        """The histories of chunks that have ended."""
        return sum(counts.histories for counts in self.counts.values())

    def add(self, played: Played) -> None:
        """A chunk has ended."""
        self.counts.setdefault(played.kind, Counts()).add(played.counts)
        self.faults[played.kind] += played.story is not None

    def told(self) -> str:
        """One line."""
        pace = 60 * self.played / max(time.monotonic() - self.begun, 0.001)
        return f"{self.played} of {self.histories} histories, {pace:.0f} a minute, {self.faults.total()} faults"

    def passed(self) -> str:
        """How many of each kind kept every promise."""
        kinds = [f"{counts.histories - counts.broken} in {kind}" for kind, counts in self.counts.items()]
        return ", ".join(kinds) or "none"


@attrs.frozen
class Bounds:
    """What ends a crowd: the time, so many histories played, or so many faults found."""

    minutes: float
    histories: int
    faults: int


@contextmanager
def in_processes(processes: int) -> Iterator[ProcessPoolExecutor]:
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


def play_in_crowd(
    bounds: Bounds,
    processes: int,
    progress: Progress,
    tell: Callable[[str], None],
    play: Callable[[Kind, int, int, str], Played] = play_chunk,
    workers: Callable[[int], AbstractContextManager[Executor]] = in_processes,
) -> None:
    """Play until the time is over, so many were played or so many faults found.

    ``progress`` is added to, and ``tell`` told, as chunks end. What a chunk that found a fault left is made up for.
    """
    end, left, kinds = time.monotonic() + 60 * bounds.minutes, bounds.histories, cycle(KINDS)
    busy: dict[Future[Played], int] = {}
    with TemporaryDirectory() as folder, workers(processes) as crowd:
        while progress.faults.total() < bounds.faults:
            while len(busy) < processes and left > 0 and time.monotonic() < end:
                kind = next(kinds)
                size = min(kind.chunk, left)
                left -= size
                busy[crowd.submit(play, kind, size, random.getrandbits(32), folder)] = size
            if not busy:
                return
            done, _ = wait(busy, return_when=FIRST_COMPLETED)
            for each in done:
                played = each.result()
                left += max(busy.pop(each) - played.counts.histories, 0)
                progress.add(played)
                tell(f"{played.kind}: {progress.told()}")
                if played.story is not None:
                    tell(f"fault {progress.faults.total()}, in {played.kind}: {played.story}")


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
