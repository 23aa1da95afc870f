"""A history that fails can be played again as it was, and read."""

from __future__ import annotations

import os

import pytest

from crmsync.models.mappings import ConflictPolicy
from tests.property.engine.history import (
    REPLAY,
    REPLAY_ON,
    History,
    Step,
    again,
    breaks,
    read_history,
    replay,
    run_play,
)
from tests.property.engine.incidents import ANY, Incident, Kind
from tests.property.engine.machine import play_many
from tests.property.engine.promises import Counts
from tests.property.engine.shrinking import smallest
from tests.property.engine.sites import Conditions, address
from tests.property.test_engine_points import BUSY

CRASH = Incident(call="acme.write", kind=Kind.CRASH_AFTER)
EVENTFUL = History(
    steps=(
        Step(do="enter", site="local", person=0, value="alpha"),
        Step(do="run", site="acme", incident=CRASH),
        Step(do="edit", site="acme", person=0, field="score", value="alpha"),
        Step(do="run", site="beta"),
    )
)


def test_the_given_history_keeps_every_promise() -> None:
    """The one that `REPLAY` names, for who plays a failing history again; else one with a crash."""
    history = read_history(os.environ.get(REPLAY, EVENTFUL.text()))
    told = breaks(history, "memory://", backend=os.environ.get(REPLAY_ON, "asyncio"))
    assert told is None, told


@pytest.mark.parametrize(
    "edit, given",
    [
        pytest.param(Step(do="edit", site="acme", person=0, field="name"), Conditions(), id="cleared"),
        pytest.param(Step(do="untag", site="acme", person=0), Conditions(), id="untagged"),
        pytest.param(
            Step(do="edit", site="acme", person=0, field="name", value="beta"),
            Conditions(policy=ConflictPolicy.LOCAL_WINS),
            id="set where the local side wins",
        ),
    ],
)
def test_who_edits_a_new_contact_before_a_run_saw_it_may_lose_and_after_that_not(edit: Step, given: Conditions) -> None:
    """A conversion leaves fields blank, too. Whoever judges an edit must know whether a run has seen the contact."""
    entered = Step(do="enter", site="beta", person=0, value="alpha")
    tag, convert = Step(do="tag", site="beta", person=0), Step(do="convert", site="acme", person=0)
    to_acme = (Step(do="run", site="beta"), Step(do="run", site="acme"))
    for seen in ((), to_acme):
        history = History(given=given, steps=(entered, tag, tag, *to_acme, convert, *seen, edit))
        last = replay(history, "memory://").people.knowledge.edits[-1]
        assert (last.site, last.anew) == ("acme", not seen)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(
            '{"given":{"policy":"prefer_nonblank","scanned":true,"page":2,"day":4},"steps":['
            '{"do":"enter","site":"local","person":0},{"do":"enter","site":"local","person":1,"value":"alpha"},'
            '{"do":"enter","site":"local","person":2},{"do":"run","site":"acme"},{"do":"run","site":"beta"},'
            '{"do":"edit","site":"acme","person":0,"field":"name","value":"bad"},'
            '{"do":"edit","site":"beta","person":1,"field":"name"},'
            '{"do":"edit","site":"local","person":1,"field":"name","value":"alpha"}]}',
            id="who is refused was edited behind a scan that a day's calls ended",
        ),
        pytest.param(
            '{"given":{"loss":"round","returns_stored":false},"steps":[{"do":"enter","site":"beta","person":0},'
            '{"do":"run","site":"beta"},{"do":"edit","site":"local","person":0,"field":"score","value":"alpha"},'
            '{"do":"run","site":"acme"},{"do":"delete","site":"local","person":0},'
            '{"do":"tag","site":"acme","person":0}]}',
            id="what is undone was rounded, and somebody else wrote the record since",
        ),
    ],
)
def test_nothing_is_asked_that_nobody_can_know(line: str) -> None:
    """The random histories found these: the engine was right."""
    assert breaks(read_history(line), "memory://") is None


@pytest.mark.parametrize("by_both", [None, True], ids=["by a sync", "by another erasure"])
@pytest.mark.parametrize("call", ["local.write", "beta.write", "bookkeeping.erase_person"])
def test_an_erasure_that_is_taken_over_leaves_nothing_once_it_is_repeated(call: str, by_both: bool | None) -> None:
    """A sync in its midst brings back what is left on one side; who erased the other one meanwhile is told nothing."""
    taken = Incident(call=call, kind=Kind.TAKEN)
    entered = [Step(do="enter", site="beta", person=person, value="alpha") for person in (0, 1)]
    erased = Step(do="erase", site="beta", person=0, incident=taken, value=by_both)
    history = History(steps=(*entered, Step(do="run", site="beta"), Step(do="run", site="acme"), erased))
    stage = replay(history, "memory://")
    assert stage.counts.events["erasures taken over"] == 1
    emails = {fields.get("email") or fields["Email"] for held in stage.at_rest.values() for fields in held.values()}
    assert emails == {address(1)}


def test_two_plays_of_one_history_tell_the_same_story() -> None:
    first, again = (run_play(EVENTFUL, "memory://", Counts()) for _ in range(2))
    assert first.story == again.story
    assert first.sites.snapshot() == again.sites.snapshot()
    assert "run acme, acme.write 1 takes effect, then the process ends: Crash" in first.story


def test_on_trio_the_same_call_is_struck_in_every_play() -> None:
    """Where a page is looked up while another one is written, trio by itself lets now the one, now the other go on."""
    for number in (17, 18, 19):
        incident = Incident(call=ANY, number=number, kind=Kind.FAIL_BEFORE)
        struck = BUSY.steps[-1].model_copy(update={"incident": incident})
        by_one = BUSY.model_copy(
            update={"given": BUSY.given.model_copy(update={"page": 1}), "steps": (*BUSY.steps[:-1], struck)}
        )
        stories = {tuple(replay(by_one, "memory://", backend="trio").story) for _ in range(4)}
        assert len(stories) == 1


def test_the_command_that_plays_a_story_again_says_on_which_event_loop() -> None:
    (*_, on_asyncio), (*_, on_trio) = (again(EVENTFUL, backend) for backend in ("asyncio", "trio"))
    assert on_trio == f"CRMSYNC_REPLAY_ON=trio {on_asyncio}"
    assert on_asyncio.startswith("CRMSYNC_REPLAY='{")


def test_two_searches_with_one_number_play_the_same_histories() -> None:
    counts = [Counts(), Counts()]
    for each in counts:
        assert play_many(lambda: "memory://", 10, each, number=7) is None
    assert counts[0] == counts[1]


def test_a_history_is_read_from_the_line_that_tells_it() -> None:
    assert read_history(EVENTFUL.text()) == EVENTFUL


def test_the_smallest_history_has_nothing_that_the_failure_does_not_need() -> None:
    """Here a failure that needs a crash while somebody is known locally."""

    def fails(history: History) -> bool:
        done = [(step.do, step.site) for step in history.steps]
        return ("enter", "local") in done and any(step.incident for step in history.steps)

    assert smallest(EVENTFUL, fails).steps == (
        Step(do="enter", site="local", person=0),
        Step(do="run", site="acme", incident=CRASH),
    )
