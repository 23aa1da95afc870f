"""What the bookkeeping says of conflicts, from the run that meets them to the day their values are erased."""

from __future__ import annotations

from datetime import date, timedelta

import attrs
import pytest

from crmsync.errors import RejectedError
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, ObjectMapping, two_way
from crmsync.models.records import Operation, Side
from crmsync.models.runs import RunStatus
from crmsync.models.schema import FieldType
from crmsync.models.state import Conflict, ConflictStatus, Decision, LinkStatus
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

EMAIL = two_way("email", "Email", field_type=FieldType.EMAIL)
NAME = two_way("name", "Name", policy=ConflictPolicy.MANUAL)
BORN = two_way("born", "Birthdate", field_type=FieldType.DATE, policy=ConflictPolicy.MANUAL)
MANUAL = ObjectMapping(fields=(EMAIL, NAME, BORN))


async def parked(w: World, **edits: object) -> tuple[str, str, Conflict]:
    """A person whose name (and what else is given) was changed on both sides; the ids, and the name's conflict."""
    local = w.local.add(email="ann@example.org", name="Ann", born="2000-01-01")
    await w.sync()
    (remote,) = w.remote.snapshot()
    w.local.edit(local, {"name": "Ours", **edits})
    w.clock.tick(5)
    w.remote.edit(remote, Name="Theirs")
    await w.sync()
    (conflict,) = await of_name(w)
    return local, remote, conflict


async def of_name(w: World) -> list[Conflict]:
    return [one for one in await w.repository.list_conflicts("acme") if one.field == "name"]


async def decide(w: World, conflict: Conflict, decision: Decision) -> None:
    assert await w.repository.decide_conflicts("acme", {conflict.id: decision}, now=w.clock.now())


async def test_a_conflict_says_when_each_side_was_changed() -> None:
    async with world(MANUAL) as w:
        local, remote, conflict = await parked(w)
        ours, theirs = await w.local.get([local], fields=()), await w.remote.get([remote], fields=())
        assert conflict.local_changed_at == ours[local].modified_at
        assert conflict.remote_changed_at == theirs[remote].modified_at
        assert (conflict.local_changed_by, conflict.remote_changed_by) == (None, None), "these sides do not know"


async def test_a_decision_stays_with_the_conflict_that_it_settles() -> None:
    async with world(MANUAL) as w:
        _, remote, conflict = await parked(w)
        decided_at = w.clock.now()
        await decide(w, conflict, Decision(Side.LOCAL, by="Ann"))
        w.clock.tick()
        report = await w.sync()
        (settled,) = await of_name(w)
        assert settled.id == conflict.id
        assert (settled.status, settled.winner) == (ConflictStatus.RESOLVED, Side.LOCAL)
        assert (settled.decided_by, settled.decided_at) == ("Ann", decided_at)
        assert (settled.run_id, settled.resolved_run_id) == (conflict.run_id, report.run_id)
        assert (settled.local_value, settled.remote_value) == ("Ours", "Theirs")
        assert settled.created_at == conflict.created_at
        assert w.remote.snapshot()[remote]["Name"] == "Ours"


async def test_a_conflict_that_ends_by_itself_ends_by_the_application_s_clock() -> None:
    async with world(MANUAL) as w:
        local, _, conflict = await parked(w)
        w.local.edit(local, name="Theirs")
        ended_at = w.clock.now()
        report = await w.sync()
        (ended,) = await of_name(w)
        assert (ended.id, ended.status, ended.resolved_run_id) == (conflict.id, ConflictStatus.RESOLVED, report.run_id)
        assert ended.resolved_at == ended_at


