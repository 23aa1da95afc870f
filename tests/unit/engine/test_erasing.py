"""Who is erased is gone from both sides and the bookkeeping, and is not taken in again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from crmsync.engine import RunBudget
from crmsync.errors import BudgetExceededError, ConflictError, LeaseLostError, RejectedError
from crmsync.models.erasure import Kept, ObjectErasure, Person
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.records import Operation, OperationKind, OutcomeStatus, Side
from crmsync.models.runs import RunStatus
from crmsync.models.schema import FieldType
from crmsync.testing.world import World, world
from tests.unit.engine.cut_short import Costly, Overtaken

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("name", "Name", policy=ConflictPolicy.MANUAL),
    ),
    history_days=30,
)
BOTH = tuple(Side)


async def erase(w: World, person: Person, sides: Sequence[Side] = BOTH) -> ObjectErasure:
    erasure = await (await w.runner()).erase_person(person, sides)
    w.clock.tick()
    return erasure


async def test_a_person_goes_from_both_sides_and_everything_kept_with_them() -> None:
    async with world(MAPPING) as w:
        ann = w.local.add(email="ann@example.org", name="Ann")
        bob = w.local.add(email="bob@example.org", name="Bob")
        await w.sync()
        w.local.edit(ann, name="Anna")
        w.remote.edit(w.remote.keys()[ann], Name="Anne")
        await w.sync()
        erasure = await erase(w, Person(emails=frozenset({"ANN@example.org "})))
        assert erasure.complete
        assert {(one.side, one.status) for one in erasure.records} == {(side, OutcomeStatus.DELETED) for side in BOTH}
        assert erasure.rows[Kept.LINKS] == erasure.rows[Kept.CONFLICTS] == erasure.rows[Kept.CHANGES] == 1
        assert set(w.local.snapshot()) == {bob}
        assert set(w.remote.keys()) == {bob}
        assert [link.markmail_id for link in await w.repository.scan_links("acme", "Contact")] == [bob]
        assert await w.repository.list_conflicts("acme") == []
        report = await w.sync()
        assert report.status is RunStatus.SUCCESS
        assert report.written == 0
        assert set(w.local.snapshot()) == {bob}


@pytest.mark.parametrize("gone", BOTH)
async def test_of_a_person_whose_record_was_deleted_on_one_side_nothing_is_kept_either(gone: Side) -> None:
    async with world(MAPPING) as w:
        ann = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        contact = w.remote.keys()[ann]
        store, record = (w.local, ann) if gone is Side.LOCAL else (w.remote, contact)
        store.remove(record)
        await w.sync()
        [link] = await w.repository.scan_links("acme", "Contact")
        assert link.local_shadow
        assert link.remote_shadow
        assert (await erase(w, Person(emails=frozenset({"ann@example.org"})))).rows[Kept.LINKS] == 1
        assert await w.repository.scan_links("acme", "Contact") == []
        store.restore(record)
        await w.sync()
        assert [len(each.snapshot()) for each in (w.local, w.remote)] == ([1, 0] if gone is Side.LOCAL else [0, 1])


@pytest.mark.parametrize("side", BOTH)
async def test_a_person_who_comes_in_again_is_left_alone(side: Side) -> None:
    async with world(MAPPING) as w:
        ann = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        await erase(w, Person(markmail_ids=frozenset({ann})))
        if side is Side.LOCAL:
            w.local.add(email="Ann@Example.org", name="Ann")
        else:
            w.remote.add(Email="Ann@Example.org", Name="Ann")
        report = await w.sync()
        assert report.written == 0
        assert report.status is RunStatus.SUCCESS
        assert (report.local if side is Side.LOCAL else report.remote).erased == 1
        plan = await w.plan()
        assert plan.records == ()


async def test_records_that_are_left_on_the_sides_are_no_longer_synced() -> None:
    async with world(MAPPING) as w:
        ann = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        remote = w.remote.keys()[ann]
        assert (await erase(w, Person(crm_ids=frozenset({remote})), ())).records == ()
        w.local.edit(ann, name="Anna")
        w.remote.edit(remote, Email="other@example.org")
        report = await w.sync()
        assert report.written == 0
        assert (report.local.erased, report.remote.erased) == (1, 1)
        with pytest.raises(ConflictError, match="erased"):
            await (await w.runner()).link(ann, remote)


async def test_all_records_that_lead_to_one_another_are_one_person() -> None:
    """By a link to a counterpart, by its other e-mail to another record."""
    async with world(MAPPING) as w:
        ann = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        w.remote.edit(w.remote.keys()[ann], Email="anne@example.org")
        other = w.remote.add(Email="anne@example.org", Name="Anne")
        erasure = await erase(w, Person(emails=frozenset({"ann@example.org"})))
        assert {one.id for one in erasure.records if one.side is Side.REMOTE} >= {other}
        assert len(erasure.records) == 3
        assert (w.local.snapshot(), w.remote.snapshot()) == ({}, {})


async def test_of_a_record_that_was_folded_into_the_person_s_nothing_is_left_either() -> None:
    opted_out = two_way("opted_out", "OptedOut", field_type="boolean", policy=ConflictPolicy.MOST_RESTRICTIVE)
    async with world(MAPPING.model_copy(update={"fields": (*MAPPING.fields, opted_out)})) as w:
        ann = w.local.add(email="ann@example.org", name="Ann", opted_out=False)
        await w.sync()
        former = w.remote.add(Email="old@example.org", Name="Ann", OptedOut=True)
        w.remote.remove(former, merged_into=w.remote.keys()[ann])
        await w.sync()
        assert w.local.snapshot()[ann]["opted_out"] is True
        assert former in {link.crm_id for link in await w.repository.scan_links("acme", "Contact")}
        await erase(w, Person(emails=frozenset({"ann@example.org"})))
        assert await w.repository.scan_links("acme", "Contact") == []
        assert (await w.sync()).written == 0


async def traces(w: World) -> int:
    """Rows of the bookkeeping that name anybody."""
    links = await w.repository.scan_links("acme", "Contact")
    return len(links) + len(await w.repository.list_changes("acme", "Contact"))


@pytest.mark.parametrize("calls", [0, 1])
async def test_an_erasure_that_runs_out_of_calls_forgets_nothing_and_is_finished_by_another(calls: int) -> None:
    async with world(MAPPING) as w:
        ann = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        person = Person(markmail_ids=frozenset({ann}), crm_ids=frozenset({w.remote.keys()[ann]}))
        w.through[Side.REMOTE] = Costly(w.remote, RunBudget(calls))
        before = await traces(w)
        with pytest.raises(BudgetExceededError):
            await erase(w, person)
        assert (await traces(w), len(w.remote.snapshot())) == (before, 1)
        w.through.clear()
        assert (await erase(w, person)).complete
        assert (await traces(w), w.local.snapshot(), w.remote.snapshot()) == (0, {}, {})
        assert (await w.sync()).written == 0


async def test_an_erasure_that_lost_its_lease_deletes_and_forgets_nothing_and_is_finished_by_another() -> None:
    async with world(MAPPING) as w:
        ann = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        person = Person(emails=frozenset({"ann@example.org"}))
        w.through[Side.REMOTE] = Overtaken(w.remote, w)
        before = await traces(w)
        with pytest.raises(LeaseLostError):
            await erase(w, person)
        assert (await traces(w), set(w.local.snapshot()), len(w.remote.snapshot())) == (before, {ann}, 1)
        assert (await erase(w, person)).complete
        assert (await traces(w), w.local.snapshot(), w.remote.snapshot()) == (0, {}, {})


async def test_a_record_that_its_side_keeps_is_reported() -> None:
    def reject(operation: Operation) -> RejectedError | None:
        return RejectedError("no", code="locked") if operation.kind is OperationKind.DELETE else None

    async with world(MAPPING, remote={"reject": reject}) as w:
        ann = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        erasure = await erase(w, Person(markmail_ids=frozenset({ann})))
        assert not erasure.complete
        assert [(one.side, one.code) for one in erasure.records if one.status is OutcomeStatus.FAILED] == [
            (Side.REMOTE, "locked")
        ]
        assert await w.repository.scan_links("acme", "Contact") == []
        assert (await w.sync()).written == 0


async def test_a_person_whose_marks_are_dropped_comes_in_again() -> None:
    async with world(MAPPING) as w:
        ann = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        await erase(w, Person(markmail_ids=frozenset({ann})))
        w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        marks = (await w.runner())._context("x", dry_run=True).marks
        assert await w.repository.forget_erased("acme", [marks.email("ann@example.org")]) == 1
        report = await w.sync(full=True)
        assert report.remote.created == 1
