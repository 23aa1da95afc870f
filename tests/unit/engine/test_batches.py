"""Pages are gathered up to what makes a good write; jobs that an earlier run left are ended before anything else."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from crmsync.engine import RunJobs, RunLease
from crmsync.errors import UnavailableError
from crmsync.models.events import BatchWritten, JobProgressed, PageAcknowledged, PageRead, SyncEvent
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.records import Record, Side
from crmsync.models.schema import FieldType
from crmsync.models.state import RemoteJob
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.world import LOCAL_LIMITS, REMOTE_LIMITS, World, world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(fields=(two_way("email", "Email", field_type=FieldType.EMAIL), two_way("name", "Name")))


@attrs.define
class Listener:
    events: list[SyncEvent] = attrs.field(factory=list)

    def notify(self, event: SyncEvent) -> None:
        self.events.append(event)

    def sizes(self, kind: type, side: Side) -> list[int]:
        return [
            event.succeeded if isinstance(event, BatchWritten) else event.records
            for event in self.events
            if isinstance(event, kind) and isinstance(event, PageRead | PageAcknowledged | BatchWritten)
            if event.side is side
        ]


def grow(w: World, people: int) -> None:
    for number in range(people):
        w.local.add({"email": f"p{number}@example.org", "name": f"P {number}"})


async def test_pages_are_gathered_up_to_what_the_other_side_writes_in_one_go() -> None:
    limits = {"limits": attrs.evolve(LOCAL_LIMITS, read_page=10, write_batch=10)}
    theirs = {"limits": attrs.evolve(REMOTE_LIMITS, write_batch=30)}
    async with world(MAPPING, local=limits, remote=theirs) as w:
        listener = Listener()
        w.observers = [listener]
        grow(w, 75)
        await w.sync()
        assert len(w.remote.snapshot()) == 75
    assert listener.sizes(PageRead, Side.LOCAL) == [*[10] * 7, 5]
    assert listener.sizes(BatchWritten, Side.REMOTE) == [30, 30, 15]
    assert listener.sizes(PageAcknowledged, Side.LOCAL) == [30, 30, 15]


async def test_a_page_size_that_was_asked_for_is_kept() -> None:
    async with world(MAPPING, remote={"limits": attrs.evolve(REMOTE_LIMITS, write_batch=30)}) as w:
        listener = Listener()
        w.observers = [listener]
        grow(w, 12)
        await w.sync(page_size=5)
    assert listener.sizes(BatchWritten, Side.REMOTE) == [5, 5, 2]


async def test_what_was_gathered_before_a_read_failed_is_dealt_with() -> None:
    limits = {"limits": attrs.evolve(LOCAL_LIMITS, read_page=10)}
    async with world(MAPPING, local=limits, remote={"limits": attrs.evolve(REMOTE_LIMITS, write_batch=30)}) as w:
        grow(w, 75)
        fault = Fault(UnavailableError("down"), call=6, method="changes")
        w.through[Side.LOCAL] = FaultyStore(w.local, [fault])
        with pytest.raises(UnavailableError):
            await w.sync()
        assert len(w.remote.snapshot()) == 50
        w.through.clear()
        await w.sync()
        assert len(w.remote.snapshot()) == 75


class JobStore(MemoryRecordStore):
    """Notes in which order it is asked."""

    asked: list[str]

    async def settle_jobs(self) -> None:
        self.asked.append("settle")

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        self.asked.append("find_by_key")
        return await super().find_by_key(keys, fields=fields)


async def test_jobs_of_a_run_that_died_are_ended_before_its_journal_is_read() -> None:
    async with world(MAPPING) as w:
        remote = JobStore("Contact", clock=w.clock, limits=REMOTE_LIMITS, id_prefix="003")
        remote.asked = []
        grow(w, 3)
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), method="write", when=When.BEFORE)])
        with pytest.raises(Crash):
            await w.sync()
        entries = await w.repository.list_journal("acme", "Contact")
        assert len(entries) == 3
        w.through[Side.REMOTE] = remote
        await w.sync()
    assert remote.asked[:2] == ["settle", "find_by_key"]


async def test_the_log_of_a_run_is_kept_in_the_bookkeeping_and_tells_observers() -> None:
    async with world(MAPPING) as w:
        listener = Listener()
        lease = RunLease(w.repository, "acme", "Contact", w.clock)
        log = RunJobs(lease, [listener])
        job = RemoteJob("750A", "Contact", "upsert", 500, w.clock.now())
        await lease.acquire("run", 60)
        await log.add(job)
        log.progressed(job, 200)
        assert await RunJobs(RunLease(w.repository, "acme", "Contact", w.clock)).unfinished() == [job]
        assert await RunJobs(RunLease(w.repository, "acme", "Lead", w.clock)).unfinished() == []
        await log.remove("750A")
        assert await log.unfinished() == []
    assert listener.events == [JobProgressed("acme", "Contact", "750A", 200, 500)]
