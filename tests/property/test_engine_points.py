"""One incident at every point of one run, or undo: each call to a side and each commit, before its effect and after."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import crmsync.engine
from crmsync.models.mappings import ConflictPolicy, DeletePolicy
from crmsync.protocols import records
from crmsync.protocols.repository import SyncRepository
from tests.property.engine.breaking import HISTORIES
from tests.property.engine.history import History, Step, read_history, run_play
from tests.property.engine.incidents import Incident, Kind
from tests.property.engine.promises import Counts, Promise
from tests.property.engine.sites import Conditions
from tests.property.engine.taking_back import Undoing
from tests.property.engine.twins import Twin, compare

BUSY = History(
    given=Conditions(external_key=False, loss="cut"),
    steps=(
        Step(do="enter", site="local", person=0, value="alpha"),
        Step(do="enter", site="acme", person=1, value="beta "),
        Step(do="run", site="acme"),
        Step(do="edit", site="local", person=0, field="note", value="longer than the CRM takes"),
        Step(do="edit", site="acme", person=1, field="score", value="alpha"),
        Step(do="enter", site="acme", person=2, value="Gamma"),
        Step(do="run", site="acme"),
    ),
)
STOPPED = History(
    given=Conditions(guard=0, delete=DeletePolicy.PROPAGATE, scanned=True, policy=ConflictPolicy.MANUAL),
    steps=(
        *(Step(do="enter", site="local", person=person, value="alpha") for person in (0, 1, 4)),
        *(Step(do="enter", site="acme", person=person, value="beta ") for person in (2, 3)),
        Step(do="run", site="acme"),
        Step(do="edit", site="local", person=2, field="name", value="Gamma"),
        Step(do="edit", site="acme", person=2, field="name", value="alpha"),
        Step(do="tag", site="local", person=0),
        Step(do="opt", site="acme", person=0, value=True),
        Step(do="convert", site="acme", person=0),
        Step(do="merge", site="acme", person=3, value=2),
        Step(do="enter", site="local", person=5, value="Gamma"),
        Step(do="delete", site="local", person=1),
        Step(do="delete", site="acme", person=4),
        Step(do="run", site="acme"),
    ),
)
"""A run with deletes that a guard stops."""
APPROVED = STOPPED.model_copy(
    update={
        "steps": (
            *STOPPED.steps,
            Step(do="approve", site="acme"),
            Step(do="decide", site="acme", value="local"),
            Step(do="run", site="acme"),
        )
    }
)
"""A run that carries out what was stopped, and what was decided."""
KINDS = (Kind.FAIL_BEFORE, Kind.FAIL_AFTER, Kind.CRASH_BEFORE, Kind.CRASH_AFTER)
NOT_BETWEEN_TWO_MEMORIES = {
    # Bulk jobs: tests/integration/test_two_workers.py and test_kill_on_databases.py.
    *("add_remote_job", "list_remote_jobs", "remove_remote_job", "settle_jobs"),
    # A day's budget of calls: the histories that the machine makes up, and test_calls_of_processes.py.
    *("get_call_usage", "reserve_calls", "return_calls"),
    # As time passes: the machine's, too, and tests/unit/engine/test_lease.py.
    "renew_lease",
    # An undo and the erasure of a person, which are struck below.
    *("describe", "list_changes", "erase_person", "erased_among"),
}
"""Calls that no sync of these histories makes."""


def reached_last(history: History) -> Counter[str]:
    """The points of a history's last run before all comes to rest."""
    runs = sum(step.do == "run" for step in history.steps)
    return run_play(history, "memory://", Counts()).reached[runs - 1]


def struck_at(history: History, call: str, number: int, kind: Kind) -> History:
    """A history with an incident in its last run."""
    last = history.steps[-1].model_copy(update={"incident": Incident(call=call, number=number, kind=kind)})
    return history.model_copy(update={"steps": (*history.steps[:-1], last)})


def points(history: History) -> Iterator[tuple[str, int]]:
    """Each point that the last run reaches."""
    for call, times in sorted(reached_last(history).items()):
        for number in range(1, times + 1):
            yield call, number


def test_wherever_a_run_is_struck_the_end_is_that_of_the_calm_history(
    record_property: Callable[[str, object], None],
) -> None:
    counts = Counts()
    calm = run_play(BUSY, "memory://", Counts())
    histories = [struck_at(BUSY, *point, kind) for point in points(BUSY) for kind in KINDS]
    for history in histories:
        stage = run_play(history, "memory://", counts)
        try:
            compare(Twin.CALM, stage, calm)
        except AssertionError:
            run_play(history.model_copy(update={"twin": Twin.CALM}), "memory://", counts)  # tells the story
            raise
    assert counts.incidents.total() == len(histories)
    record_property("played", f"{len(histories)} incidents at {len(histories) // len(KINDS)} points of one run")


