"""What a guard's stop of one object's run, or a pause of its integration, means for the others of the same command."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

from crmsync.cli import exits
from crmsync.cli.output import Output
from crmsync.cli.session import Target
from crmsync.errors import BudgetExceededError, SafetyStopError, SyncPausedError
from crmsync.models.runs import RunStatus

_SHARED: Final = ("day", "org")
"""The budgets of an integration as a whole: where one is used up, none of its objects can go on."""


@attrs.frozen
class StoppedRuns:
    """The objects whose runs a guard has stopped, and those that are held since they build on one of them.

    The others go on. What builds on a held object is held, too. ``paused`` are the integrations that somebody paused:
    all their objects are left out. It is false as long as nothing was stopped or paused.
    """

    stopped: list[tuple[Target, SafetyStopError]] = attrs.field(factory=list)
    held: list[tuple[Target, Target]] = attrs.field(factory=list)
    paused: list[str] = attrs.field(factory=list)

    def __bool__(self) -> bool:
        return bool(self.stopped or self.paused)

    @contextmanager
    def noting(self, target: Target, output: Output) -> Iterator[None]:
        """Tell of a guard's stop, and go on after it. Of a pause the summary tells: somebody meant it."""
        try:
            yield
        except SafetyStopError as error:
            self.stopped.append((target, error))
            output.tell(error, str(target))
        except SyncPausedError:
            self.paused.append(target.integration.id)

    def hold(self, target: Target, parents: Collection[str]) -> bool:
        """Whether an object that builds on these is not to be run now."""
        if target.integration.id in self.paused:
            return True
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
        """The JSON form, with the first stop as the command's error; empty without any stop or pause."""
        told: dict[str, Any] = {}
        if self.stopped:
            told |= {
                "stopped": [{**_named(target), "error": exits.error_payload(error)} for target, error in self.stopped],
                "held": [{**_named(target), "because_of": obstacle.object_name} for target, obstacle in self.held],
                "error": exits.error_payload(self.stopped[0][1]),
            }
        if self.paused:
            told["paused"] = list(self.paused)
        return told

    def summary(self, *, ended: bool = True) -> str:
        """One line for people. ``ended``: the command came to its end."""
        told = []
        if self.stopped:
            told.append(f"stopped by a guard: {', '.join(str(target) for target, _ in self.stopped)}")
        if self.held:
            names = ", ".join(str(one) for one, _ in self.held)
            told.append(f"not run, since they build on what was stopped: {names}")
        if self.paused:
            told.append(f"left out, since their syncs are paused until `crmsync resume`: {', '.join(self.paused)}")
        return "; ".join([*told, "whatever else was selected was run"] if ended else told)


def _is_shared(error: SafetyStopError) -> bool:
    return isinstance(error, BudgetExceededError) and error.scope in _SHARED


def _named(target: Target) -> dict[str, str]:
    return {"integration_id": target.integration.id, "entity_type": target.object_name}
