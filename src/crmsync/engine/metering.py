"""Time spent waiting for a side, measured where its calls pass."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from crmsync.engine.tally import SideTally
from crmsync.models.records import ChangePage, Operation, Outcome, Record, StoreLimits
from crmsync.models.schema import ObjectSchema
from crmsync.protocols.records import (
    RecordStore,
    SupportsCallEstimates,
    SupportsJobs,
    SupportsMerges,
    SupportsPrecedence,
)


class MeteredStore:
    """A `RecordStore` that passes everything on and adds the waiting time to a tally."""

    def __init__(self, store: RecordStore, tally: SideTally) -> None:
        self._store = store
        self._tally = tally

    @contextmanager
    def _measured(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._tally.seconds += time.perf_counter() - began

    @property
    def name(self) -> str:
        """The wrapped store's."""
        return self._store.name

    @property
    def limits(self) -> StoreLimits:
        """The wrapped store's."""
        return self._store.limits

    async def describe(self) -> ObjectSchema:
        """The wrapped store's."""
        with self._measured():
            return await self._store.describe()

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        """The wrapped store's."""
        with self._measured():
            return await self._store.changes(cursor, fields=fields, limit=limit)

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        """The wrapped store's; nothing is asked for no ids."""
        if not ids:
            return {}
        with self._measured():
            return await self._store.get(ids, fields=fields)

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The wrapped store's; nothing is asked for no values."""
        if not values:
            return ()
        with self._measured():
            return await self._store.find(field, values, fields=fields)

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The wrapped store's; nothing is asked for no keys."""
        if not keys:
            return ()
        with self._measured():
            return await self._store.find_by_key(keys, fields=fields)

    @property
    def estimates(self) -> SupportsCallEstimates | None:
        """The wrapped store, if it can say in advance what calls cost."""
        return self._store if isinstance(self._store, SupportsCallEstimates) else None

    async def settle_jobs(self) -> None:
        """The wrapped store's, if it has such jobs."""
        if isinstance(self._store, SupportsJobs):
            with self._measured():
                await self._store.settle_jobs()

    def foremost(self, records: Sequence[Record]) -> Sequence[Record]:
        """The wrapped store's; all of them from a store of one kind."""
        return self._store.foremost(records) if isinstance(self._store, SupportsPrecedence) else records

    async def merged_into(self, survivors: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The wrapped store's; none from a store that cannot say."""
        if not survivors or not isinstance(self._store, SupportsMerges):
            return ()
        with self._measured():
            return await self._store.merged_into(survivors, fields=fields)

    async def merged_away(self, ids: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The wrapped store's; none from a store that cannot say."""
        if not ids or not isinstance(self._store, SupportsMerges):
            return ()
        with self._measured():
            return await self._store.merged_away(ids, fields=fields)

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """The wrapped store's."""
        with self._measured():
            return await self._store.write(operations)
