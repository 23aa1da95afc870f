"""A stopped run's plan: looked at, approved and carried out exactly, or dropped."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.errors import (
    BudgetExceededError,
    DeleteGuardError,
    NotFoundError,
    OverwriteGuardError,
    RejectedError,
    SafetyStopError,
)
from crmsync.models.mappings import DeletePolicy, ObjectMapping, two_way
from crmsync.models.records import Operation, OperationKind, Side
from crmsync.models.schema import FieldType
from crmsync.models.stops import Stop, StoppedPlan, StoppedRecord
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

EMAIL = two_way("email", "Email", field_type=FieldType.EMAIL)
FIRST = two_way("first", "First")
LAST = two_way("last", "Last")


def mapped(**options: Any) -> ObjectMapping:
    given = {"overwrite_guard_count": 5, "overwrite_guard_share": 0, "delete_guard_count": 2, "delete_guard_share": 0}
    return ObjectMapping(fields=(EMAIL, FIRST, LAST), delete_in_crm=DeletePolicy.PROPAGATE, **{**given, **options})


async def grown(w: World, people: int = 10) -> list[str]:
    ids = [w.local.add(email=f"p{n}@example.org", first=f"First {n}", last=f"Last {n}") for n in range(people)]
    await w.sync()
    w.clock.tick(3600)
    return ids


async def stopped(w: World, error: type[SafetyStopError] = OverwriteGuardError, **options: Any) -> Stop:
    """A run is stopped; what it would have done is found out and stored."""
    with pytest.raises(error):
        await w.sync(**options)
    return await looked_at(w)


async def looked_at(w: World) -> Stop:
    plan = await w.plan()
    records = [StoppedRecord.of(record) for record in plan.records]
    await w.repository.save_stopped_plan("acme", "Contact", StoppedPlan.of(plan), records)
    (stop,) = await w.repository.list_stops("acme")
    return stop


async def approve(w: World, stop: Stop) -> None:
    assert stop.plan is not None
    await w.repository.approve_stop("acme", "Contact", stop.plan.digest, by="Ann", now=w.clock.now())


async def test_an_approved_plan_is_carried_out_past_the_guard_by_the_next_run() -> None:
    async with world(mapped()) as w:
        ids = await grown(w)
        for record_id in ids:
            w.local.edit(record_id, first="Edited")
        stop = await stopped(w)
        assert stop.code == "overwrite_guard"
        assert stop.plan is not None
        assert stop.plan.writes == {"remote update": 10}
        assert stop.plan.fields == {"remote First": 10}
        await approve(w, stop)
        report = await w.sync()
        assert (report.remote.updated, report.remote.overwritten, report.problem_count) == (10, 10, 0)
        assert {row["First"] for row in w.remote.snapshot().values()} == {"Edited"}
        assert await w.repository.list_stops("acme") == []
        (approval,) = [
            found for log in await w.repository.list_logs("acme") if (found := log.error_details.get("approval"))
        ]
        assert (approval["by"], approval["digest"]) == ("Ann", stop.plan.digest)
        assert (await w.sync()).written == 0


async def test_the_approval_is_of_that_plan_and_not_of_what_came_after() -> None:
    """Those who changed since are decided anew, under the guard; the others are carried out."""
    async with world(mapped()) as w:
        ids = await grown(w, 20)
        for record_id in ids[:10]:
            w.local.edit(record_id, first="Edited")
        stop = await stopped(w)
        await approve(w, stop)
        for record_id in ids[10:]:
            w.local.edit(record_id, last="Later")
        w.local.edit(ids[0], first="Changed since")
        with pytest.raises(OverwriteGuardError):
            await w.sync()
        held = {row["Email"]: row for row in w.remote.snapshot().values()}
        assert [held[f"p{n}@example.org"]["First"] for n in range(1, 10)] == ["Edited"] * 9
        assert "Later" not in {row["Last"] for row in held.values()}
        (again,) = await w.repository.list_stops("acme")
        assert (again.plan, again.approved_at, again.times) == (None, None, 1)
        assert (await w.sync(allow_overwrites=100)).remote.updated >= 10
        held = {row["Email"]: row for row in w.remote.snapshot().values()}
        assert held["p0@example.org"]["First"] == "Changed since"


async def test_a_record_that_is_refused_in_an_approved_plan_is_tried_once_in_that_run_and_counted_once() -> None:
    def rule(operation: Operation) -> RejectedError | None:
        return RejectedError("refused", code="rule") if operation.fields.get("First") == "bad" else None

    async with world(mapped(), remote={"reject": rule}) as w:
        ids = await grown(w)
        lone = w.local.add(email="lone@example.org", first="bad", last="Lone")
        await w.sync()
        for record_id in ids:
            w.local.edit(record_id, first="Edited")
        w.local.edit(ids[0], first="bad")
        stop = await stopped(w)
        await approve(w, stop)
        before = await w.repository.links_by_local("acme", "Contact", [lone])
        report = await w.sync()
        assert (report.remote.updated, report.remote.rejected, report.problem_count) == (9, 2, 2)
        links = await w.repository.links_by_local("acme", "Contact", [lone, ids[0]])
        assert (links[lone].attempts, links[ids[0]].attempts) == (before[lone].attempts + 1, 1)


async def test_what_changed_since_a_plan_was_approved_is_no_problem_once_the_same_run_wrote_it() -> None:
    async with world(mapped()) as w:
        ids = await grown(w)
        for record_id in ids:
            w.local.edit(record_id, first="Edited")
        stop = await stopped(w)
        await approve(w, stop)
        w.local.edit(ids[0], first="Changed since")
        report = await w.sync()
        assert (report.remote.updated, report.problem_count) == (10, 0)
        assert "Changed since" in {row["First"] for row in w.remote.snapshot().values()}


async def test_approved_deletes_are_carried_out() -> None:
    async with world(mapped()) as w:
        ids = await grown(w)
        for record_id in ids[:4]:
            w.local.remove(record_id)
        stop = await stopped(w, DeleteGuardError)
        assert stop.plan is not None
        assert stop.plan.writes == {"remote delete": 4}
        assert len(w.remote.snapshot()) == 10
        await approve(w, stop)
        assert (await w.sync()).remote.deleted == 4
        assert len(w.remote.snapshot()) == 6


async def test_without_approval_every_run_stops_and_what_was_looked_at_stays() -> None:
    async with world(mapped()) as w:
        ids = await grown(w)
        for record_id in ids:
            w.local.edit(record_id, first="Edited")
        stop = await stopped(w)
        with pytest.raises(OverwriteGuardError):
            await w.sync()
        (again,) = await w.repository.list_stops("acme")
        assert (again.times, again.plan) == (2, stop.plan)


async def test_a_dropped_stop_is_forgotten_and_the_next_run_stops_again() -> None:
    async with world(mapped()) as w:
        ids = await grown(w)
        for record_id in ids:
            w.local.edit(record_id, first="Edited")
        stop = await stopped(w)
        await approve(w, stop)
        await w.repository.remove_stop("acme", "Contact")
        with pytest.raises(OverwriteGuardError):
            await w.sync()
        assert "Edited" not in {row["First"] for row in w.remote.snapshot().values()}


async def test_a_stop_that_was_mended_is_forgotten_by_the_run_that_is_not_stopped() -> None:
    async with world(mapped()) as w:
        ids = await grown(w)
        for record_id in ids:
            w.local.edit(record_id, first="Edited")
        await stopped(w)
        for number, record_id in enumerate(ids):
            w.local.edit(record_id, first=f"First {number}")
        assert (await w.sync()).written == 0
        assert await w.repository.list_stops("acme") == []


async def test_an_approval_is_void_once_the_mapping_changed() -> None:
    async with world(mapped()) as w:
        ids = await grown(w)
        for record_id in ids:
            w.local.edit(record_id, first="Edited", last="Edited")
        stop = await stopped(w)
        await approve(w, stop)
        w.mapping = mapped().model_copy(update={"fields": (EMAIL, FIRST)})
        with pytest.raises(OverwriteGuardError):
            await w.sync()
        assert "Edited" not in {row["First"] for row in w.remote.snapshot().values()}


async def test_a_run_that_ended_half_way_through_an_approved_plan_is_gone_on_with() -> None:
    async with world(mapped()) as w:
        ids = await grown(w)
        for record_id in ids:
            w.local.edit(record_id, first="Edited")
        stop = await stopped(w)
        await approve(w, stop)
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), method="write", when=When.DURING)])
        with pytest.raises(Crash):
            await w.sync()
        w.through.clear()
        w.clock.tick(3600)
        await w.sync()
        assert {row["First"] for row in w.remote.snapshot().values()} == {"Edited"}
        assert (await w.sync()).problem_count == 0
        assert await w.repository.list_stops("acme") == []


async def test_what_is_kept_of_a_plan_holds_no_value() -> None:
    async with world(mapped()) as w:
        ids = await grown(w)
        for record_id in ids:
            w.local.edit(record_id, first="Secretive")
        stop = await stopped(w)
        records = await w.repository.stopped_records("acme", "Contact", 0)
        assert "Secretive" not in f"{stop}{records}"
        assert {write.fields for record in records for write in record.writes} == {("First",)}
        assert {write.kind for record in records for write in record.writes} == {OperationKind.UPDATE}


async def test_fingerprints_are_keyed_so_that_values_cannot_be_found_by_trying() -> None:
    digests = set()
    for key in (b"a" * 32, b"b" * 32):
        async with world(mapped()) as w:
            w.local.add(email="ann@example.org", first="Ann", last="Lee", id="1")
            w.digest_key = key
            digests.add((await w.plan()).records[0].fingerprint)
    assert len(digests) == 2


async def test_a_budget_that_is_used_up_leaves_a_stop_too() -> None:
    async with world(mapped()) as w:
        await grown(w)
        error = BudgetExceededError(10, 10)
        w.local.add(email="new@example.org", first="New", last="New")
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(error, method="write")])
        with pytest.raises(BudgetExceededError):
            await w.sync()
        (stop,) = await w.repository.list_stops("acme")
        assert (stop.code, stop.message) == ("budget_exceeded", error.message)
        w.through.clear()
        await w.sync()
        assert await w.repository.list_stops("acme") == []


async def test_a_plan_that_was_not_stored_cannot_be_approved() -> None:
    async with world(mapped()) as w:
        ids = await grown(w)
        for record_id in ids:
            w.local.edit(record_id, first="Edited")
        with pytest.raises(OverwriteGuardError):
            await w.sync()
        with pytest.raises(NotFoundError):
            await w.repository.approve_stop("acme", "Contact", "0" * 64, by="Ann", now=w.clock.now())