async def test_a_field_that_is_in_conflict_again_has_a_conflict_of_its_own() -> None:
    """What the first overwrote stays on record."""
    async with world(MANUAL) as w:
        local, remote, first = await parked(w)
        await decide(w, first, Decision(Side.LOCAL))
        await w.sync()
        w.local.edit(local, name="Ours 2")
        w.remote.edit(remote, Name="Theirs 2")
        await w.sync()
        earlier, later = await of_name(w)
        assert (earlier.id, earlier.remote_value) == (first.id, "Theirs")
        assert (later.status, later.remote_value) == (ConflictStatus.OPEN, "Theirs 2")


async def test_a_conflict_that_still_waits_is_the_same_one_in_every_run() -> None:
    async with world(MANUAL) as w:
        local, _, conflict = await parked(w)
        w.clock.tick()
        w.local.edit(local, name="Ours, later")
        await w.sync(full=True)
        (again,) = await of_name(w)
        assert (again.id, again.created_at) == (conflict.id, conflict.created_at)
        assert (again.local_value, again.status) == ("Ours, later", ConflictStatus.OPEN)


async def test_a_given_value_is_written_to_both_sides() -> None:
    async with world(MANUAL) as w:
        local, remote, conflict = await parked(w)
        await decide(w, conflict, Decision(value="Both", by="Ann"))
        assert (await w.sync()).status is RunStatus.SUCCESS
        assert w.local.snapshot()[local]["name"] == w.remote.snapshot()[remote]["Name"] == "Both"
        (settled,) = await of_name(w)
        assert (settled.status, settled.winner, settled.given_value) == (ConflictStatus.RESOLVED, None, "Both")
        assert (settled.local_value, settled.remote_value) == ("Ours", "Theirs"), "both were overwritten"
        assert (await w.sync()).written == 0


async def test_a_blank_may_be_given() -> None:
    async with world(MANUAL) as w:
        local, remote, conflict = await parked(w)
        await decide(w, conflict, Decision(value=None))
        await w.sync()
        assert w.local.snapshot()[local]["name"] is None
        assert w.remote.snapshot()[remote]["Name"] is None


async def test_text_given_for_a_date_is_written_as_a_date() -> None:
    async with world(MANUAL) as w:
        local, remote, _ = await parked(w)
        w.local.edit(local, born=date(2001, 1, 1))
        w.remote.edit(remote, Birthdate=date(2002, 2, 2))
        await w.sync()
        (conflict,) = [one for one in await w.repository.list_conflicts("acme") if one.field == "born"]
        await decide(w, conflict, Decision(value="2003-03-03"))
        await w.sync()
        assert w.local.snapshot()[local]["born"] == date(2003, 3, 3)
        assert w.remote.snapshot()[remote]["Birthdate"] == date(2003, 3, 3)


async def test_a_given_value_that_does_not_fit_is_reported_and_the_decision_stays_until_it_is_changed() -> None:
    async with world(MANUAL) as w:
        local, remote, _ = await parked(w)
        w.local.edit(local, born=date(2001, 1, 1))
        w.remote.edit(remote, Birthdate=date(2002, 2, 2))
        await w.sync()
        (conflict,) = [one for one in await w.repository.list_conflicts("acme") if one.field == "born"]
        await decide(w, conflict, Decision(value="next Tuesday"))
        report = await w.sync()
        (problem,) = report.problems
        assert (problem.field, "decide that again" in problem.remedy) == ("born", True)
        assert (await w.repository.get_conflict("acme", conflict.id)).status is ConflictStatus.DECIDED
        await decide(w, conflict, Decision(Side.REMOTE))
        await w.sync()
        assert w.local.snapshot()[local]["born"] == date(2002, 2, 2)


