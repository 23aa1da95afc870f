"""A history as data: what the sites are like, and what happens, step by step. It plays the same way every time."""

from __future__ import annotations

import asyncio
import gc
import selectors
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
from pydantic import BaseModel, ConfigDict

from crmsync.models.records import Side
from tests.property.engine.erasures import erase, judge_erased
from tests.property.engine.incidents import Incident, Incidents, Kind
from tests.property.engine.judgement import judge, judge_returned
from tests.property.engine.knowledge import LOCAL
from tests.property.engine.people import People
from tests.property.engine.promises import Counts
from tests.property.engine.rest import come_to_rest
from tests.property.engine.sites import Conditions
from tests.property.engine.stage import Stage
from tests.property.engine.storages import open_storage
from tests.property.engine.taking_back import Undoing, take_back
from tests.property.engine.twins import Twin, compare, delivered_as

Value = str | bool | int | None
REPLAY = "CRMSYNC_REPLAY"
"""The environment variable that makes the machine play one history, given as JSON or as the name of a file."""
REPLAY_ON = "CRMSYNC_REPLAY_ON"
"""The environment variable that says on which event loop, if not on asyncio's."""
COLLECTED = 100_000
"""So many objects are made before `few_collections` has them looked through; Python's own is 700."""


class Step(BaseModel):
    """One thing that happens. ``do`` is a verb of `DEEDS`, a change of the mapping, a decision of the inbox, an
    erasure, or a run.

    Of an erasure ``site`` is the CRM that it begins with, and ``value`` whether who takes it over erases as well. Of a
    run it is the CRM; ``value``, ``person`` and ``field`` are where somebody edits meanwhile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: str
    site: str = ""
    person: int | None = None
    field: str = ""
    value: Value = None
    incident: Incident | None = None


class History(BaseModel):
    """Everything that a play depends on. With a ``twin`` it is played twice, and both ends are compared.

    ``undoing`` is what goes wrong when, at last, the last run is undone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    given: Conditions = Conditions()
    steps: tuple[Step, ...] = ()
    twin: Twin | None = None
    undoing: Undoing | None = None

    def text(self) -> str:
        """One line of JSON, from which it can be read again."""
        return self.model_dump_json(exclude_defaults=True)


DEEDS: dict[str, Callable[[People, Step], None]] = {
    "enter": lambda people, step: people.enter(step.site, _person(step), _word(step)),
    "edit": lambda people, step: people.edit(step.site, _person(step), step.field, _word(step)),
    "opt": lambda people, step: people.opt(step.site, _person(step), bool(step.value)),
    "tag": lambda people, step: people.tag(step.site, _person(step)),
    "untag": lambda people, step: people.untag(step.site, _person(step)),
    "delete": lambda people, step: people.delete(step.site, _person(step)),
    "restore": lambda people, step: people.restore(step.site, _person(step)),
    "merge": lambda people, step: people.merge(step.site, _person(step), int(step.value or 0)),
    "convert": lambda people, step: people.convert(step.site, _person(step)),
    "hide": lambda people, step: people.hide(step.site, step.field),
    "expire": lambda people, step: people.expire(step.site),
    "wait": lambda people, step: people.wait(int(step.value or 0)),
}


def _person(step: Step) -> int:
    return step.person or 0


def _word(step: Step) -> str | None:
    return None if step.value is None else str(step.value)


async def take(stage: Stage, step: Step) -> None:
    """Let one step happen."""
    match step.do:
        case "run" | "run_full":
            site = str(step.value or LOCAL)
            incidents = Incidents(
                step.incident,
                edit=lambda: _meanwhile(stage, step, site),
                stall=stage.stall,
                take_over=partial(stage.take_over, step.site),
            )
            await stage.run(step.site, incidents, **({"full": True} if step.do == "run_full" else {}))
        case "erase":
            await erase(stage, step.site, _person(step), step.incident, by_both=step.value is True)
        case "decide":
            await stage.decide(step.site, Side(str(step.value)))
        case "retry":
            await stage.retry(step.site)
        case "approve":
            await stage.approve(step.site)
        case "ignore":
            await stage.ignore(step.site, ignored=bool(step.value))
        case "change_mapping":
            stage.change_mapping()
        case "new_version":
            stage.new_version()
        case deed:
            DEEDS[deed](stage.people, step)


def _meanwhile(stage: Stage, step: Step, site: str) -> None:
    """Somebody edits while a run is at work, which may have carried over some of what was there."""
    stage.people.knowledge.ran(step.site, before=(), well=False)
    stage.ledger.overtaken.add(stage.ledger.run_id)
    stage.people.edit(site, _person(step), step.field, "meanwhile")


