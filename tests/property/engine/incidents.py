"""What can go wrong at the points where the engine waits: every call to a side, and every call to the bookkeeping.

A point is named by the call and by how often the run has made it: ``acme.write 2``. An incident at a point is a failure
before or after the call's effect, the end of the process, or an edit by somebody else just then.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import Any

import anyio
import attrs
from pydantic import BaseModel, ConfigDict
from typing_extensions import get_protocol_members, is_protocol

from crmsync.errors import CRMError, StorageError, UnavailableError
from crmsync.models.records import ChangePage, Operation, OperationKind
from crmsync.protocols import records
from crmsync.testing.faults import Crash

BOOKKEEPING = "bookkeeping"
ANY = "any"
ASKS, SENDS = ".asks", ".sends"
"""How the points end that are calls over a network: those that only read, and those that may write."""
WRITES = (".write", SENDS)

Spend = Callable[[], Awaitable[None]]
Show = Callable[[ChangePage], ChangePage]


class Kind(enum.StrEnum):
    """What happens at a point; the values are what a story says."""

    FAIL_BEFORE = "fails before it took effect"
    FAIL_DURING = "fails with half of it done"
    FAIL_AFTER = "takes effect, but the answer is lost"
    CRASH_BEFORE = "is never made: the process ends"
    CRASH_DURING = "is half done when the process ends"
    CRASH_AFTER = "takes effect, then the process ends"
    EDIT = "is made after somebody edited"
    SLOW = "is answered when the lease is nearly over"
    UNRENEWED = "is answered when the lease is nearly over, and its renewal fails"
    TAKEN = "is answered when another process has taken over"


FAILURES = (Kind.FAIL_BEFORE, Kind.FAIL_DURING, Kind.FAIL_AFTER)
CRASHES = (Kind.CRASH_BEFORE, Kind.CRASH_DURING, Kind.CRASH_AFTER)
OF_THE_LEASE = (Kind.SLOW, Kind.UNRENEWED, Kind.TAKEN)


class Incident(BaseModel):
    """One thing that goes wrong in one run. In a run that never reaches the point, nothing happens.

    ``call`` `ANY` counts the points of all kinds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    call: str
    number: int = 1
    kind: Kind

    def is_at(self, call: str, reached: Counter[str]) -> bool:
        """Whether it strikes at a call that is being made, of what the run has reached with it."""
        return self.number == (reached.total() if self.call == ANY else reached[call] if self.call == call else 0)


