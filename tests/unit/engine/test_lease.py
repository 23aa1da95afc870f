"""The lease of a run: kept while it works, and what happens to a run that lost it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest

from crmsync.engine import RunJobs, RunLease
from crmsync.errors import ConcurrentUpdateError, LeaseLostError, StorageError
from crmsync.models.mappings import DeletePolicy, ObjectMapping, two_way
from crmsync.models.records import Operation, Outcome, Side
from crmsync.models.runs import RunStatus
from crmsync.models.state import JournalEntry, Lease, RemoteJob
from crmsync.protocols.repository import SyncRepository
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.world import REMOTE_LIMITS, World, world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(two_way("email", "Email", field_type="email"), two_way("name", "Name")),
    delete_in_crm=DeletePolicy.PROPAGATE,
)
TTL = 60.0


class Pausing(MemoryRecordStore):
    """Stands still in a call, as a stopped process would, while others go on."""

    pause: Callable[[], Any] | None = None
    written: list[str]

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Any:
        found = await super().get(ids, fields=fields)
        await self._pause()
        return found

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Any:
        found = await super().find_by_key(keys, fields=fields)
        await self._pause()
        return found

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        self.written += [operation.kind.value for operation in operations]
        return await super().write(operations)

    async def _pause(self) -> None:
        if self.pause is not None:
            pause, self.pause = self.pause, None
            await pause()


def pausing(w: World) -> Pausing:
    store = Pausing("Contact", clock=w.clock, limits=REMOTE_LIMITS, id_prefix="003")
    store.written = []
    w.through[Side.REMOTE] = store
    return store


async def take_over(w: World) -> Lease:
    """The run's lease ends, and another process takes it."""
    w.clock.tick(2 * TTL)
    return await w.repository.acquire_lease("acme", "Contact", "another", now=w.clock.now(), ttl=timedelta(seconds=TTL))


async def test_a_run_that_lost_its_lease_while_it_stood_still_writes_to_no_side() -> None:
    async with world(MAPPING) as w:
        store = pausing(w)
        w.local.add(email="ann@example.org", name="Ann")
        store.pause = lambda: take_over(w)
        with pytest.raises(LeaseLostError, match="'Contact' of integration 'acme'"):
            await w.sync()
        assert store.written == []
        assert await w.repository.list_journal("acme", "Contact") == []
        (log,) = await w.repository.list_logs("acme")
    assert log.error_details["report"]["status"] == RunStatus.FAILED


async def test_a_run_that_lost_its_lease_before_its_deletes_deletes_nothing() -> None:
    """Deletes are not journaled, so nothing but the lease itself could hold them back."""
    async with world(MAPPING) as w:
        store = pausing(w)
        ann = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        w.local.remove(ann)
        store.written.clear()
        store.pause = lambda: take_over(w)
        with pytest.raises(LeaseLostError):
            await w.sync()
        assert store.written == []
        assert len(store.snapshot()) == 1


