"""Random histories over real HTTP: two emulated orgs with their faults switched on, a table, bookkeeping in SQLite.

``CRMSYNC_SEED=7`` plays the history of one seed again, ``CRMSYNC_WIRE_HISTORIES=1000`` plays many.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import anyio

from tests.property.engine.breaking import broken_copy
from tests.property.engine.erasures import judge_erased
from tests.property.engine.job_troubles import SPEEDS
from tests.property.engine.judgement import judge
from tests.property.engine.left_jobs import FAULTS, MUTANT, play_left_job
from tests.property.engine.promises import Counts, Promise
from tests.property.engine.rest import come_to_rest
from tests.property.engine.taking_back import take_back
from tests.property.engine.trial import try_engine
from tests.property.engine.wire import conditions, wire_stage
from tests.property.engine.wire_steps import step, undoing

STEPS = 30
HISTORIES = int(os.environ.get("CRMSYNC_WIRE_HISTORIES", "12"))
SEEDS = [int(os.environ["CRMSYNC_SEED"])] if "CRMSYNC_SEED" in os.environ else range(HISTORIES)


def test_any_history_over_http_keeps_every_promise(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A failing history is told as a story, and names its seed."""
    counts = Counts()
    for seed in SEEDS:
        directory = tmp_path / str(seed)
        directory.mkdir()
        anyio.run(_play, seed, directory, counts, backend=("asyncio", "trio")[seed % 2])
    record_property("played", f"over HTTP: {counts.told()}")
    assert counts.histories == len(SEEDS)
    if len(SEEDS) > 1:
        not_yet = {Promise.ORDER_FREE, Promise.DELIVERY_FREE, Promise.NO_GUESS}
        assert {promise for promise in Promise if not counts.judged[promise]} <= not_yet
        assert counts.events["jobs played"]
        assert counts.events["take-overs"]
        assert counts.events["days used up"]


def test_a_job_that_a_broken_engine_leaves_behind_is_noticed(tmp_path: Path) -> None:
    """By histories that the engine as it is lives through. The two faults, in one copy, are shown by one each."""
    assert [play_left_job(call) for call in FAULTS] == [None, None]
    verdict = try_engine(broken_copy(MUTANT, tmp_path), "left-jobs", *FAULTS)
    told = (verdict.broken or "").splitlines()
    for call, fault in FAULTS.items():
        assert any(line.startswith(f"{call}: broken promise 7 ") for line in told), f"nobody notices that {fault}"


async def _play(seed: int, directory: Path, counts: Counts) -> None:
    chance = random.Random(seed)
    given, channel = conditions(chance), chance.choice(["collections", "bulk", "bulk", "auto"])
    ways = {"channel": channel, "changes": ("query", "get_updated")[seed // 2 % 2]}
    async with wire_stage(given, ways, directory, counts) as stage:
        if channel == "bulk":
            stage.jobs.take(chance.choice(SPEEDS))
        await stage.begin()
        try:
            for _ in range(STEPS):
                await step(stage, chance)
            await come_to_rest(stage)
            await judge(stage)
            await stage.judge_jobs()
            await take_back(stage, undoing(chance))
            await judge_erased(stage)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is a fault, and is told with its story)
            known = isinstance(error, AssertionError)
            what = f"{error}" if known else f"an error that nobody foresaw: {type(error).__name__}: {error}"
            story = "\n  ".join([f"CRMSYNC_SEED={seed}: {what}", *stage.story])
            raise AssertionError(story) from (None if known else error)
    counts.histories += 1
