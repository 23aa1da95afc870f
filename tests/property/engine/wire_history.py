"""Histories over the wire, each made up from a seed: what the sites are like, and what happens.

Some are played twice, to be compared: the second time the pages have another size and their records come last first, or
each comes twice, and the provider asks for changes the other way (`query` or `get_updated`). An org tells its changes
in order, so what turns and doubles them stands between the provider and the engine, as it does in memory (`feed.py`).
In such a history nothing shows late and nothing goes wrong, nor does a day end for want of calls: how long a run takes
differs between the two, and so would what people meet.
"""

from __future__ import annotations

import random
from pathlib import Path

import attrs

from crmsync.models.mappings import ConflictPolicy, DeletePolicy
from crmsync.testing.salesforce import BulkOptions
from tests.property.engine.erasures import judge_erased
from tests.property.engine.job_troubles import SPEEDS
from tests.property.engine.judgement import judge, judge_returned
from tests.property.engine.knowledge import SITES
from tests.property.engine.promises import Counts
from tests.property.engine.rest import come_to_rest
from tests.property.engine.sites import Conditions
from tests.property.engine.taking_back import take_back
from tests.property.engine.twins import Twin, compare, delivered_as
from tests.property.engine.wire import TRIGGERS, WireStage, wire_stage
from tests.property.engine.wire_steps import open_with, step, undoing

STEPS = 22
CHANNELS = ("collections", "bulk", "bulk", "auto")
WAYS = ("query", "get_updated")
TWINS = (*(None,) * 14, Twin.BOTH, Twin.REORDERED, Twin.DOUBLED)
"""How a history is played a second time, if it is."""
_SPECIAL = (
    ConflictPolicy.CUSTOM,
    ConflictPolicy.SET_MERGE,
    ConflictPolicy.MOST_RESTRICTIVE,
    ConflictPolicy.MIN,
)


@attrs.frozen
class WireHistory:
    """All that a play depends on. ``steps`` is the seed of what happens; ``calm``: nothing goes wrong meanwhile.

    ``opening`` is the site at which everybody is entered, and brought to the others, before all begins.
    """

    given: Conditions
    channel: str
    changes: str
    speed: BulkOptions
    steps: int
    opening: str | None
    calm: bool = False

    def other(self, twin: Twin) -> WireHistory:
        """The same, but for what should make no difference."""
        (changes,) = {*WAYS} - {self.changes}
        return attrs.evolve(self, given=delivered_as(twin, self.given), changes=changes)


async def play_seed(seed: int, directory: Path, counts: Counts) -> None:
    """Play the history of a seed, and judge it.

    :raises AssertionError: a promise is broken, or the engine fails with no error of its own; the message tells the
        whole story, and names the seed.
    """
    stories: list[list[str]] = []
    chance = random.Random(seed)
    history, twin = _history(chance, WAYS[seed // 2 % 2]), chance.choice(TWINS)
    try:
        if twin is not None:
            history = _comparable(history)
            first = await _play(history, directory / "first", counts, stories)
            second = await _play(history.other(twin), directory / "second", counts, stories)
            compare(twin, first, second)
        else:
            await _play(history, directory, counts, stories)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is a fault, and is told with its story)
        known = isinstance(error, AssertionError)
        what = f"{error}" if known else f"an error that nobody foresaw: {type(error).__name__}: {error}"
        told = [line for story in stories for line in ("", *story)][1:]
        raise AssertionError("\n  ".join([f"CRMSYNC_SEED={seed}: {what}", *told])) from (None if known else error)
    counts.histories += 1


async def _play(history: WireHistory, directory: Path, counts: Counts, stories: list[list[str]]) -> WireStage:
    directory.mkdir(exist_ok=True)
    chance = random.Random(history.steps)
    ways = {"channel": history.channel, "changes": history.changes}
    async with wire_stage(history.given, ways, directory, counts) as stage:
        stories.append(stage.story)
        stage.jobs.take(history.speed)
        await stage.begin()
        await open_with(stage, history.opening)
        for _ in range(STEPS):
            await step(stage, chance, calm=history.calm)
            judge_returned(stage)
        await come_to_rest(stage)
        await judge(stage)
        await stage.judge_jobs()
        stage.at_rest = stage.sites.snapshot()
        await take_back(stage, undoing(chance))
        await judge_erased(stage)
        return stage


def _history(chance: random.Random, changes: str) -> WireHistory:
    policies = [policy for policy in ConflictPolicy if policy not in _SPECIAL]
    given = Conditions(
        policy=chance.choice(policies),
        loss=chance.choice(["none", *TRIGGERS]),
        external_key=chance.random() < 0.7,
        scanned=chance.random() < 0.4,
        late=chance.random() < 0.3,
        doubled=chance.random() < 0.2,
        backwards=chance.random() < 0.2,
        page=chance.choice([None, None, 1, 2]),
        delete=chance.choice([DeletePolicy.IGNORE, DeletePolicy.UNLINK, *[DeletePolicy.PROPAGATE] * 2]),
        guard=chance.choice([50, 1, 0, 0]),
        day=chance.choice([*[None] * 6, 60, 25, 10]),
    )
    channel = chance.choice(CHANNELS)
    speed = chance.choice(SPEEDS) if channel == "bulk" else SPEEDS[0]
    opening = chance.choice([None, *SITES])
    return WireHistory(given, channel, changes, speed, chance.getrandbits(32), opening)


def _comparable(history: WireHistory) -> WireHistory:
    given = history.given.model_copy(update={"late": False, "day": None})
    return attrs.evolve(history, given=given, calm=True)
