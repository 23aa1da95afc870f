"""A record store that fails on demand: before a call takes effect, halfway through it, or after it."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from crmsync.models.records import ChangePage, Operation, Outcome, Record, StoreLimits
from crmsync.models.schema import ObjectSchema
from crmsync.protocols.records import RecordStore


class Crash(BaseException):
    """The process ends here: passes every ``except Exception``, as a SIGKILL would."""


class When(enum.StrEnum):
    """Where in a call a fault strikes."""

    BEFORE = "before"
    """Nothing took effect."""
    DURING = "during"
    """The first half of a `write`'s operations (rounded down) took effect; as `BEFORE` for other calls."""
    AFTER = "after"
    """Everything took effect, but the caller never hears of it."""


@attrs.frozen(slots=True)
class Fault:
    """Raise ``error`` in ``times`` calls in a row from the ``call``-th (1 is the first) of ``method``; None: of any."""

    error: BaseException
    call: int = 1
    method: str | None = None
    when: When = When.BEFORE
    times: int = 1

    def strikes(self, method: str, calls: Mapping[str, int], total: int) -> bool:
        """Whether it concerns the call just counted."""
        if self.method not in (None, method):
            return False
        number = total if self.method is None else calls[method]
        return self.call <= number < self.call + self.times


class FaultyStore:
    """A `RecordStore` around another one, with a plan of faults. Without faults it only counts.

    ``calls`` counts by method name, failed calls included. Of several faults for one call the first strikes.
    """

    def __init__(self, store: RecordStore, plan: Iterable[Fault] = ()) -> None:
        self._store = store
        self._plan = tuple(plan)
        self.calls: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """The inner store's."""
        return self._store.name

    @property
    def limits(self) -> StoreLimits:
        """The inner store's."""
        return self._store.limits

    async def describe(self) -> ObjectSchema:
        """See `RecordStore.describe`."""
        fault = self._count("describe")
        _raise_before(fault)
        schema = await self._store.describe()
        _raise_after(fault)
        return schema

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        """See `RecordStore.changes`."""
        fault = self._count("changes")
        _raise_before(fault)
        page = await self._store.changes(cursor, fields=fields, limit=limit)
        _raise_after(fault)
        return page

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        """See `RecordStore.get`."""
        fault = self._count("get")
        _raise_before(fault)
        records = await self._store.get(ids, fields=fields)
        _raise_after(fault)
        return records

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `RecordStore.find`."""
        fault = self._count("find")
        _raise_before(fault)
        records = await self._store.find(field, values, fields=fields)
        _raise_after(fault)
        return records

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `RecordStore.find_by_key`."""
        fault = self._count("find_by_key")
        _raise_before(fault)
        records = await self._store.find_by_key(keys, fields=fields)
        _raise_after(fault)
        return records

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """See `RecordStore.write`."""
        fault = self._count("write")
        if fault is not None and fault.when is When.DURING:
            await self._store.write(operations[: len(operations) // 2])
        _raise_before(fault)
        outcomes = await self._store.write(operations)
        _raise_after(fault)
        return outcomes

    def _count(self, method: str) -> Fault | None:
        self.calls[method] += 1
        return next((fault for fault in self._plan if fault.strikes(method, self.calls, self.calls.total())), None)


def _raise_before(fault: Fault | None) -> None:
    if fault is not None and fault.when is not When.AFTER:
        raise fault.error


def _raise_after(fault: Fault | None) -> None:
    if fault is not None:
        raise fault.error
