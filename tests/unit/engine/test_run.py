"""What a run and a plan do as a whole: what is held back, what waits, and what the next run finds."""

from __future__ import annotations

import pytest

from crmsync.engine.context import shadow_of
from crmsync.errors import DeleteGuardError, RejectedError, UnavailableError
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, two_way
from crmsync.models.records import Side, StoreLimits
from crmsync.models.runs import RunStatus
from crmsync.models.state import ConflictStatus, Decision, LinkStatus
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import world
from tests.unit.engine.people import CITY, CONTACT, NAME, linked, mapped, value

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("side", list(Side))
async def test_a_crash_while_people_are_taken_over_leaves_no_record_without_its_key(when: When, side: Side) -> None:
    async with world(mapped(NAME)) as w:
        for number in range(6):
            w.remote.add(Email=f"p{number}@example.org", Name=f"P{number}")
        store = w.local if side is Side.LOCAL else w.remote
        w.through[side] = FaultyStore(store, [Fault(Crash(), method="write", when=when)])
        with pytest.raises(Crash):
            await w.sync()
        w.through.clear()
        w.clock.tick(120)
        report = await w.sync()
        assert report.status is RunStatus.SUCCESS
        records = (await w.remote.get(list(w.remote.snapshot()), fields=("Email",))).values()
        assert sorted(str(one.key) for one in records) == sorted(w.local.snapshot())
        assert len(w.local.snapshot()) == 6
        assert (await w.sync()).written == 0


async def test_a_complete_scan_finds_what_was_deleted() -> None:
    limits = StoreLimits(accepts_ids=True, change_feed=False)
    mapping = mapped(NAME, delete_in_crm=DeletePolicy.PROPAGATE)
    async with world(mapping, local={"limits": limits}) as w:
        ids = [w.local.add(email=f"p{n}@example.org", name="P") for n in range(5)]
        await w.sync()
        w.local.remove(ids[2])
        report = await w.sync()
        assert report.remote.deleted == 1
        assert len(w.remote.snapshot()) == 4


async def test_edits_of_different_fields_on_both_sides_both_survive() -> None:
    async with world(mapped(NAME, CITY)) as w:
        local, remote = await linked(w)
        w.local.edit(local, name="New name")
        w.remote.edit(remote, City="New city")
        report = await w.sync()
        assert value(w, Side.REMOTE, remote, "Name") == "New name"
        assert value(w, Side.LOCAL, local, "city") == "New city"
        assert report.local.conflicts == report.remote.conflicts == 0


async def test_the_delete_guard_stops_the_run_before_anything_is_deleted() -> None:
    async with world(mapped(NAME, delete_in_crm=DeletePolicy.PROPAGATE, delete_guard_count=3)) as w:
        ids = [w.local.add(email=f"p{n}@example.org", name="P") for n in range(10)]
        await w.sync()
        for record_id in ids[:4]:
            w.local.remove(record_id)
        with pytest.raises(DeleteGuardError):
            await w.sync()
        assert len(w.remote.snapshot()) == 10
        report = await w.sync(allow_deletes=4)
        assert report.remote.deleted == 4


async def test_deletes_that_the_guard_held_back_are_found_again_by_a_store_that_is_scanned() -> None:
    limits = StoreLimits(accepts_ids=True, change_feed=False)
    mapping = mapped(NAME, delete_in_crm=DeletePolicy.PROPAGATE, delete_guard_count=1)
    async with world(mapping, local={"limits": limits}) as w:
        ids = [w.local.add(email=f"p{n}@example.org", name="P") for n in range(5)]
        await w.sync()
        for record_id in ids[:3]:
            w.local.remove(record_id)
        before = await w.repository.get_cursors("acme", "Contact")
        with pytest.raises(DeleteGuardError):
            await w.sync()
        assert (await w.repository.get_cursors("acme", "Contact")).local == before.local
        assert (await w.sync(allow_deletes=3)).remote.deleted == 3


async def test_a_parked_conflict_waits_and_is_then_carried_out_as_decided() -> None:
    name = two_way("name", "Name", policy=ConflictPolicy.MANUAL)
    async with world(mapped(name, CITY)) as w:
        local, remote = await linked(w)
        w.local.edit(local, name="Ours", city="Köln")
        w.remote.edit(remote, Name="Theirs")
        report = await w.sync()
        assert report.status is RunStatus.PARTIAL
        assert value(w, Side.REMOTE, remote, "City") == "Köln"
        (conflict,) = await w.repository.list_conflicts("acme", statuses=(ConflictStatus.OPEN,))
        assert (conflict.local_value, conflict.remote_value) == ("Ours", "Theirs")
        await w.sync()
        assert len(await w.repository.list_conflicts("acme")) == 1
        await w.repository.decide_conflicts("acme", {conflict.id: Decision(Side.LOCAL)}, now=w.clock.now())
        report = await w.sync()
        assert value(w, Side.REMOTE, remote, "Name") == "Ours"
        assert report.status is RunStatus.SUCCESS
        assert await w.repository.list_conflicts("acme", statuses=(ConflictStatus.OPEN, ConflictStatus.DECIDED)) == []


async def test_a_failed_write_call_leaves_the_run_failed_and_the_next_one_finishes_it() -> None:
    async with world(mapped(NAME)) as w:
        for number in range(4):
            w.local.add(email=f"p{number}@example.org", name="P")
        fault = Fault(UnavailableError("gone"), method="write", when=When.AFTER)
        w.through[Side.REMOTE] = FaultyStore(w.remote, [fault])
        with pytest.raises(UnavailableError):
            await w.sync()
        w.through.clear()
        await w.sync()
        assert len(w.remote.snapshot()) == 4
        assert (await w.sync()).written == 0


