"""Records that were linked while the CRM hid the external key's field get the key once it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import attrs
import pytest

from crmsync.engine import RunBudget
from crmsync.engine.retrying import BATCH
from crmsync.errors import BudgetExceededError, RejectedError
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.records import (
    ChangePage,
    Operation,
    OperationKind,
    Outcome,
    OutcomeStatus,
    Record,
    Side,
    StoreLimits,
)
from crmsync.models.schema import FieldType
from crmsync.models.state import Acknowledgement, LinkStatus
from crmsync.protocols.records import RecordStore
from crmsync.testing.faults import FaultyStore
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("name", "Name"),
        two_way("note", "Note", policy=ConflictPolicy.MANUAL),
    )
)


class Guarded(FaultyStore):
    """A store whose external key's field may be hidden. Notes what it is asked to write, and for how many records."""

    def __init__(self, store: RecordStore) -> None:
        super().__init__(store)
        self.shown = False
        self.refuses = False
        self.writes: list[Operation] = []
        self.got = 0

    @property
    def limits(self) -> StoreLimits:
        return attrs.evolve(super().limits, external_key=self.shown)

    def _seen(self, record: Record) -> Record:
        return record if self.shown else attrs.evolve(record, key=None)

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        page = await super().changes(cursor, fields=fields, limit=limit)
        return attrs.evolve(page, records=tuple(map(self._seen, page.records)))

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        self.got += len(ids)
        return {name: self._seen(record) for name, record in (await super().get(ids, fields=fields)).items()}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        return [self._seen(record) for record in await super().find(field, values, fields=fields)]

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        return await super().find_by_key(keys, fields=fields) if self.shown else []

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        self.writes += operations
        if self.refuses:
            error = RejectedError("no", code="FIELD_CUSTOM_VALIDATION_EXCEPTION")
            return [Outcome(each.op_id, OutcomeStatus.FAILED, each.id, error) for each in operations]
        sent = operations if self.shown else [attrs.evolve(each, key=None) for each in operations]
        return await super().write(sent)


async def hidden_from(w: World, people: int = 3) -> Guarded:
    """People who were synced while the key's field was hidden; half of them were in the CRM before."""
    guarded = Guarded(w.remote)
    w.through[Side.REMOTE] = guarded
    for n in range(people):
        w.local.add(email=f"p{n}@example.org", name=f"P {n}")
        if n % 2:
            w.remote.add(Email=f"p{n}@example.org", Name=f"P {n}")
    await w.sync()
    await w.sync()
    assert w.remote.keys() == {}
    guarded.writes.clear()
    return guarded


async def links(w: World) -> dict[str, str | None]:
    """The CRM's ids by the local ones."""
    found = await w.repository.scan_links("acme", "Contact", limit=100_000)
    return {link.markmail_id: link.crm_id for link in found}


async def test_a_key_that_was_hidden_is_written_once_it_is_shown_and_nothing_else_is() -> None:
    async with world(MAPPING) as w:
        guarded = await hidden_from(w)
        before = (w.local.snapshot(), w.remote.snapshot())
        guarded.shown = True
        report = await w.sync()
        assert (report.remote.updated, report.local.updated, report.problem_count) == (3, 0, 0)
        assert [(each.kind, dict(each.fields)) for each in guarded.writes] == [(OperationKind.UPDATE, {})] * 3
        assert w.remote.keys() == await links(w)
        assert (w.local.snapshot(), w.remote.snapshot()) == before


async def test_it_is_looked_for_once_and_comes_back_as_no_change() -> None:
    async with world(MAPPING) as w:
        guarded = await hidden_from(w)
        guarded.shown = True
        await w.sync()
        w.clock.tick(3600)
        guarded.got = 0
        assert [(await w.sync()).written for _ in range(2)] == [0, 0]
        assert guarded.got == 0
        assert (await w.sync(full=True)).written == 0


async def test_it_comes_with_an_edit_in_one_write() -> None:
    async with world(MAPPING) as w:
        guarded = await hidden_from(w, 1)
        ((ours, theirs),) = (await links(w)).items()
        w.local.edit(ours, name="Ada")
        guarded.shown = True
        await w.sync()
        assert [(each.id, each.key, dict(each.fields)) for each in guarded.writes] == [(theirs, ours, {"Name": "Ada"})]


async def test_a_plan_holds_the_keys_and_carries_them_out_so_that_no_run_looks_again() -> None:
    async with world(MAPPING) as w:
        guarded = await hidden_from(w)
        assert (await w.plan()).records == ()
        guarded.shown = True
        plan = await w.plan()
        assert w.remote.keys() == {}
        writes = [(write.side, write.kind, dict(write.fields)) for each in plan.records for write in each.writes]
        assert writes == [(Side.REMOTE, OperationKind.UPDATE, {})] * 3
        assert (await w.apply(plan)).remote.updated == 3
        assert w.remote.keys() == await links(w)
        w.clock.tick(3600)
        guarded.got = 0
        assert (await w.sync()).written == 0
        assert guarded.got == 0


