"""Stores that cut a verb short: by a budget of calls, or by another process that takes the lease over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from crmsync.engine import RunBudget
from crmsync.models.records import Operation, Outcome, Record
from crmsync.protocols.records import RecordStore
from crmsync.testing.faults import FaultyStore
from crmsync.testing.world import World


class Costly(FaultyStore):
    """Takes one call of a budget to get records and to write."""

    def __init__(self, store: RecordStore, budget: RunBudget) -> None:
        super().__init__(store)
        self._budget = budget

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        await self._budget.spend()
        return await super().get(ids, fields=fields)

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        await self._budget.spend()
        return await super().write(operations)


class Overtaken(FaultyStore):
    """Stands still once when records are got, until another process has had the lease."""

    def __init__(self, store: RecordStore, w: World) -> None:
        super().__init__(store)
        self._world = w
        self._over = False

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        if not self._over:
            self._over, w = True, self._world
            w.clock.tick(600)
            ttl = timedelta(seconds=1)
            taken = await w.repository.acquire_lease("acme", "Contact", "another", now=w.clock.now(), ttl=ttl)
            await w.repository.release_lease(taken)
        return await super().get(ids, fields=fields)
