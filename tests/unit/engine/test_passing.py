"""The belt of a pass: while a portion is written, others are acknowledged, decided, looked up and read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import attrs
import pytest

from crmsync.engine.reading import LEAST, ON_THE_WAY, OnTheWay, Portion
from crmsync.errors import OverwriteGuardError, StorageError, UnavailableError
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.records import Record, Side
from crmsync.models.schema import FieldType
from crmsync.models.state import Acknowledgement, JournalEntry, Lease, LinkStatus
from crmsync.protocols.records import RecordStore
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.faults import Fault, FaultyStore
from crmsync.testing.world import REMOTE_LIMITS, World, world

pytestmark = pytest.mark.anyio

CONTACT = ObjectMapping(fields=(two_way("email", "Email", field_type=FieldType.EMAIL), two_way("name", "Name")))


class SlowRepository(MemoryRepository):
    """Takes its time to acknowledge, notes in which order it is told what, and may fail at the n-th acknowledgement."""

    def __init__(self, *, fails_at: int = 0) -> None:
        super().__init__()
        self.log: list[str] = []
        self.cursors: list[str | None] = []
        self.links = 0
        self._left = fails_at

    async def add_journal(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        self.log.append("journal")
        await super().add_journal(lease, entries)

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        for _ in range(200):
            await anyio.lowlevel.checkpoint()
        self._left -= 1
        if self._left == 0:
            raise StorageError("the bookkeeping is gone")
        await super().acknowledge(lease, acknowledgement)
        self.log.append("acknowledged")
        self.links += len(acknowledgement.links)
        self.cursors.append(acknowledgement.cursors.local if acknowledgement.cursors is not None else None)


@asynccontextmanager
async def people(count: int, repository: SlowRepository) -> AsyncIterator[World]:
    """So many new people on the local side."""
    async with world(CONTACT, repository=repository) as w:
        for number in range(count):
            w.local.add(email=f"p{number}@example.org", name=f"P {number}")
        yield w


async def test_portions_are_written_while_those_before_are_acknowledged_and_no_more_than_two_wait() -> None:
    repository = SlowRepository()
    async with people(5, repository) as w:
        await w.sync(page_size=1)
        assert len(w.remote.snapshot()) == 5
    log = repository.log
    first = log.index("journal")
    assert log[first : first + 5] == ["journal", "journal", "journal", "acknowledged", "journal"]


async def test_what_was_written_is_acknowledged_though_the_next_write_fails() -> None:
    repository = SlowRepository()
    async with people(3, repository) as w:
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(UnavailableError("down"), call=2, method="write")])
        with pytest.raises(UnavailableError):
            await w.sync(page_size=1)
        assert (await repository.count_links(w.integration_id, w.entity_type))[LinkStatus.SYNCED] == 1
        assert len(await repository.list_journal(w.integration_id, w.entity_type)) == 1
        w.through.clear()
        assert (await w.sync()).remote.created == 2
        assert len(w.remote.snapshot()) == 3


async def test_what_was_written_is_acknowledged_though_a_guard_stops_what_comes_next() -> None:
    repository = SlowRepository()
    async with people(3, repository) as w:
        await w.sync()
        w.mapping = w.mapping.model_copy(update={"overwrite_guard_count": 1, "overwrite_guard_share": 0.0})
        for number, record_id in enumerate(w.local.snapshot()):
            w.local.edit(record_id, name=f"Q {number}")
        with pytest.raises(OverwriteGuardError):
            await w.sync(page_size=1)
        assert sorted(str(record["Name"]) for record in w.remote.snapshot().values()) == ["P 1", "P 2", "Q 0"]
        assert await repository.list_journal(w.integration_id, w.entity_type) == []


async def test_a_run_ends_where_an_acknowledgement_fails_and_the_next_one_settles_it() -> None:
    repository = SlowRepository(fails_at=2)
    async with people(4, repository) as w:
        with pytest.raises(StorageError, match="the bookkeeping is gone"):
            await w.sync(page_size=1)
        await w.sync()
        assert sorted(str(record["Name"]) for record in w.remote.snapshot().values()) == ["P 0", "P 1", "P 2", "P 3"]
        assert (await w.sync()).written == 0


async def test_a_portion_that_the_one_before_touched_is_planned_on_what_was_acknowledged() -> None:
    """The second meets the same local record, whose link is stored only when the first is acknowledged."""
    repository = SlowRepository()
    async with world(CONTACT, repository=repository) as w:
        ann = w.local.add(email="ann@example.org", name="Ann")
        first = w.remote.add(Email="ann@example.org", Name="Ann")
        second = w.remote.add(Email="lee@example.org", key=ann)
        await w.sync(page_size=1)
        links = await repository.links_by_remote(w.integration_id, w.entity_type, [first, second])
        assert links[first].markmail_id == ann
        assert [problem.code for problem in links[second].problems] == ["already_linked"]


async def test_a_large_page_is_taken_apart_and_its_position_stored_after_the_last_portion() -> None:
    repository = SlowRepository()
    limits = {"limits": attrs.evolve(REMOTE_LIMITS, write_batch=LEAST // 2)}
    async with world(CONTACT, repository=repository, remote=limits) as w:
        for number in range(LEAST + 1):
            w.local.add(email=f"p{number}@example.org")
        await w.sync()
        assert len(w.remote.snapshot()) == LEAST + 1
        cursors = await repository.get_cursors(w.integration_id, w.entity_type)
    assert repository.log.count("journal") == 2
    assert repository.cursors[-2:] == [None, cursors.local]


async def test_records_wait_to_be_worked_on_until_there_is_room_for_them() -> None:
    """So that the memory of a run does not grow with what is to be done; a portion alone always has room."""
    way = OnTheWay()
    large, small = (Portion((Record("r"),) * count, None, 0) for count in (ON_THE_WAY, 1))
    await way.enter(large)
    async with anyio.create_task_group() as group:
        group.start_soon(way.enter, small)
        await anyio.wait_all_tasks_blocked()
        assert way.records == ON_THE_WAY
        way.leave(large)
    assert way.records == 1
    way.leave(small)
    await way.enter(Portion((Record("r"),) * (2 * ON_THE_WAY), None, 0))
    assert way.records == 2 * ON_THE_WAY


@attrs.define
class Asked:
    """How many records were asked for at most that were not acknowledged then."""

    repository: SlowRepository
    ids: set[str] = attrs.field(factory=set)
    most: int = 0

    def note(self, ids: Sequence[str]) -> None:
        self.ids.update(ids)
        self.most = max(self.most, len(self.ids) - self.repository.links)


class LookedUp(FaultyStore):
    """Notes what it is asked for."""

    def __init__(self, store: RecordStore, asked: Asked) -> None:
        super().__init__(store)
        self._asked = asked

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        self._asked.note(ids)
        return await super().get(ids, fields=fields)


async def test_a_long_pass_has_no_more_records_on_its_way_than_there_is_room_for() -> None:
    repository, count = SlowRepository(), ON_THE_WAY + 3 * LEAST
    async with world(CONTACT, repository=repository) as w:
        records = [w.local.add(email=f"p{number}@example.org") for number in range(count)]
        await w.sync()
        w.clock.tick(1200)
        for record in records:
            w.local.edit(record, name="Ann")
        repository.links = 0
        asked = Asked(repository)
        w.through[Side.REMOTE] = LookedUp(w.remote, asked)
        assert (await w.sync()).remote.updated == count
    assert LEAST < asked.most <= ON_THE_WAY


async def test_a_pass_that_is_begun_early_shares_the_room_of_the_one_before() -> None:
    repository, count = SlowRepository(), ON_THE_WAY
    async with world(CONTACT, repository=repository) as w:
        ours = [w.local.add(email=f"p{number}@example.org") for number in range(2 * count)]
        await w.sync()
        w.clock.tick(1200)
        theirs = await repository.links_by_local(w.integration_id, w.entity_type, ours[:count])
        for link in theirs.values():
            w.remote.edit(str(link.crm_id), Name="Ann")
        for record in ours[count:]:
            w.local.edit(record, name="Lee")
        repository.links = 0
        asked = Asked(repository)
        w.through = {Side.LOCAL: LookedUp(w.local, asked), Side.REMOTE: LookedUp(w.remote, asked)}
        report = await w.sync()
    assert (report.local.updated, report.remote.updated) == (count, count)
    assert LEAST < asked.most <= ON_THE_WAY
