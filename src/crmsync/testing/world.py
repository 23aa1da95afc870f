"""A whole sync in memory: two record stores, the real engine, the real bookkeeping, and a clock that tests move."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import attrs

from crmsync.engine import RunBudget, Runner
from crmsync.mapping import compile_mapping
from crmsync.models.integrations import Integration
from crmsync.models.mappings import ObjectMapping
from crmsync.models.plans import Plan
from crmsync.models.records import Side, StoreLimits
from crmsync.models.runs import RunOptions, RunReport
from crmsync.protocols.conversion import RecordRule
from crmsync.protocols.observers import Observer
from crmsync.protocols.records import RecordStore
from crmsync.protocols.repository import SyncRepository
from crmsync.storage.memory import open_repository
from crmsync.testing.memory_records import MemoryRecordStore

LOCAL_LIMITS = StoreLimits(accepts_ids=True)
REMOTE_LIMITS = StoreLimits(external_key=True, look_back=timedelta(minutes=10), time_precision=timedelta(seconds=1))


class FakeClock:
    """A clock that stands still until it is moved. Sleeping moves it and returns at once."""

    def __init__(self, now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        """The present as aware UTC."""
        return self._now

    def tick(self, seconds: float = 60) -> None:
        """Move on."""
        self._now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Move on by so much, letting other tasks run."""
        self.tick(seconds)
        await anyio.lowlevel.checkpoint()


@attrs.define(slots=True, eq=False)
class World:
    """One integration between a local and a remote store.

    ``local`` and ``remote`` are for outside edits and for looking; ``through`` replaces the store that the engine sees
    on a side (a `FaultyStore` around it, say), ``through_repository`` the bookkeeping that it sees. ``compile`` is
    called for each run, and may give what it gave before for the same mapping and schemas.
    """

    mapping: ObjectMapping
    repository: SyncRepository
    clock: FakeClock
    local: MemoryRecordStore
    remote: MemoryRecordStore
    integration_id: str = "acme"
    entity_type: str = "Contact"
    through: dict[Side, RecordStore] = attrs.field(factory=dict)
    through_repository: SyncRepository | None = None
    observers: Sequence[Observer] = ()
    custom: Mapping[str, Callable[[object, object], object]] = attrs.field(factory=dict)
    digest_key: bytes = attrs.field(default=b"0123456789abcdef0123456789abcdef", repr=False)
    budget: RunBudget = attrs.field(factory=RunBudget)
    compile: Callable[..., RecordRule] = compile_mapping

    async def runner(self, **options: Any) -> Runner:
        """A runner over this world's stores; ``options`` are those of `RunOptions`."""
        rule = self.compile(self.mapping, await self.local.describe(), await self.remote.describe(), custom=self.custom)
        return Runner(
            integration_id=self.integration_id,
            entity_type=self.entity_type,
            mapping=self.mapping,
            rule=rule,
            local=self.through.get(Side.LOCAL, self.local),
            remote=self.through.get(Side.REMOTE, self.remote),
            repository=self.through_repository or self.repository,
            clock=self.clock,
            budget=self.budget,
            digest_key=self.digest_key,
            options=RunOptions(**options),
            observers=self.observers,
        )

    async def sync(self, **options: Any) -> RunReport:
        """One run; then the clock moves on by a minute."""
        report = await (await self.runner(**options)).sync()
        self.clock.tick()
        return report

    async def plan(self, **options: Any) -> Plan:
        """A dry run."""
        return await (await self.runner(**options)).plan()

    async def apply(self, plan: Plan, **options: Any) -> RunReport:
        """Apply a plan; then the clock moves on by a minute."""
        report = await (await self.runner(**options)).apply(plan)
        self.clock.tick()
        return report


@asynccontextmanager
async def world(
    mapping: ObjectMapping,
    *,
    repository: SyncRepository | None = None,
    clock: FakeClock | None = None,
    local: Mapping[str, Any] | None = None,
    remote: Mapping[str, Any] | None = None,
    integration_id: str = "acme",
) -> AsyncIterator[World]:
    """A world to play in. ``local`` and ``remote`` are options of the two `MemoryRecordStore`s."""
    clock = clock or FakeClock()
    ours = MemoryRecordStore("subscribers", **{"clock": clock, "limits": LOCAL_LIMITS, **(local or {})})
    theirs = MemoryRecordStore(
        "Contact", **{"clock": clock, "limits": REMOTE_LIMITS, "id_prefix": "003", **(remote or {})}
    )
    async with open_repository(f"memory://{uuid.uuid4().hex}") as own:
        used = repository or own
        await used.save_integration(Integration(id=integration_id, provider="memory"))
        yield World(mapping, used, clock, ours, theirs, integration_id=integration_id)