async def test_a_decision_whose_write_is_refused_is_carried_out_once_it_is_taken() -> None:
    """Also where the losing side is blank, so that nothing is overwritten."""
    refusing = False

    def refuse(operation: Operation) -> RejectedError | None:
        return RejectedError("no", code="rule", field="Name") if refusing and "Name" in operation.fields else None

    async with world(MANUAL, remote={"reject": refuse}) as w:
        _, remote, conflict = await parked(w)
        refusing = True
        w.remote.edit(remote, Name=None)
        await decide(w, conflict, Decision(Side.LOCAL))
        assert (await w.sync()).status is RunStatus.PARTIAL
        assert [one.status for one in await of_name(w)] == [ConflictStatus.DECIDED]
        refusing = False
        assert (await w.sync()).status is RunStatus.SUCCESS
        assert w.remote.snapshot()[remote]["Name"] == "Ours"
        assert [one.status for one in await of_name(w)] == [ConflictStatus.RESOLVED]


@pytest.mark.parametrize("decision", [None, Decision(Side.REMOTE, by="Ann"), Decision(value="Given", by="Ann")])
@pytest.mark.parametrize("policy", [DeletePolicy.IGNORE, DeletePolicy.UNLINK, DeletePolicy.PROPAGATE])
async def test_what_a_deleted_record_waited_for_waits_no_longer(
    policy: DeletePolicy, decision: Decision | None
) -> None:
    """Nor has a decision on it a winner: nothing was written."""
    async with world(MANUAL.model_copy(update={"delete_in_crm": policy})) as w:
        local, _, conflict = await parked(w)
        if decision is not None:
            await decide(w, conflict, decision)
        w.local.remove(local)
        await w.sync()
        (link,) = await w.repository.scan_links("acme", "Contact")
        assert link.status in (LinkStatus.DELETED, LinkStatus.UNLINKED)
        ended = await w.repository.get_conflict("acme", conflict.id)
        assert (ended.status, ended.winner, ended.given_value) == (ConflictStatus.RESOLVED, None, None)
        assert "the two records are not linked any more" in ended.explanation


async def test_the_values_of_a_settled_conflict_are_erased_when_their_time_is_over() -> None:
    async with world(MANUAL.model_copy(update={"keep_values_days": 30})) as w:
        local, _, conflict = await parked(w)
        await decide(w, conflict, Decision(Side.LOCAL, by="Ann"))
        await w.sync()
        w.clock.tick(timedelta(days=29).total_seconds())
        await w.sync()
        (kept,) = await of_name(w)
        assert (kept.local_value, kept.remote_value, kept.erased_at) == ("Ours", "Theirs", None)
        w.clock.tick(timedelta(days=1).total_seconds())
        erased_at = w.clock.now()
        await w.sync()
        (erased,) = await of_name(w)
        expected = attrs.evolve(kept, local_value=None, remote_value=None, erased_at=erased_at)
        assert erased == expected
        assert w.local.snapshot()[local]["name"] == "Ours"


async def test_what_waits_keeps_its_values_however_old_it_is() -> None:
    async with world(MANUAL.model_copy(update={"keep_values_days": 0})) as w:
        _, _, conflict = await parked(w)
        w.clock.tick(timedelta(days=1000).total_seconds())
        await w.sync()
        assert await of_name(w) == [conflict]


async def test_values_may_be_kept_out_of_the_bookkeeping_altogether() -> None:
    fields = (EMAIL, two_way("name", "Name", policy="remote_wins"))
    async with world(MANUAL.model_copy(update={"fields": fields, "keep_values_days": 0})) as w:
        local = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        (remote,) = w.remote.snapshot()
        w.local.edit(local, name="Ours")
        w.remote.edit(remote, Name="Theirs")
        await w.sync()
        (conflict,) = await of_name(w)
        assert (conflict.winner, conflict.policy) == (Side.REMOTE, "remote_wins")
        assert (conflict.local_value, conflict.remote_value) == (None, None)
        assert conflict.erased_at is not None


async def test_a_dry_run_erases_nothing() -> None:
    async with world(MANUAL) as w:
        _, _, conflict = await parked(w)
        await decide(w, conflict, Decision(Side.LOCAL))
        await w.sync()
        before = await of_name(w)
        w.clock.tick(timedelta(days=1000).total_seconds())
        await w.plan()
        assert await of_name(w) == before
