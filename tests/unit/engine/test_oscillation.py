"""A field that two systems rewrite against each other is parked; everything else goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crmsync.models.mappings import ConflictPolicy, Enforcement, FieldMapping, ObjectMapping, two_way
from crmsync.models.records import Side
from crmsync.models.runs import RunReport, RunStatus
from crmsync.models.schema import FieldType
from crmsync.models.state import ConflictStatus, Decision
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.world import FakeClock, World, world

pytestmark = pytest.mark.anyio

EMAIL = two_way("email", "Email", field_type=FieldType.EMAIL)
PHONE = two_way("phone", "Phone")
CITY = two_way("city", "City")
LONG, SHORT = "+49 30 123", "(030) 123"


def mapped(*fields: FieldMapping, **options: Any) -> ObjectMapping:
    return ObjectMapping(fields=(EMAIL, *(fields or (PHONE, CITY))), **options)


async def linked(w: World, **values: Any) -> tuple[str, str]:
    local = w.local.add({"email": "ann@example.org", "phone": LONG, "city": "Bonn", **values})
    await w.sync()
    (remote,) = w.remote.snapshot()
    return local, remote


def fight(w: World, local: str, remote: str) -> None:
    """What the CRM's flow and the application's normaliser do after a run, each as a user of its own."""
    if w.remote.snapshot()[remote]["Phone"] == LONG:
        w.remote.edit(remote, Phone=SHORT)
    elif w.local.snapshot()[local]["phone"] == SHORT:
        w.local.edit(local, phone=LONG)


async def fought(w: World, local: str, remote: str, runs: int) -> list[RunReport]:
    reports = []
    for _ in range(runs):
        fight(w, local, remote)
        reports.append(await w.sync())
    return reports


async def test_a_trigger_against_a_normaliser_is_parked_and_explained_and_nothing_is_written_any_more() -> None:
    async with world(mapped()) as w:
        local, remote = await linked(w)
        reports = await fought(w, local, remote, 10)
        assert [report.written for report in reports] == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
        assert reports[4].status is RunStatus.PARTIAL
        (problem,) = reports[4].problems
        assert (problem.code, problem.field) == ("oscillation", "phone")
        assert "Phone of the CRM and phone of the local side" in problem.message
        (conflict,) = await w.repository.list_conflicts("acme")
        assert (conflict.policy, conflict.status, conflict.winner) == ("oscillation", ConflictStatus.OPEN, None)
        assert {conflict.local_value, conflict.remote_value} == {LONG, SHORT}
        assert "Phone of the CRM and phone of the local side" in conflict.explanation


async def test_the_other_fields_of_a_parked_record_go_on() -> None:
    async with world(mapped()) as w:
        local, remote = await linked(w)
        await fought(w, local, remote, 6)
        w.local.edit(local, city="Cologne")
        w.remote.edit(remote, Email="ann@example.com")
        report = await w.sync()
        assert (report.local.updated, report.remote.updated) == (1, 1)
        assert w.remote.snapshot()[remote]["City"] == "Cologne"
        assert w.local.snapshot()[local]["email"] == "ann@example.com"
        assert len(await w.repository.list_conflicts("acme", statuses=(ConflictStatus.OPEN,))) == 1


@pytest.mark.parametrize("winner", list(Side))
async def test_a_decision_ends_it_once_the_cause_is_mended(winner: Side) -> None:
    async with world(mapped()) as w:
        local, remote = await linked(w)
        await fought(w, local, remote, 6)
        (conflict,) = await w.repository.list_conflicts("acme")
        expected = conflict.local_value if winner is Side.LOCAL else conflict.remote_value
        await w.repository.decide_conflicts("acme", {conflict.id: Decision(winner)}, now=w.clock.now())
        await w.sync()
        assert w.local.snapshot()[local]["phone"] == w.remote.snapshot()[remote]["Phone"] == expected
        assert await w.repository.list_conflicts("acme", statuses=(ConflictStatus.OPEN,)) == []
        assert (await w.sync()).written == 0
        w.local.edit(local, phone="+49 30 999")
        assert (await w.sync()).remote.updated == 1


async def test_a_value_that_a_person_gives_is_written_to_both_sides() -> None:
    async with world(mapped()) as w:
        local, remote = await linked(w)
        await fought(w, local, remote, 6)
        (conflict,) = await w.repository.list_conflicts("acme")
        await w.repository.decide_conflicts("acme", {conflict.id: Decision(None, "030 123")}, now=w.clock.now())
        await w.sync()
        assert w.local.snapshot()[local]["phone"] == w.remote.snapshot()[remote]["Phone"] == "030 123"


async def test_where_nothing_was_mended_it_is_parked_again_after_as_many_turns() -> None:
    async with world(mapped()) as w:
        local, remote = await linked(w)
        await fought(w, local, remote, 6)
        (conflict,) = await w.repository.list_conflicts("acme")
        await w.repository.decide_conflicts("acme", {conflict.id: Decision(Side.LOCAL)}, now=w.clock.now())
        reports = await fought(w, local, remote, 12)
        assert 0 < sum(report.written for report in reports) < 8
        assert [report.written for report in reports[-4:]] == [0] * 4
        assert len(await w.repository.list_conflicts("acme", statuses=(ConflictStatus.OPEN,))) == 1


async def test_it_ends_by_itself_when_the_sides_come_to_agree() -> None:
    async with world(mapped()) as w:
        local, remote = await linked(w)
        await fought(w, local, remote, 6)
        w.local.edit(local, phone="1")
        w.remote.edit(remote, Phone="1")
        await w.sync()
        assert await w.repository.list_conflicts("acme", statuses=(ConflictStatus.OPEN,)) == []
        assert (await w.sync()).status is RunStatus.SUCCESS


async def test_a_user_who_edits_a_field_many_times_is_not_taken_for_an_oscillation() -> None:
    async with world(mapped()) as w:
        local, remote = await linked(w)
        for number in range(12):
            w.local.edit(local, phone=f"+49 30 {number % 4}", city="Bonn" if number % 2 else "Cologne")
            assert (await w.sync()).remote.updated == 1
        assert await w.repository.list_conflicts("acme") == []
        assert w.remote.snapshot()[remote]["City"] == "Bonn"


async def test_two_people_who_answer_each_other_with_new_values_are_none_either() -> None:
    async with world(mapped()) as w:
        local, remote = await linked(w)
        for number in range(6):
            w.local.edit(local, phone=f"local {number}")
            await w.sync()
            w.remote.edit(remote, Phone=f"remote {number}")
            await w.sync()
        assert await w.repository.list_conflicts("acme") == []


async def test_a_drift_that_a_mirror_undoes_in_every_run_is_parked_too() -> None:
    mirrored = two_way("phone", "Phone", to_crm=Enforcement.MIRROR, from_crm=Enforcement.OFF)
    async with world(mapped(mirrored)) as w:
        _, remote = await linked(w)
        written = []
        for _ in range(6):
            w.remote.edit(remote, Phone=SHORT)
            written.append((await w.sync()).remote.updated)
        assert written == [1, 1, 0, 0, 0, 0]
        waiting = await w.repository.list_conflicts("acme", statuses=(ConflictStatus.OPEN,))
        assert [conflict.policy for conflict in waiting] == ["oscillation"]


async def test_an_opt_out_is_written_however_often_a_trigger_takes_it_back() -> None:
    opted = two_way("opted_out", "OptedOut", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE)
    async with world(mapped(opted)) as w:
        local, remote = await linked(w, opted_out=True)
        for _ in range(8):
            w.remote.edit(remote, OptedOut=None)
            await w.sync()
            assert w.remote.snapshot()[remote]["OptedOut"] is True
        assert w.local.snapshot()[local]["opted_out"] is True


async def test_turns_that_lie_more_than_a_week_apart_are_forgotten() -> None:
    clock = FakeClock()
    async with world(mapped(), clock=clock, repository=MemoryRepository(now=clock.now)) as w:
        local, remote = await linked(w)
        for _ in range(8):
            clock.tick(timedelta(days=8).total_seconds())
            fight(w, local, remote)
            assert (await w.sync()).written == 1
        (link,) = await w.repository.scan_links("acme", "Contact")
        assert link.flips == b""


async def test_links_that_change_now_and_then_remember_nothing() -> None:
    clock = FakeClock()
    async with world(mapped(), clock=clock, repository=MemoryRepository(now=clock.now)) as w:
        local, _ = await linked(w)
        clock.tick(timedelta(days=8).total_seconds())
        w.local.edit(local, phone="+49 30 1")
        await w.sync()
        (link,) = await w.repository.scan_links("acme", "Contact")
        assert link.flips == b""
        w.local.edit(local, phone="+49 30 2")
        await w.sync()
        (link,) = await w.repository.scan_links("acme", "Contact")
        assert len(link.flips) == 21


@pytest.mark.parametrize("turns", [2, 4])
async def test_how_many_turns_it_takes_is_a_setting_of_the_mapping(turns: int) -> None:
    async with world(mapped(oscillation_turns=turns)) as w:
        local, remote = await linked(w)
        reports = await fought(w, local, remote, 12)
        assert sum(report.written for report in reports) == 2 * turns - 2


async def test_a_plan_says_that_the_field_would_be_parked_and_writes_nothing_of_it() -> None:
    async with world(mapped()) as w:
        local, remote = await linked(w)
        await fought(w, local, remote, 4)
        fight(w, local, remote)
        plan = await w.plan()
        assert [problem.code for problem in plan.report.problems] == ["oscillation"]
        assert plan.writes == 0
        await w.apply(plan)
        assert [c.policy for c in await w.repository.list_conflicts("acme")] == ["oscillation"]


TAGS = two_way("tags", "Tags", field_type=FieldType.TAGS, namespace="mm:")
"""Only the elements that begin so are ours."""


async def tagged(w: World, runs: int) -> tuple[str, str]:
    """A flow takes a tag away from the CRM's record, an application adds it; each keeps a tag of its own."""
    local = w.local.add(email="ann@example.org", tags=("mm:a", "mm:vip"))
    await w.sync()
    (remote,) = w.remote.snapshot()
    w.local.edit(local, tags=("mm:a", "mm:vip", "ours"))
    w.remote.edit(remote, Tags=("mm:a", "mm:vip", "theirs"))
    for run in range(runs):
        await w.sync()
        if "mm:vip" in (held := tags_of(w, Side.REMOTE)):
            w.remote.edit(remote, Tags=tuple(tag for tag in held if tag != "mm:vip"))
        elif "mm:vip" not in (held := tags_of(w, Side.LOCAL)):
            w.local.edit(local, tags=(*held, f"mm:{run}", "mm:vip"))
    return local, remote


