"""The local side's pass is begun while the last of the CRM's is written: the end is that of one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from crmsync.engine.headstart import HeadStart
from crmsync.errors import OverwriteGuardError, UnavailableError
from crmsync.models.events import PageAcknowledged, PageRead, SyncEvent
from crmsync.models.mappings import DeletePolicy, ObjectMapping, two_way
from crmsync.models.records import ChangePage, Operation, Outcome, Record, Side
from crmsync.models.runs import RunReport
from crmsync.models.schema import FieldType
from crmsync.models.state import Acknowledgement
from crmsync.protocols.records import RecordStore
from crmsync.testing.faults import Fault, FaultyStore
from crmsync.testing.world import LOCAL_LIMITS, FakeClock, World, world

pytestmark = pytest.mark.anyio

CONTACT = ObjectMapping(
    fields=(two_way("email", "Email", field_type=FieldType.EMAIL), two_way("name", "Name"), two_way("city", "City")),
    delete_in_crm=DeletePolicy.PROPAGATE,
    delete_in_local=DeletePolicy.PROPAGATE,
)


@attrs.define
class Log:
    """What was asked of the sides, and told to observers, in order."""

    lines: list[str] = attrs.field(factory=list)
    pages: list[tuple[Side, int]] = attrs.field(factory=list)

    def notify(self, event: SyncEvent) -> None:
        if isinstance(event, PageRead):
            self.pages.append((event.side, event.records))
        if isinstance(event, PageAcknowledged):
            self.lines.append(f"{event.side} acknowledged")

    def at(self, line: str) -> list[int]:
        return [place for place, each in enumerate(self.lines) if each == line]


class LoggedStore(FaultyStore):
    """Notes its calls, takes its time, and lets somebody else act right after a page, by its number."""

    def __init__(self, store: RecordStore, side: Side, log: Log, plan: Sequence[Fault] = ()) -> None:
        super().__init__(store, plan)
        self._side = side
        self._log = log
        self.after: dict[int, Callable[[], object]] = {}

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        self._log.lines.append(f"{self._side} page")
        page = await super().changes(cursor, fields=fields, limit=limit)
        action = self.after.pop(self.calls["changes"], None)
        if action is not None:
            action()
        return page

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Any:
        self._log.lines.append(f"{self._side} look")
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        return await super().get(ids, fields=fields)

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        for _ in range(300):
            await anyio.lowlevel.checkpoint()
        outcomes = await super().write(operations)
        self._log.lines.append(f"{self._side} written")
        return outcomes


@attrs.define
class Scene:
    """Six linked people, of whom the first four were edited in the CRM; the local edits are the test's."""

    w: World
    people: list[str]
    contacts: list[str]
    log: Log = attrs.field(factory=Log)

    def store(self, side: Side, plan: Sequence[Fault] = ()) -> LoggedStore:
        store = self.w.local if side is Side.LOCAL else self.w.remote
        self.w.through[side] = logged = LoggedStore(store, side, self.log, plan)
        return logged

    def edit(self, *numbers: int) -> None:
        for number in numbers:
            self.w.local.edit(self.people[number], name=f"Q {number}")

    async def run(self, **options: Any) -> RunReport:
        self.w.observers = [self.log]
        self.w.clock.tick()
        return await self.w.sync(**{"page_size": 1, **options})

    @property
    def ended(self) -> int:
        """When the CRM's pass was acknowledged."""
        return self.log.at("remote acknowledged")[-1]

    async def settle(self) -> None:
        """Nothing is left to be done, and both sides say what was edited anywhere."""
        self.w.through.clear()
        self.w.clock.tick(1200)
        await self.w.sync()
        assert (await self.w.sync()).written == 0
        ours = {
            tuple(record[name] for name in ("email", "name", "city")) for record in self.w.local.snapshot().values()
        }
        theirs = self.w.remote.snapshot().values()
        assert ours == {tuple(record[name] for name in ("Email", "Name", "City")) for record in theirs}

    def now(self, number: int) -> tuple[object, object]:
        record = self.w.local.snapshot()[self.people[number]]
        return record["name"], record["city"]


