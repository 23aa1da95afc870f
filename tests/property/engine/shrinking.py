"""Make a history that breaks a promise as small as it can be: for a person to read, and to be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.property.engine.history import History, Step
from tests.property.engine.sites import Conditions

PLAYS = 400
"""How many smaller histories are tried at most."""


def smallest(history: History, fails: Callable[[History], bool]) -> History:
    """The same failure with steps, incidents and conditions left out, as long as ``fails`` is true of what remains."""
    plays = 0
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in _smaller(history):
            if plays == PLAYS:
                return history
            plays += 1
            if fails(smaller):
                history, shrunk = smaller, True
                break
    return history


def _smaller(history: History) -> Iterator[History]:
    """Histories with less in them, the boldest first."""
    steps = history.steps
    size = len(steps) // 2
    while size:
        for start in range(0, len(steps), size):
            yield history.model_copy(update={"steps": (*steps[:start], *steps[start + size :])})
        size //= 2
    if history.twin is not None:
        yield history.model_copy(update={"twin": None})
    if history.undoing is not None:
        yield history.model_copy(update={"undoing": None})
    usual = Conditions()
    for name in history.given.model_fields_set:
        if getattr(history.given, name) != getattr(usual, name):
            given = history.given.model_copy(update={name: getattr(usual, name)})
            yield history.model_copy(update={"given": given})
    for place, step in enumerate(steps):
        for plain in _plainer(step):
            yield history.model_copy(update={"steps": (*steps[:place], plain, *steps[place + 1 :])})


def _plainer(step: Step) -> Iterator[Step]:
    if step.do in ("run", "run_full"):
        if step.incident is not None:
            yield step.model_copy(update={"incident": None})
        if step.do == "run_full":
            yield step.model_copy(update={"do": "run"})
        unused = step.incident is None and (step.field or step.value or step.person)
        if unused:
            yield Step(do=step.do, site=step.site)
    elif step.do in ("enter", "edit") and step.value not in (None, "alpha"):
        yield step.model_copy(update={"value": "alpha"})
    elif step.do == "enter" and step.value is not None:
        yield step.model_copy(update={"value": None})