async def test_a_plan_writes_nothing_and_applying_it_writes_exactly_it() -> None:
    async with world(CONTACT) as w:
        w.local.add(email="a@example.org", name="A", tags=("x",))
        w.remote.add(Email="b@example.org", Name="B")
        plan = await w.plan()
        assert plan.writes == 3  # one create on each side, and the external key of the one born in the CRM
        assert len(w.local.snapshot()) == len(w.remote.snapshot()) == 1
        late = w.local.add(email="c@example.org", name="C")
        report = await w.apply(plan)
        assert report.written == plan.writes
        assert "c@example.org" not in {r["Email"] for r in w.remote.snapshot().values()}
        report = await w.sync()
        assert report.remote.created == 1
        assert late in w.local.snapshot()


@pytest.mark.parametrize("page, others", [(1, 0), (None, 1100)], ids=["of the next page", "of the same page"])
async def test_a_plan_tells_who_has_an_address_once_another_record_is_given_a_new_one(
    page: int | None, others: int
) -> None:
    """Ann has moved on; whoever is entered with the address that was hers until then is somebody else."""
    async with world(CONTACT) as w:
        ours = w.local.add(email="info@example.org", name="Ann")
        await w.sync()
        (theirs,) = w.remote.snapshot()
        w.clock.tick(3600)
        w.remote.edit(theirs, Email="ann@example.org")
        for number in range(others):
            w.remote.add(Email=f"p{number}@example.org", Name="P")
        w.remote.add(Email="info@example.org", Name="Bob")
        plan = await w.plan(page_size=page)
        assert plan.writes == 3 + 2 * others
        assert (await w.sync(page_size=page)).written == plan.writes
        people = {held["email"]: held["name"] for held in w.local.snapshot().values()}
        assert (people["ann@example.org"], people["info@example.org"]) == ("Ann", "Bob")
        assert w.local.snapshot()[ours]["email"] == "ann@example.org"


@pytest.mark.parametrize("policy", [DeletePolicy.IGNORE, DeletePolicy.UNLINK, DeletePolicy.PROPAGATE])
async def test_a_plan_tells_whom_a_reject_meets_whose_record_is_another_one_by_now(policy: DeletePolicy) -> None:
    """What was refused is not in the CRM, so the delete does not go to it."""
    bad: set[object] = {"bad"}
    refuse = {"reject": lambda op: RejectedError("no", code="rule") if op.fields.get("Name") in bad else None}
    mapping = mapped(NAME, delete_in_local=policy, policy=ConflictPolicy.LOCAL_WINS)
    for way in ("sync", "apply"):
        async with world(mapping, remote=refuse) as w:
            local, remote = await linked(w)
            w.local.edit(local, name="bad")
            assert (await w.sync()).problem_count == 1
            w.remote.remove(remote)
            w.remote.add(Email="ann@example.org", Name="Anne")
            bad.clear()
            plan = await w.plan()
            report = await w.apply(plan) if way == "apply" else await w.sync()
            assert report.written == plan.writes > 0, way
            assert {held["Name"] for held in w.remote.snapshot().values()} == {w.local.snapshot()[local]["name"]}
            assert (await w.sync()).written == 0
            bad.add("bad")


@pytest.mark.parametrize("policy", [DeletePolicy.IGNORE, DeletePolicy.UNLINK])
async def test_a_plan_that_is_applied_takes_the_last_record_of_a_pair_for_gone(policy: DeletePolicy) -> None:
    async with world(mapped(NAME, delete_in_crm=policy)) as w:
        local, remote = await linked(w)
        w.local.remove(local)
        await w.sync()
        w.remote.remove(remote)
        w.local.add(email="bob@example.org", name="Bob")
        assert (await w.apply(await w.plan())).written == 1
        link = (await w.repository.links_by_local("acme", "Contact", [local]))[local]
        assert [shadow_of(link, side) for side in Side] == [b"", b""]


async def test_a_plan_tells_why_who_has_the_address_that_another_record_is_given_waits() -> None:
    async with world(CONTACT) as w:
        w.local.add(email="info@example.org", name="Ann")
        await w.sync()
        w.remote.edit(next(iter(w.remote.snapshot())), Email="ann@example.org")
        w.local.add(email="ann@example.org", name="Other Ann")
        plan = await w.plan(page_size=1)
        run = await w.sync(page_size=1)
        assert [one.code for one in plan.report.problems] == [one.code for one in run.problems] == ["duplicate"]


async def test_a_plan_that_is_applied_deletes_each_record_once() -> None:
    async with world(mapped(NAME, delete_in_crm=DeletePolicy.PROPAGATE)) as w:
        local, _ = await linked(w)
        w.local.remove(local)
        plan = await w.plan()
        report = await w.apply(plan)
        assert (report.remote.deleted, report.problem_count, w.remote.snapshot()) == (1, 0, {})


async def test_a_record_that_changed_after_the_plan_is_left_for_the_next_run() -> None:
    async with world(CONTACT) as w:
        local, remote = await linked(w)
        w.local.edit(local, name="Planned")
        plan = await w.plan()
        w.local.edit(local, name="Changed since")
        report = await w.apply(plan)
        assert report.written == 0
        assert [p.code for p in report.problems] == ["stale"]
        await w.sync()
        assert value(w, Side.REMOTE, remote, "Name") == "Changed since"


async def test_an_undeleted_record_is_linked_again() -> None:
    async with world(mapped(NAME)) as w:
        local, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        assert (await w.repository.links_by_local("acme", "Contact", [local]))[local].status is LinkStatus.DELETED
        w.remote.add(id=remote, Email="ann@example.org", Name="Back")
        await w.sync()
        assert (await w.repository.links_by_local("acme", "Contact", [local]))[local].status is LinkStatus.SYNCED
