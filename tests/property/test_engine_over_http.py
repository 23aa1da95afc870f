"""Random histories over real HTTP: two emulated orgs with their faults switched on, a table, bookkeeping in SQLite.

``CRMSYNC_SEED=7`` plays the history of one seed again, ``CRMSYNC_WIRE_HISTORIES=1000`` plays many.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import anyio

from tests.property.engine.breaking import broken_copy
from tests.property.engine.left_jobs import FAULTS, MUTANT, play_left_job
from tests.property.engine.promises import Counts, Promise
from tests.property.engine.trial import try_engine
from tests.property.engine.wire_history import play_seed

HISTORIES = int(os.environ.get("CRMSYNC_WIRE_HISTORIES", "14"))
SEEDS = [int(os.environ["CRMSYNC_SEED"])] if "CRMSYNC_SEED" in os.environ else range(HISTORIES)
EVENTS = ("jobs played", "take-overs", "days used up", "stops by the delete guard", "stops approved")


def test_any_history_over_http_keeps_every_promise(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Some are played twice, and both ends compared. A failing history is told as a story, and names its seed."""
    counts = Counts()
    for seed in SEEDS:
        directory = tmp_path / str(seed)
        directory.mkdir()
        anyio.run(play_seed, seed, directory, counts, backend=("asyncio", "trio")[seed % 2])
    record_property("played", f"over HTTP: {counts.told()}")
    assert counts.histories == len(SEEDS)
    if len(SEEDS) > 1:
        assert [promise.number for promise in Promise if not counts.judged[promise]] == []
        assert [event for event in EVENTS if not counts.events[event]] == []


def test_a_job_that_a_broken_engine_leaves_behind_is_noticed(tmp_path: Path) -> None:
    """By histories that the engine as it is lives through. The two faults, in one copy, are shown by one each."""
    assert [play_left_job(call) for call in FAULTS] == [None, None]
    verdict = try_engine(broken_copy(MUTANT, tmp_path), "left-jobs", *FAULTS)
    told = (verdict.broken or "").splitlines()
    for call, fault in FAULTS.items():
        assert any(line.startswith(f"{call}: broken promise 7 ") for line in told), f"nobody notices that {fault}"
