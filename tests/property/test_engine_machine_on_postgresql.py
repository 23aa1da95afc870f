"""The histories of `test_engine_machine` with the bookkeeping on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable

import psycopg
import pytest

from tests.property.engine.history import breaks
from tests.property.engine.machine import play_many
from tests.property.engine.promises import Counts

HISTORIES = int(os.environ.get("CRMSYNC_HISTORIES", "200")) // 10


@pytest.fixture
def emptied(postgres_url: str) -> Callable[[], str]:
    """The database of this test process, for one history after another."""

    def storage() -> str:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            if connection.execute("SELECT to_regclass('crm_integrations')").fetchone() != (None,):
                connection.execute("DELETE FROM crm_integrations")
        return postgres_url

    return storage


def test_any_history_keeps_every_promise_on_postgresql(
    emptied: Callable[[], str], record_property: Callable[[str, object], None]
) -> None:
    """A failing history is told as a story."""
    counts = Counts()
    broken = play_many(emptied, max(1, HISTORIES), counts, number=1)
    record_property("played", f"postgresql: {counts.told()}")
    assert broken is None, breaks(broken, emptied()) or f"only once: {broken.text()}"
    assert counts.histories >= HISTORIES
