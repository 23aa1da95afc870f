"""What can go wrong at the points where the engine waits: every call to a side, and every call to the bookkeeping.

Each such call is one point, numbered from 1 in the order in which the engine reaches them. An incident at a point is a
failure before or after the call's effect, the end of the process, or an edit by somebody else just then.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs

from crmsync.errors import StorageError, UnavailableError
from crmsync.testing.faults import Crash


class Kind(enum.StrEnum):
    """What happens at a point."""

    FAIL_BEFORE = "fails before it took effect"
    FAIL_DURING = "fails with half of it done"
    FAIL_AFTER = "takes effect, but the answer is lost"
    CRASH_BEFORE = "is never made: the process ends"
    CRASH_DURING = "is half done when the process ends"
    CRASH_AFTER = "takes effect, then the process ends"
    EDIT = "is made after somebody edited"


@attrs.frozen
class Incident:
    """One thing that goes wrong in one run. ``point`` beyond the run's last: nothing happens."""

    point: int
    kind: Kind


@attrs.define
class Incidents:
    """Counts the points of a run and strikes at one of them. ``edit`` is what somebody does for `Kind.EDIT`."""

    planned: Incident | None = None
    edit: Callable[[], None] | None = None
    points: int = 0
    struck: str = ""

    def around(self, target: Any, name: str) -> Any:
        """``target`` with every coroutine method made a point; ``name`` is for the story."""
        return _Interposed(target, name, self)

    async def call(self, name: str, failure: Exception, target: Callable[..., Awaitable[Any]], given: Any) -> Any:
        """One point."""
        self.points += 1
        arguments, named = given
        if self.planned is None or self.points != self.planned.point:
            return await target(*arguments, **named)
        kind = self.planned.kind
        self.struck = f"call {self.points}, {name}, {kind.value}"
        if kind is Kind.EDIT:
            if self.edit is not None:
                self.edit()
            return await target(*arguments, **named)
        if kind in (Kind.FAIL_DURING, Kind.CRASH_DURING) and name.endswith(".write"):
            operations: Sequence[Any] = arguments[0]
            await target(operations[: len(operations) // 2], **named)
        if kind in (Kind.FAIL_AFTER, Kind.CRASH_AFTER):
            await target(*arguments, **named)
        if kind in (Kind.CRASH_BEFORE, Kind.CRASH_DURING, Kind.CRASH_AFTER):
            raise Crash
        raise failure


class _Interposed:
    """Hands everything on; calls of coroutine methods pass the points."""

    def __init__(self, target: Any, name: str, incidents: Incidents) -> None:
        self._target = target
        self._name = name
        self._incidents = incidents

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._target, attribute)
        if not callable(found):
            return found
        failure: Exception = UnavailableError("no answer")
        if self._name == "bookkeeping":
            failure = StorageError("the database went away")

        async def call(*arguments: Any, **named: Any) -> Any:
            where = f"{self._name}.{attribute}"
            return await self._incidents.call(where, failure, found, (arguments, named))

        return call
