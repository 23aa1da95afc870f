"""Random histories over real HTTP: two emulated orgs with their faults switched on, a table, bookkeeping in SQLite.

``CRMSYNC_SEED=7`` plays the history of one seed again, ``CRMSYNC_WIRE_HISTORIES=1000`` plays many.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio

from crmsync.models.records import Side
from tests.property.engine.breaking import broken_copy
from tests.property.engine.incidents import ANY, ASKS, BOOKKEEPING, OF_THE_LEASE, SENDS, Incident, Incidents, Kind
from tests.property.engine.job_troubles import SPEEDS, job_trouble
from tests.property.engine.judgement import judge
from tests.property.engine.knowledge import ACME, BETA, LOCAL, SITES
from tests.property.engine.left_jobs import FAULTS, MUTANT, play_left_job
from tests.property.engine.promises import Counts, Promise
from tests.property.engine.rest import come_to_rest
from tests.property.engine.sites import TEXTS
from tests.property.engine.taking_back import Undoing, take_back
from tests.property.engine.trial import try_engine
from tests.property.engine.troubles import trouble
from tests.property.engine.wire import WireStage, conditions, wire_stage
from tests.property.engine.wire_sites import REFUSED

PEOPLE = 3
STEPS = 30
HISTORIES = int(os.environ.get("CRMSYNC_WIRE_HISTORIES", "12"))
SEEDS = [int(os.environ["CRMSYNC_SEED"])] if "CRMSYNC_SEED" in os.environ else range(HISTORIES)
WORDS = [None, "alpha", "beta", "Gamma", "O'Brien", REFUSED]
BY_LEASE = 0.6
"""How many of the incidents are about the lease."""
KINDS = [kind for kind in Kind if kind not in OF_THE_LEASE]
POINTS = [
    *(f"{BOOKKEEPING}.{call}" for call in ("add_journal", "acknowledge", "links_by_local", "links_by_remote")),
    *(f"{BOOKKEEPING}.{call}" for call in ("add_remote_job", "remove_remote_job")),
    *(f"{LOCAL}.{call}" for call in ("changes", "get", "find", "write")),
]
OF_LEASES = [f"{BOOKKEEPING}.{call}" for call in ("acquire_lease", "renew_lease", "release_lease", "reserve_calls")]
RUN = 25
"""How many points a run has, about."""


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
        assert counts.judged[Promise.HISTORY]
        assert counts.judged[Promise.UNDO]
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
                await _step(stage, chance)
            await come_to_rest(stage)
            await judge(stage)
            await stage.judge_jobs()
            await take_back(stage, _undoing(chance))
        except Exception as error:  # noqa: BLE001  (whatever it is, it is a fault, and is told with its story)
            known = isinstance(error, AssertionError)
            what = f"{error}" if known else f"an error that nobody foresaw: {type(error).__name__}: {error}"
            story = "\n  ".join([f"CRMSYNC_SEED={seed}: {what}", *stage.story])
            raise AssertionError(story) from (None if known else error)
    counts.histories += 1


def _undoing(chance: random.Random) -> Undoing:
    call = chance.choice([f"{BOOKKEEPING}.acknowledge", f"{BOOKKEEPING}.add_journal", f"{LOCAL}.write"])
    kind = chance.choice([Kind.CRASH_BEFORE, Kind.CRASH_AFTER, Kind.FAIL_AFTER])
    incident = Incident(call=call, number=chance.randint(1, 2), kind=kind)
    return Undoing(back=chance.randrange(3), incident=incident, run=chance.random() < 0.5)


def _incident(chance: random.Random, remote: str) -> Incident:
    if chance.random() >= BY_LEASE:
        return Incident(call=chance.choice(POINTS), number=chance.randint(1, 2), kind=chance.choice(KINDS))
    sent = chance.choice([f"{remote}{SENDS}", f"{remote}{SENDS}", f"{remote}{ASKS}", *OF_LEASES, *POINTS, ANY])
    number = chance.randint(1, RUN) if sent == ANY else chance.choice([1, 1, 2, 3])
    return Incident(call=sent, number=number, kind=chance.choice((*OF_THE_LEASE, Kind.TAKEN)))


async def _step(stage: WireStage, chance: random.Random) -> None:
    """Somebody does something, or a run does its work as well as it can."""
    site, person, word = chance.choice(SITES), chance.randrange(PEOPLE), chance.choice(WORDS)
    remote, field = chance.choice([ACME, ACME, BETA]), chance.choice(list(TEXTS))
    people = stage.people
    match chance.choices(range(9), [20, 20, 6, 6, 2, 2, 8, 2, 30])[0]:
        case 0 if not stage.sites.records_of(site, person):
            stage.enter(site, person, word)
        case 1 | 0:
            people.edit(site, person, field, word)
        case 2:
            people.opt(site, person, chance.random() < 0.5)
        case 3:
            (people.tag if chance.random() < 0.7 else people.untag)(site, person)
        case 4:
            people.delete(site, person)
            if site != LOCAL and chance.random() < 0.5:
                await stage.run(site)
                people.edit(LOCAL, person, field, word)
                people.restore(site, person)
        case 5:
            people.merge(remote, person, chance.randrange(PEOPLE))
        case 6:
            people.wait(chance.choice([1, 30, 400]))
        case 7:
            stage.change_mapping()
        case 8:
            planned = _incident(chance, remote) if chance.random() < 0.5 else None
            by_job = stage.ways["channel"] == "bulk" and chance.random() < 0.85
            stage.trouble = job_trouble(chance) if by_job else trouble(chance)
            await stage.run(
                remote,
                Incidents(
                    planned,
                    edit=lambda: people.edit(site, person, field, "meanwhile"),
                    stall=stage.stall,
                    take_over=partial(stage.take_over, remote),
                ),
            )
            await stage.decide(remote, chance.choice(list(Side)))