async def play(history: History, url: str, counts: Counts, backend: str = "asyncio") -> Stage:
    """Play a history on the bookkeeping at a URL, let it come to rest, and judge it; ``backend`` is where this runs.

    :raises AssertionError: a promise is broken, or the engine fails with no error of its own; the message tells the
        whole story, and how to play it again.
    """
    counts.histories += 1
    stories: list[list[str]] = []
    try:
        stage = await _play_once(_first(history), url, counts, stories)
        if history.twin is not None:
            compare(history.twin, stage, await _play_once(_second(history), "memory://", counts, stories))
    except Exception as broken:  # noqa: BLE001  (whatever it is, it is a fault, and is told with its story)
        counts.broken += 1
        told = [line for story in stories for line in ("", *story)][1:]
        promise = isinstance(broken, AssertionError)
        what = f"{broken}" if promise else f"an error that nobody foresaw: {type(broken).__name__}: {broken}"
        raise AssertionError("\n  ".join([what, *told, *again(history, backend)])) from (None if promise else broken)
    return stage


async def _play_once(history: History, url: str, counts: Counts, stories: list[list[str]]) -> Stage:
    async with open_storage(url) as repository:
        stage = Stage(history.given, repository, counts)
        stories.append(stage.story)
        await stage.begin()
        for step in history.steps:
            await take(stage, step)
            judge_returned(stage)
        await come_to_rest(stage)
        await judge(stage)
        stage.at_rest = stage.sites.snapshot()
        await take_back(stage, history.undoing)
        await judge_erased(stage)
        return stage


def _first(history: History) -> History:
    """The history as it is; for a twin the incidents come last, or not at all, and no run ends for want of calls.

    Other pages and incidents take other calls, so a budget would end other runs, and one CRM's edit be there sooner.
    """
    if history.twin is None:
        return history
    history = history.model_copy(update={"given": history.given.model_copy(update={"calls": None, "day": None})})
    if history.twin is not Twin.CALM:
        return history.model_copy(update={"steps": _without_incidents(history.steps)})
    struck = [step for step in history.steps if step.incident and step.incident.kind is not Kind.EDIT]
    before = _without_incidents(step for step in history.steps if step not in struck)
    return history.model_copy(update={"steps": (*before, *struck)})


def _second(history: History) -> History:
    first = _first(history)
    conditions = first.given if history.twin is None else delivered_as(history.twin, first.given)
    return first.model_copy(update={"given": conditions, "steps": _without_incidents(first.steps)})


def _without_incidents(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(step.model_copy(update={"incident": None}) for step in steps)


def read_history(given: str) -> History:
    """A history given as JSON, or as the name of a file that holds it."""
    text = given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8")
    return History.model_validate_json(text)


def again(history: History, backend: str) -> list[str]:
    """How a story ends: with the command that plays it again."""
    loop = "" if backend == "asyncio" else f"{REPLAY_ON}={backend} "
    command = f"{loop}{REPLAY}={shlex.quote(history.text())} pytest -n 0 tests/property/test_engine_replay.py"
    return ["", "play it again:", command]


@contextmanager
def few_collections() -> Iterator[None]:
    """While many histories are played, what is there already is not looked through for garbage, and the rest seldom.

    A play makes a hundred thousand short-lived tasks and frames: at Python's own pace every seventh of its seconds goes
    into looking through them.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECTED, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def run_play(history: History, url: str, counts: Counts, *, backend: str = "asyncio") -> Stage:
    """`play` on an event loop of its own. On trio its tasks take turns as they like, but for where hypothesis plays."""
    options = {"loop_factory": _loop} if backend == "asyncio" else {}
    return anyio.run(play, history, url, counts, backend, backend=backend, backend_options=options)


class _SeldomAsked(selectors.DefaultSelector):
    """Asks the system for events only where the loop would wait for them: nothing here has files or sockets to watch.

    A thread that is done says so where the loop looks anyway.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return [] if timeout is not None and timeout <= 0 else super().select(timeout)


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(_SeldomAsked())


def replay(history: History, url: str, *, backend: str = "asyncio") -> Stage:
    """`play` exactly as the machine plays it, every time.

    Trio throws dice for which of several tasks goes on. It has told hypothesis so, which has them fall alike in every
    example.

    :raises AssertionError: see `play`.
    """
    if backend == "asyncio":
        return run_play(history, url, Counts())
    # It takes a while to import.
    from hypothesis import Phase, given, settings, strategies

    played: list[Stage | AssertionError] = []

    @settings(max_examples=1, database=None, deadline=None, phases=[Phase.generate])
    @given(strategies.none())
    def example(_: None) -> None:
        try:
            played.append(run_play(history, url, Counts(), backend=backend))
        except AssertionError as broken:
            played.append(broken)

    example()
    [outcome] = played
    if isinstance(outcome, AssertionError):
        raise outcome
    return outcome


def breaks(history: History, url: str, *, backend: str = "asyncio") -> str | None:
    """How a history breaks a promise: `play`'s message, or None."""
    try:
        replay(history, url, backend=backend)
    except AssertionError as broken:
        return str(broken)
    return None
