"""One incident at every point of one run, or undo: each call to a side and each commit, before its effect and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from crmsync.models.mappings import DeletePolicy
from tests.property.engine.history import History, Step, read_history, run_play
from tests.property.engine.incidents import Incident, Kind
from tests.property.engine.mutants import HISTORIES
from tests.property.engine.promises import Counts, Promise
from tests.property.engine.sites import Conditions
from tests.property.engine.taking_back import Undoing
from tests.property.engine.twins import Twin

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
KINDS = (Kind.FAIL_BEFORE, Kind.FAIL_AFTER, Kind.CRASH_BEFORE, Kind.CRASH_AFTER)


def struck() -> Iterator[History]:
    """`BUSY` with each incident that its last run can meet."""
    reached = run_play(BUSY, "memory://", Counts()).reached[1]
    for call, times in sorted(reached.items()):
        for number in range(1, times + 1):
            for kind in KINDS:
                last = BUSY.steps[-1].model_copy(update={"incident": Incident(call=call, number=number, kind=kind)})
                yield BUSY.model_copy(update={"steps": (*BUSY.steps[:-1], last), "twin": Twin.CALM})


def test_wherever_a_run_is_struck_the_end_is_that_of_the_calm_history(
    record_property: Callable[[str, object], None],
) -> None:
    counts, histories = Counts(), list(struck())
    for history in histories:
        run_play(history, "memory://", counts)
    assert counts.incidents.total() == len(histories)
    record_property("played", f"{len(histories)} incidents at {len(histories) // len(KINDS)} points of one run")
    assert {step.incident.call for history in histories for step in history.steps if step.incident} >= {
        "local.changes",
        "acme.changes",
        "local.write",
        "acme.write",
        "bookkeeping.add_journal",
        "bookkeeping.acknowledge",
    }


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


def test_every_promise_is_judged() -> None:
    """In the histories that are kept, and in one that is played twice in each way."""
    counts = Counts()
    kept = [read_history(str(path)) for path in sorted(HISTORIES.glob("*.json"))]
    for history in (*kept, *(BUSY.model_copy(update={"twin": twin}) for twin in Twin)):
        run_play(history, "memory://", counts)
    assert [promise.number for promise in Promise if not counts.judged[promise]] == []