@asynccontextmanager
async def scene(**options: Any) -> AsyncIterator[Scene]:
    async with world(CONTACT, clock=FakeClock(), **options) as w:
        people = [w.local.add(email=f"p{n}@example.org", name=f"P {n}", city="Ulm") for n in range(6)]
        await w.sync()
        w.clock.tick(1200)
        found = {str(record["Email"]): crm_id for crm_id, record in w.remote.snapshot().items()}
        contacts = [found[f"p{n}@example.org"] for n in range(6)]
        await w.sync()
        w.clock.tick(1200)
        for contact in contacts[:4]:
            w.remote.edit(contact, City="Bonn")
        yield Scene(w, people, contacts)


async def test_the_local_side_is_read_and_looked_up_while_the_last_of_the_crm_is_written() -> None:
    async with scene() as s:
        s.edit(4, 5)
        local, remote = s.store(Side.LOCAL), s.store(Side.REMOTE)
        report = await s.run()
        assert s.log.at("local page")[0] < s.ended
        assert s.log.at("remote look")[0] < s.ended < s.log.at("remote written")[0]
        # The calls are those of one pass after the other, but for the page that was the last one when it was read.
        assert (remote.calls["get"], remote.calls["write"]) == (2, 2)
        assert local.calls["changes"] == 1 + report.local.read == 1 + 6
        assert (report.local.updated, report.remote.updated) == (4, 2)
        await s.settle()


async def test_what_the_crms_pass_wrote_meanwhile_is_read_in_the_same_run() -> None:
    """Not in the next one: the last page is read again, as it was read before that."""
    async with scene() as s:
        s.edit(4)
        s.store(Side.LOCAL)
        report = await s.run()
        assert report.local.read == 1 + 4
        assert sum(records for side, records in s.log.pages if side is Side.LOCAL) == report.local.read
        assert s.log.at("local page")[-1] > s.ended
        await s.settle()


async def test_a_last_page_is_read_once_where_nothing_was_written_meanwhile() -> None:
    """The CRM shows our own writes: that pass writes nothing, and the local side has one page."""
    async with scene() as s:
        for contact in s.contacts[:4]:
            s.w.remote.edit(contact, City="Ulm")
        local = s.store(Side.LOCAL)
        report = await s.run()
        assert report.written == 0
        assert local.calls["changes"] == 1


@pytest.mark.parametrize("number", [0, 3])
async def test_a_record_that_the_crms_pass_wrote_to_after_it_was_read_keeps_both_edits(number: int) -> None:
    async with scene() as s:
        s.edit(number, 5)
        s.store(Side.LOCAL)
        s.store(Side.REMOTE)
        report = await s.run()
        assert s.log.at("local page")[0] < s.ended
        assert report.remote.updated == 2  # once each: the old value is not written back for a while
        assert s.now(number) == (f"Q {number}", "Bonn")
        await s.settle()


async def test_an_edit_that_the_crms_pass_carried_over_is_not_undone_by_what_was_read_before_it() -> None:
    """Nothing was written to the local record, but its link says what it holds now."""
    async with scene() as s:
        last = s.people[3]
        s.w.local.edit(last, city="Bonn")  # as in the CRM
        s.edit(5)
        local = s.store(Side.LOCAL)
        local.after[1] = lambda: s.w.local.edit(last, name="Lee")
        report = await s.run()
        assert report.local.updated == 3
        assert report.remote.updated == 2
        await s.settle()
        assert s.now(3) == ("Lee", "Bonn")


async def test_somebody_created_in_the_crm_meanwhile_is_not_created_twice() -> None:
    """A local stranger was looked up in vain before the CRM's pass met the same person."""
    async with scene() as s:
        s.w.local.add(email="new@example.org", name="New", city="Ulm")
        s.edit(5)
        local = s.store(Side.LOCAL)
        local.after[1] = lambda: s.w.remote.add(Email="new@example.org", Name="New", City="Ulm")
        await s.run()
        await s.settle()
        assert len(s.w.remote.snapshot()) == len(s.w.local.snapshot()) == 7