async def test_a_plan_made_while_the_field_was_hidden_leaves_word_of_it() -> None:
    async with world(MAPPING) as w:
        guarded = Guarded(w.remote)
        w.through[Side.REMOTE] = guarded
        w.local.add(email="ada@example.org", name="Ada")
        await w.apply(await w.plan())
        guarded.shown = True
        await w.sync()
        assert w.remote.keys() == await links(w)


async def test_a_run_that_a_budget_ended_goes_on_where_it_was() -> None:
    limits = StoreLimits(external_key=True, write_batch=BATCH)
    async with world(MAPPING, remote={"limits": limits}) as w:
        guarded = await hidden_from(w, BATCH + 1)
        guarded.shown = True
        w.budget = RunBudget(3)
        w.through[Side.REMOTE] = Spending(guarded, w.budget)
        with pytest.raises(BudgetExceededError):
            await w.sync()
        assert len(w.remote.keys()) == BATCH
        w.budget, w.through[Side.REMOTE] = RunBudget(), guarded
        guarded.got = 0
        await w.sync()
        assert w.remote.keys() == await links(w)
        assert len(guarded.writes) == BATCH + 1, "none is written twice"
        assert guarded.got == 2, "the one that is left, and first whether the write that was cut off took effect"


class Spending(FaultyStore):
    """A store that spends a call for each `get` and `write`."""

    def __init__(self, store: RecordStore, budget: RunBudget) -> None:
        super().__init__(store)
        self.budget = budget

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        await self.budget.spend()
        return await super().get(ids, fields=fields)

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        await self.budget.spend()
        return await super().write(operations)


async def test_a_refused_key_is_a_reject_and_goes_along_when_it_is_tried_again() -> None:
    async with world(MAPPING) as w:
        guarded = await hidden_from(w)
        guarded.shown = guarded.refuses = True
        report = await w.sync()
        assert report.problem_count == 3
        assert {each.code for each in report.problems} == {"FIELD_CUSTOM_VALIDATION_EXCEPTION"}
        guarded.refuses = False
        await w.sync()
        assert w.remote.keys() == await links(w)
        assert (await w.repository.count_links("acme", "Contact"))[LinkStatus.SYNCED] == 3


async def test_the_key_of_a_first_meeting_that_was_refused_goes_along_when_it_is_tried_again() -> None:
    async with world(MAPPING) as w:
        guarded = Guarded(w.remote)
        w.through[Side.REMOTE] = guarded
        guarded.shown = guarded.refuses = True
        ours = w.local.add(email="ada@example.org", name="Ada")
        theirs = w.remote.add(Email="ada@example.org", Name="")
        assert (await w.sync()).problem_count == 1
        guarded.refuses = False
        await w.sync()
        assert w.remote.keys() == {ours: theirs}


async def test_another_one_s_key_a_decision_and_who_is_gone_are_left_alone() -> None:
    async with world(MAPPING) as w:
        guarded = await hidden_from(w, 4)
        (taken, his), (parked, hers), (gone, _), (left, its) = (await links(w)).items()
        await w.remote.write([Operation("1", OperationKind.UPDATE, his, "another's")])
        w.local.edit(parked, note="ours")
        w.remote.edit(hers or "", Note="theirs")
        w.local.remove(gone)
        guarded.shown = True
        await w.sync()
        assert w.remote.keys() == {"another's": his, parked: hers, left: its}
        assert w.remote.snapshot()[hers or ""]["Note"] == "theirs"
        assert w.local.snapshot()[parked]["note"] == "ours"
        assert taken in w.local.snapshot()


async def test_a_field_that_is_hidden_again_is_noted_again() -> None:
    async with world(MAPPING) as w:
        guarded = await hidden_from(w, 1)
        guarded.shown = True
        await w.sync()
        guarded.shown = False
        w.local.add(email="new@example.org", name="New")
        await w.sync()
        assert len(w.remote.keys()) == 1
        guarded.shown = True
        await w.sync()
        assert w.remote.keys() == await links(w)
        assert len(w.remote.keys()) == 2


async def test_word_of_a_hidden_field_outlives_a_full_pass_and_a_new_mapping() -> None:
    async with world(MAPPING) as w:
        guarded = await hidden_from(w, 2)
        await w.sync(full=True)
        w.mapping = ObjectMapping(fields=MAPPING.fields[:2])
        await w.sync()
        guarded.shown = True
        await w.sync()
        assert w.remote.keys() == await links(w)


async def test_a_bookkeeping_that_tells_of_no_hidden_field_is_not_looked_through() -> None:
    """That of an earlier version, say: `crmsync verify --repair` looks through it."""
    async with world(MAPPING) as w:
        guarded = await hidden_from(w, 2)
        lease = await w.repository.acquire_lease("acme", "Contact", "t", now=w.clock.now(), ttl=timedelta(seconds=1))
        known = await w.repository.get_cursors("acme", "Contact")
        assert known.unkeyed_after == ""
        cursors = attrs.evolve(known, unkeyed_after=None)
        await w.repository.acknowledge(lease, Acknowledgement(cursors=cursors))
        await w.repository.release_lease(lease)
        w.clock.tick(3600)
        guarded.shown, guarded.got = True, 0
        assert (await w.sync()).written == 0
        assert guarded.got == 0