def tags_of(w: World, side: Side) -> tuple[str, ...]:
    store, name = (w.local, "tags") if side is Side.LOCAL else (w.remote, "Tags")
    (record,) = store.snapshot().values()
    held = record[name]
    assert isinstance(held, tuple)
    return held


async def test_a_tag_that_a_trigger_takes_away_again_and_again_is_parked_though_others_come_and_go() -> None:
    async with world(mapped(TAGS)) as w:
        await tagged(w, 8)
        (conflict,) = await w.repository.list_conflicts("acme")
        assert (conflict.field, conflict.policy, conflict.status) == ("tags", "oscillation", ConflictStatus.OPEN)
        assert "Tags of the CRM and tags of the local side" in conflict.explanation
        assert (await w.sync()).written == 0


@pytest.mark.parametrize("winner", [Side.LOCAL, Side.REMOTE, None])
async def test_a_decision_on_a_parked_set_touches_no_element_that_is_not_ours(winner: Side | None) -> None:
    async with world(mapped(TAGS)) as w:
        local, _ = await tagged(w, 8)
        (conflict,) = await w.repository.list_conflicts("acme")
        value = None if winner else ["mm:b", "mm:vip"]
        await w.repository.decide_conflicts("acme", {conflict.id: Decision(winner, value, "ann")}, now=w.clock.now())
        wanted = {
            Side.LOCAL: {tag for tag in tags_of(w, Side.LOCAL) if tag.startswith("mm:")},
            Side.REMOTE: {tag for tag in tags_of(w, Side.REMOTE) if tag.startswith("mm:")},
            None: {"mm:b", "mm:vip"},
        }[winner]
        await w.sync()
        assert set(tags_of(w, Side.LOCAL)) == wanted | {"ours"}
        assert set(tags_of(w, Side.REMOTE)) == wanted | {"theirs"}
        (settled,) = await w.repository.list_conflicts("acme")
        told = (settled.status, settled.policy, settled.winner)
        assert told == (ConflictStatus.RESOLVED, "oscillation", winner)
        assert (await w.sync()).written == 0
        w.local.edit(local, tags=(*tags_of(w, Side.LOCAL), "mm:new"))
        assert (await w.sync()).remote.updated == 1