@pytest.mark.parametrize(
    "options, run",
    [
        ({}, {"page_size": 4}),
        ({}, {"max_calls": 1000}),
        ({"local": {"limits": attrs.evolve(LOCAL_LIMITS, change_feed=False)}}, {}),
        ({}, {"full": True}),
    ],
    ids=["one portion", "limited calls", "scanned", "everything"],
)
async def test_where_it_would_not_pay_or_not_be_simple_the_second_pass_begins_afterwards(
    options: dict[str, Any], run: dict[str, Any]
) -> None:
    async with scene(**options) as s:
        s.edit(4, 5)
        s.w.budget.limit = run.get("max_calls")
        s.store(Side.LOCAL)
        await s.run(**run)
        assert s.log.at("local page")[0] > s.ended
        s.w.budget.limit = None
        await s.settle()


async def test_whoever_the_crms_pass_deletes_is_left_out_and_each_page_is_told_once() -> None:
    async with scene() as s:
        s.w.local.edit(s.people[1], email="p1@example.org")  # shown, and as it was
        s.edit(0, 4, 5)
        s.w.remote.remove(s.contacts[1])
        s.store(Side.LOCAL)
        report = await s.run()
        assert s.log.at("local page")[0] < s.ended
        assert s.people[1] not in s.w.local.snapshot()
        assert sum(records for side, records in s.log.pages if side is Side.LOCAL) == report.local.read
        await s.settle()
        assert len(s.w.local.snapshot()) == 5


async def test_a_delete_on_the_local_side_is_told_when_its_turn_has_come() -> None:
    async with scene() as s:
        s.edit(0)
        s.w.local.remove(s.people[5])
        s.edit(4)
        s.store(Side.LOCAL)
        await s.run()
        assert s.log.at("local page")[0] < s.ended
        assert s.contacts[5] not in s.w.remote.snapshot()
        await s.settle()
        assert len(s.w.remote.snapshot()) == 5


async def test_a_page_with_a_delete_waits_for_the_turn_as_the_last_one_does() -> None:
    """Whoever is deleted may have been created anew by then."""
    start = HeadStart(Side.LOCAL)
    pages = {
        "ordinary": ChangePage((Record("a"),), "1", has_more=True),
        "delete": ChangePage((Record("b"), Record("a", deleted=True)), "2", has_more=True),
        "last": ChangePage((Record("b"),), "3", has_more=False),
    }
    kept: dict[str, bool] = {}

    async def ask(name: str) -> None:
        kept[name] = await start.keeps(pages[name])

    async with anyio.create_task_group() as group:
        for name in pages:
            group.start_soon(ask, name)
        await anyio.wait_all_tasks_blocked()
        assert kept == {"ordinary": True}
        start.others.note_acknowledged(Acknowledgement(removed_links=("a",)))
        assert start.end() == ({"a"}, [])
    assert kept == {"ordinary": True, "delete": False, "last": False}


async def test_an_error_of_the_local_side_does_not_interrupt_the_crms_pass() -> None:
    async with scene() as s:
        s.edit(4, 5)
        s.store(Side.LOCAL, [Fault(UnavailableError("down"), method="changes")])
        with pytest.raises(UnavailableError):
            await s.run()
        assert [record["city"] for record in s.w.local.snapshot().values()].count("Bonn") == 4
        assert len(s.log.at("remote acknowledged")) == 4
        await s.settle()


async def test_a_position_that_is_too_old_is_left_when_its_turn_has_come() -> None:
    async with scene() as s:
        s.edit(4, 5)
        s.w.local.expire_cursors()
        s.store(Side.LOCAL)
        report = await s.run()
        assert report.local.read >= 6
        await s.settle()


async def test_a_guard_that_stops_the_crms_pass_ends_the_other_one_too() -> None:
    async with scene() as s:
        s.edit(4, 5)
        s.w.mapping = s.w.mapping.model_copy(update={"overwrite_guard_count": 3, "overwrite_guard_share": 0.0})
        s.store(Side.LOCAL)
        remote = s.store(Side.REMOTE)
        with pytest.raises(OverwriteGuardError):
            await s.run()
        assert s.log.at("local page")
        assert not s.log.at("remote written")
        assert remote.calls["get"] <= 3
        s.w.mapping = CONTACT
        await s.settle()
        assert [s.now(number) for number in (3, 4)] == [("P 3", "Bonn"), ("Q 4", "Ulm")]