def test_wherever_a_run_with_deletes_is_struck_every_promise_is_kept(
    record_property: Callable[[str, object], None],
) -> None:
    """One that a guard stops, and one that carries out what was approved. The kinds of incident take turns."""
    counts, kinds = Counts(), cycle(KINDS)
    for history in (STOPPED, APPROVED):
        for point in points(history):
            run_play(struck_at(history, *point, next(kinds)), "memory://", counts)
    assert counts.incidents.total() == counts.histories
    record_property("played", f"{counts.histories} incidents, one at each point of two runs with deletes")


def test_every_call_that_the_engine_waits_for_is_a_point_that_is_struck() -> None:
    """By the engine's source: whoever has it call something new has these histories reach it."""
    struck = {call.partition(".")[2] for history in (BUSY, STOPPED, APPROVED) for call in reached_last(history)}
    assert awaited_calls() - struck == NOT_BETWEEN_TWO_MEMORIES


def awaited_calls() -> set[str]:
    """The coroutine methods of the bookkeeping and of record stores that the engine's source names."""
    protocols = [SyncRepository, *(each for each in vars(records).values() if inspect.isclass(each))]
    waits = {name for each in protocols for name, _ in inspect.getmembers(each, inspect.iscoroutinefunction)}
    sources = Path(str(crmsync.engine.__file__)).parent.glob("*.py")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sources]
    named = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return waits & named


UNDONE = History(
    given=Conditions(external_key=False, delete=DeletePolicy.PROPAGATE),
    steps=(
        *(Step(do="enter", site="local", person=person, value="alpha") for person in range(3)),
        Step(do="run", site="acme"),
        Step(do="run", site="beta"),
        Step(do="edit", site="acme", person=0, field="note", value="beta "),
        Step(do="edit", site="local", person=0, field="city", value="Gamma"),
        Step(do="delete", site="acme", person=1),
        Step(do="wait", value=30),
        Step(do="run", site="acme"),
        Step(do="edit", site="local", person=2, field="name", value="alpha"),
    ),
)
"""Its last run updates and deletes at the CRM; two before it, one updates both sides and deletes locally."""


def undone(back: int) -> Iterator[History]:
    """`UNDONE` with each incident at a write, or beside one, as the run before so many others is undone."""
    calm = UNDONE.model_copy(update={"undoing": Undoing(back=back)})
    reached = run_play(calm, "memory://", Counts()).reached[-1]
    for call in sorted(call for call in reached if call.endswith((".write", ".add_journal", ".acknowledge"))):
        for number in range(1, reached[call] + 1):
            for turn, kind in enumerate((Kind.CRASH_BEFORE, Kind.CRASH_DURING, Kind.CRASH_AFTER, Kind.FAIL_AFTER)):
                incident = Incident(call=call, number=number, kind=kind)
                undoing = Undoing(back=back, incident=incident, run=(turn + number) % 2 == 0)
                yield UNDONE.model_copy(update={"undoing": undoing})


def test_wherever_an_undo_is_struck_another_one_finishes_it(record_property: Callable[[str, object], None]) -> None:
    counts, histories = Counts(), [history for back in (0, 2) for history in undone(back)]
    for history in histories:
        run_play(history, "memory://", counts)
    assert counts.incidents.total() == len(histories)
    record_property("played", f"{len(histories)} incidents in undos")


ERASED = History(
    given=Conditions(external_key=False),
    steps=(
        *(Step(do="enter", site="local", person=person, value="alpha") for person in range(2)),
        Step(do="run", site="acme"),
        Step(do="run", site="beta"),
        Step(do="edit", site="acme", person=0, field="note", value="beta "),
        Step(do="run", site="acme", incident=Incident(call="local.write", kind=Kind.CRASH_AFTER)),
        Step(do="erase", site="acme", person=0),
        Step(do="run", site="acme"),
        Step(do="run", site="beta"),
        Step(do="enter", site="beta", person=0),
    ),
)
"""Before the erasure a run crashed and left its journal; after it others run, and the person comes back to a CRM."""


def test_wherever_an_erasure_is_struck_another_one_finishes_it(record_property: Callable[[str, object], None]) -> None:
    """The kinds of incident take turns."""
    counts, kinds = Counts(), cycle(KINDS)
    reached = run_play(ERASED, "memory://", Counts()).reached[3]
    for call, times in sorted(reached.items()):
        for number in range(1, times + 1):
            incident = Incident(call=call, number=number, kind=next(kinds))
            steps = [s.model_copy(update={"incident": incident}) if s.do == "erase" else s for s in ERASED.steps]
            run_play(ERASED.model_copy(update={"steps": tuple(steps)}), "memory://", counts)
    assert "bookkeeping.erase_person" in reached
    assert counts.incidents.total() == 2 * counts.histories  # the run's, and the erasure's
    record_property("played", f"{counts.histories} incidents in erasures")


def test_every_promise_is_judged() -> None:
    """In the histories that are kept, and in one that is played twice in each way."""
    counts = Counts()
    kept = [read_history(str(path)) for path in sorted(HISTORIES.glob("*.json"))]
    for history in (*kept, *(BUSY.model_copy(update={"twin": twin}) for twin in Twin)):
        run_play(history, "memory://", counts)
    assert [promise.number for promise in Promise if not counts.judged[promise]] == []