@attrs.define
class Incidents:
    """Counts the points of a run and strikes at one of them.

    ``edit`` is what somebody does for `Kind.EDIT`, ``stall`` lets the time of `Kind.SLOW` pass, and ``take_over`` is
    what another process does for `Kind.TAKEN`, and whether it had the lease. ``deletes`` counts the records that the
    run told a side to delete, ``late`` the writes that it sent after another process had ``taken`` its lease.
    ``trouble`` is what else went wrong, at no point of the run.
    """

    planned: Incident | None = None
    edit: Callable[[], None] | None = None
    stall: Callable[[], None] | None = None
    take_over: Callable[[], Awaitable[bool]] | None = None
    reached: Counter[str] = attrs.field(factory=Counter)
    struck: str = ""
    trouble: str = ""
    deletes: int = 0
    late: int = 0
    taken: bool = False
    _sending: int = attrs.field(default=0, init=False)
    _frozen: anyio.Event | None = attrs.field(default=None, init=False)
    _unrenewed: bool = attrs.field(default=False, init=False)

    def around(self, target: Any, name: str, *, spend: Spend | None = None, show: Show | None = None) -> Any:
        """``target`` with every coroutine method made a point.

        ``spend`` is awaited before each call; ``show`` changes the pages that are answered.
        """
        return _Interposed(target, name, self, spend, show)

    @property
    def edited(self) -> bool:
        """Whether somebody edited in the middle of the run."""
        return bool(self.struck) and self.planned is not None and self.planned.kind is Kind.EDIT

    @property
    def failed(self) -> bool:
        """Whether a call has failed, and the run lived to see it."""
        return bool(self.struck) and self.planned is not None and self.planned.kind in FAILURES

    @property
    def what_struck(self) -> str:
        """All that went wrong, as a story goes on with it."""
        return "".join(f", {what}" for what in (self.trouble, self.struck) if what)

    @property
    def slowed(self) -> bool:
        """Whether a call took long, and nothing else went wrong."""
        return bool(self.struck) and self.planned is not None and self.planned.kind is Kind.SLOW

    def calls_to(self, name: str) -> int:
        """How often this side, or the bookkeeping, was called."""
        return sum(count for call, count in self.reached.items() if call.startswith(f"{name}."))

    async def call(
        self, call: str, target: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> Any:
        """One point."""
        if self._frozen is not None:
            await self._frozen.wait()
        self.reached[call] += 1
        if call.endswith(WRITES):
            self.late += self.taken
        if call.endswith(".write"):
            self.deletes += sum(op.kind is OperationKind.DELETE for op in arguments[0])
        if self._unrenewed and call.endswith(".renew_lease"):
            self._unrenewed = False
            raise _failure(call)
        kind = self._strikes(call)
        if kind is None:
            return await target(*arguments, **named)
        if kind is Kind.EDIT:
            if self.edit is not None:
                self.edit()
            return await target(*arguments, **named)
        if kind in OF_THE_LEASE:
            answer = await target(*arguments, **named)
            await self._stand_still(kind)
            return answer
        if kind in (Kind.FAIL_DURING, Kind.CRASH_DURING) and call.endswith(".write"):
            operations: Sequence[Operation] = arguments[0]
            await target(operations[: len(operations) // 2], **named)
        if kind in (Kind.FAIL_AFTER, Kind.CRASH_AFTER):
            # A refusal is an answer, too, and gets lost.
            with suppress(CRMError):
                await target(*arguments, **named)
        if kind in CRASHES:
            raise Crash
        raise _failure(call)

    def _strikes(self, call: str) -> Kind | None:
        planned = self.planned
        if planned is None or not planned.is_at(call, self.reached):
            return None
        if planned.kind is Kind.TAKEN and self._sending > call.endswith(WRITES):
            return None  # the sides know no lease: what is on its way arrives
        self.struck = f"{call} {self.reached[call]} {planned.kind.value}"
        return planned.kind

    @contextmanager
    def sending(self) -> Iterator[None]:
        """A write is on its way: its sender has made sure of the lease."""
        self._sending += 1
        try:
            yield
        finally:
            self._sending -= 1

    async def _stand_still(self, kind: Kind) -> None:
        """The whole process does: none of its tasks reaches another point meanwhile."""
        if kind is not Kind.TAKEN:
            if self.stall is not None:
                self.stall()
            self._unrenewed = kind is Kind.UNRENEWED
        elif self.take_over is not None:
            self._frozen = anyio.Event()
            try:
                took = await self.take_over()
                self.taken = took and self.reached[f"{BOOKKEEPING}.acquire_lease"] > 0
            finally:
                self._frozen.set()
                self._frozen = None


def _failure(call: str) -> Exception:
    if call.startswith(f"{BOOKKEEPING}."):
        return StorageError("the database went away")
    return UnavailableError("no answer")


class PassingOn:
    """Hands on what it is asked for to another; a subclass says how.

    Since Python 3.12 ``isinstance`` looks for the members of a protocol without ``__getattr__``, so the optional powers
    that the other has are put down when it is made.
    """

    def __init__(self, target: Any) -> None:
        self._powers: frozenset[str] = target._powers if isinstance(target, PassingOn) else _powers_of(target.__class__)
        for member in self._powers:
            setattr(self, member, getattr(self, member))


@cache
def _powers_of(store: type) -> frozenset[str]:
    """The members of the optional protocols of a store: asked for once, for it takes as long as a whole run."""
    found = (power for power in vars(records).values() if is_protocol(power) and power is not records.RecordStore)
    members = [get_protocol_members(power) for power in found]
    return frozenset().union(*(some for some in members if all(hasattr(store, member) for member in some)))


class _Interposed(PassingOn):
    """Hands everything on; calls of coroutine methods pass the points.

    What it hands out does not know it: a cycle for each run would be left to the collector of garbage.
    """

    def __init__(self, target: Any, name: str, incidents: Incidents, spend: Spend | None, show: Show | None) -> None:
        self._target = target
        self._name = name
        self._incidents = incidents
        self._spend = spend
        self._show = show
        super().__init__(target)

    @property
    def limits(self) -> Any:
        """A store's, asked for all the time."""
        return self._target.limits

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._target, attribute)
        if not callable(found):
            return found
        if attribute == "audited":
            # It answers at once, with this very repository for one change: its calls pass the points, too.
            return lambda tell: _Interposed(found(tell), self._name, self._incidents, self._spend, self._show)
        point = _point if attribute != "write" else _point_of_writing
        call = partial(point, self._incidents, f"{self._name}.{attribute}", found, self._spend, self._show)
        # The next one finds it here, and does not ask this method.
        setattr(self, attribute, call)
        return call


async def _point(
    incidents: Incidents,
    call: str,
    target: Callable[..., Awaitable[Any]],
    spend: Spend | None,
    show: Show | None,
    /,
    *arguments: Any,
    **named: Any,
) -> Any:
    if spend is not None:
        await spend()
    answer = await incidents.call(call, target, arguments, named)
    return show(answer) if show is not None and isinstance(answer, ChangePage) else answer


async def _point_of_writing(incidents: Incidents, /, *given: Any, **named: Any) -> Any:
    with incidents.sending():
        return await _point(incidents, *given, **named)
