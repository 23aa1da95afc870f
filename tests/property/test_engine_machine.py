"""The engine's promises under histories that hypothesis makes up: people, networks and processes at their worst."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.property.engine.history import breaks
from tests.property.engine.machine import play_many
from tests.property.engine.promises import Counts

HISTORIES = int(os.environ.get("CRMSYNC_HISTORIES", "200"))


@contextmanager
def storage(kind: str, folder: Path) -> Iterator[Callable[[], str]]:
    """Gives the URL of an empty bookkeeping for each history."""
    if kind == "memory":
        yield lambda: "memory://"
    else:
        # What is in memory needs no extra.
        from tests.property.engine.databases import on_sqlite

        with on_sqlite(folder) as new:
            yield new


@pytest.mark.parametrize(
    "kind, backend, share", [("memory", "asyncio", 1.0), ("memory", "trio", 0.1), ("sqlite", "asyncio", 0.15)]
)
def test_any_history_keeps_every_promise(
    kind: str, backend: str, share: float, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """On bookkeeping in memory and on SQLite; a failing history is told as a story."""
    counts = Counts()
    # The same histories every time, so that a run says something about the change at hand.
    number = None if os.environ.get("CRMSYNC_RANDOM_EXAMPLES") else 1
    played = max(1, int(HISTORIES * share))
    with storage(kind, tmp_path) as url:
        broken = play_many(url, played, counts, backend=backend, number=number)
        record_property("played", f"{kind}, {backend}: {counts.told()}")
        assert broken is None, breaks(broken, url(), backend=backend) or f"only once: {broken.text()}"
    assert counts.histories >= played