class PausesOnceJournaled(MemoryRepository):
    """Stands still once a write is journaled."""

    pause: Callable[[], Any] | None = None

    async def add_journal(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        await super().add_journal(lease, entries)
        if self.pause is not None:
            await self.pause()


async def test_a_run_that_lost_its_lease_between_journal_and_write_writes_to_no_side() -> None:
    repository = PausesOnceJournaled()
    async with world(MAPPING, repository=repository) as w:
        store = pausing(w)
        w.local.add(email="ann@example.org", name="Ann")
        store.add({"Email": "bob@example.org", "Name": "Bob"})
        repository.pause = lambda: take_over(w)
        with pytest.raises(LeaseLostError):
            await w.sync()
        assert store.written == []
        assert len(w.local.snapshot()) == 1
        assert await repository.list_journal("acme", "Contact") != []


async def test_a_run_that_stood_still_alone_goes_on() -> None:
    """Its time was up, but nobody took over: it asks, and keeps its lease."""
    async with world(MAPPING) as w:
        store = pausing(w)
        w.local.add(email="ann@example.org", name="Ann")

        async def stand_still() -> None:
            w.clock.tick(10 * TTL)

        store.pause = stand_still
        report = await w.sync()
    assert report.status is RunStatus.SUCCESS
    assert store.written == ["create"]


class Flaky(MemoryRepository):
    """Out of reach for some renewals."""

    failures = 0
    renewals = 0

    async def renew_lease(self, lease: Lease, *, now: datetime, ttl: timedelta) -> Lease:
        self.renewals += 1
        if self.failures:
            self.failures -= 1
            raise StorageError("out of reach")
        return await super().renew_lease(lease, now=now, ttl=ttl)

    async def release_lease(self, lease: Lease) -> None:
        if self.failures:
            raise StorageError("out of reach")
        await super().release_lease(lease)


async def held(w: World, seconds: float) -> RunLease:
    lease = RunLease(w.repository, "acme", "Contact", w.clock)
    await lease.acquire("run", seconds)
    return lease


async def test_renewing_outlives_a_bookkeeping_that_is_out_of_reach_for_a_while() -> None:
    repository = Flaky()
    async with world(MAPPING, repository=repository) as w:
        lease = await held(w, 0.06)
        repository.failures = 1
        async with lease.kept():
            await anyio.sleep(0.2)
    assert repository.renewals > 1
    assert repository.failures == 0


async def test_a_run_ends_when_its_lease_cannot_be_renewed_in_time() -> None:
    repository = Flaky()
    async with world(MAPPING, repository=repository) as w:
        lease = await held(w, 0.06)
        repository.failures = 10**9
        w.clock.tick(1)
        with pytest.raises(StorageError, match="out of reach"):
            async with lease.kept():
                await anyio.sleep(math.inf)


async def test_a_lease_that_cannot_be_given_back_does_not_hide_how_the_run_ended() -> None:
    repository = Flaky()
    async with world(MAPPING, repository=repository) as w:
        lease = await held(w, TTL)
        repository.failures = 1
        with pytest.raises(ValueError, match="the run's own"):
            async with lease.kept():
                raise ValueError("the run's own")


async def test_a_lease_is_renewed_while_a_call_to_the_crm_is_on_its_way() -> None:
    repository = Flaky()
    async with world(MAPPING, repository=repository) as w:
        store = pausing(w)
        w.local.add(email="ann@example.org", name="Ann")

        async def long_call() -> None:
            for _ in range(10):
                await anyio.sleep(0.02)
                w.clock.tick(0.02)

        store.pause = long_call
        report = await w.sync(lease_seconds=0.06)
    assert report.status is RunStatus.SUCCESS
    assert repository.renewals >= 3


async def test_nobody_gets_the_lease_of_a_run_at_work() -> None:
    async with world(MAPPING) as w:
        store = pausing(w)
        w.local.add(email="ann@example.org", name="Ann")
        refused: list[ConcurrentUpdateError] = []

        async def second() -> None:
            with pytest.raises(ConcurrentUpdateError, match="is running 'Contact'") as caught:
                await w.sync()
            refused.append(caught.value)

        store.pause = second
        assert (await w.sync()).status is RunStatus.SUCCESS
    assert not isinstance(refused[0], LeaseLostError)


async def test_a_job_can_only_be_noted_by_a_run_that_holds_its_lease() -> None:
    async with world(MAPPING) as w:
        lease = RunLease(w.repository, "acme", "Contact", w.clock)
        job = RemoteJob("750A", "Contact", "upsert", 500, w.clock.now())
        with pytest.raises(LeaseLostError, match="no run"):
            await RunJobs(lease).add(job)
        await lease.acquire("run", TTL)
        async with lease.kept():
            await RunJobs(lease).add(job)
            await take_over(w)
            with pytest.raises(LeaseLostError):
                await RunJobs(lease).remove("750A")
        assert await _noted(w.repository) == ["750A"]


async def _noted(repository: SyncRepository) -> list[str]:
    return [job.job_id for job in await repository.list_remote_jobs("acme", "Contact")]
