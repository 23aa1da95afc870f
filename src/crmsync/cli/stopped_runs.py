"""What a guard's stop of one object's run means for the other objects of the same command."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

from crmsync.cli import exits
from crmsync.cli.output import Output
from crmsync.cli.session import Target
from crmsync.errors import BudgetExceededError, SafetyStopError
from crmsync.models.runs import RunStatus

_SHARED: Final = ("day", "org")
"""The budgets of an integration as a whole: where one is used up, none of its objects can go on."""


@attrs.frozen
class StoppedRuns:
    """The objects whose runs a guard has stopped, and those that are held since they build on one of them.

    The others go on. What builds on a held object is held, too. It is false as long as no run was stopped.
    """

    stopped: list[tuple[Target, SafetyStopError]] = attrs.field(factory=list)
    held: list[tuple[Target, Target]] = attrs.field(factory=list)

    def __bool__(self) -> bool:
        return bool(self.stopped)

    @contextmanager
    def noting(self, target: Target, output: Output) -> Iterator[None]:
        """Tell of a guard's stop, and go on after it."""
        try:
            yield
        except SafetyStopError as error:
            self.stopped.append((target, error))
            output.tell(error, str(target))

    def hold(self, target: Target, parents: Collection[str]) -> bool:
        """Whether an object that builds on these is not to be run now."""
        theirs = [
            *(one for one, error in self.stopped if one.object_name in parents or _is_shared(error)),
            *(one for one, _ in self.held if one.object_name in parents),
        ]
        obstacle = next((one for one in theirs if one.integration.id == target.integration.id), None)
        if obstacle is None:
            return False
        self.held.append((target, obstacle))
        return True

    @property
    def statuses(self) -> list[RunStatus]:
        """How the stopped runs ended."""
        return [RunStatus.STOPPED for _ in self.stopped]

    def payload(self) -> dict[str, Any]:
        """The JSON form, with the first stop as the command's error; empty without any."""
        if not self:
            return {}
        return {
            "stopped": [{**_named(target), "error": exits.error_payload(error)} for target, error in self.stopped],
            "held": [{**_named(target), "because_of": obstacle.object_name} for target, obstacle in self.held],
            "error": exits.error_payload(self.stopped[0][1]),
        }

    def summary(self) -> str:
        """One line for people."""
        told = f"stopped by a guard: {', '.join(str(target) for target, _ in self.stopped)}"
        if self.held:
            told += f"; not run, since they build on what was stopped: {', '.join(str(one) for one, _ in self.held)}"
        return f"{told}; whatever else was selected was run"


def _is_shared(error: SafetyStopError) -> bool:
    return isinstance(error, BudgetExceededError) and error.scope in _SHARED


def _named(target: Target) -> dict[str, str]:
    return {"integration_id": target.integration.id, "entity_type": target.object_name}
