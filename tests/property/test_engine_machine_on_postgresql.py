"""The histories of `test_engine_machine` with the bookkeeping on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.property.engine.databases import on_postgresql
from tests.property.engine.history import breaks
from tests.property.engine.machine import play_many
from tests.property.engine.promises import Counts

HISTORIES = int(os.environ.get("CRMSYNC_HISTORIES", "200")) // 10


def test_any_history_keeps_every_promise_on_postgresql(
    postgres_url: str, record_property: Callable[[str, object], None]
) -> None:
    """A failing history is told as a story."""
    counts = Counts()
    with on_postgresql(postgres_url) as url:
        broken = play_many(url, max(1, HISTORIES), counts, number=1)
        record_property("played", f"postgresql: {counts.told()}")
        assert broken is None, breaks(broken, url()) or f"only once: {broken.text()}"
    assert counts.histories >= HISTORIES
