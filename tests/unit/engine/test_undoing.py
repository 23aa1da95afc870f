"""What a run wrote is taken back on request."""

from __future__ import annotations

import pytest

from crmsync.engine import RunBudget
from crmsync.errors import (
    BudgetExceededError,
    CRMError,
    DeleteGuardError,
    LeaseLostError,
    NotFoundError,
    RecordError,
    RejectedError,
)
from crmsync.models.erasure import Person
from crmsync.models.mappings import DeletePolicy
from crmsync.models.records import Operation, OperationKind, Side
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import world
from tests.unit.engine.cut_short import Costly, Overtaken
from tests.unit.engine.histories import MAPPING, changes, pair, undo

pytestmark = pytest.mark.anyio


async def test_an_undone_run_leaves_the_values_of_before_and_the_next_sync_repeats_nothing() -> None:
    async with world(MAPPING) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, name="Wrong", phone="9", tags=("a", "b"))
        run = await w.sync()
        assert w.remote.snapshot()[theirs]["Name"] == "Wrong"
        preview = await (await w.runner()).preview_undo(run.run_id)
        assert [
            (one.markmail_id, write.kind, set(write.fields)) for one in preview.records for write in one.writes
        ] == [(ours, OperationKind.UPDATE, {"Name", "Phone", "Tags__c"})]
        report = await undo(w, run.run_id)
        assert report.remote.updated == 1
        held = w.remote.snapshot()[theirs]
        assert (held["Name"], held["Phone"], held["Tags__c"]) == ("Ada", "1", ("a",))
        assert w.local.snapshot()[ours]["name"] == "Wrong"
        assert (await w.sync()).written == 0
        assert (await w.sync(full=True)).written == 0

        w.local.edit(ours, name="Right")
        await w.sync()
        assert w.remote.snapshot()[theirs]["Name"] == "Right"
        assert w.remote.snapshot()[theirs]["Phone"] == "1", "what the undo restored stays until someone changes it"


async def test_what_somebody_changed_since_is_left_alone_and_told() -> None:
    async with world(MAPPING) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, name="Wrong", phone="9")
        run = await w.sync()
        w.remote.edit(theirs, Phone="7")
        report = await undo(w, run.run_id)
        held = w.remote.snapshot()[theirs]
        assert (held["Name"], held["Phone"]) == ("Ada", "7")
        assert [(one.field, one.code) for one in report.problems] == [("Phone", "changed_since")]


async def test_records_that_a_run_created_are_deleted_and_not_created_again() -> None:
    async with world(MAPPING) as w:
        await pair(w)
        born = w.local.add(email="new@example.org", name="New")
        run = await w.sync()
        assert list(w.remote.keys()).count(born) == 1
        report = await undo(w, run.run_id)
        assert report.remote.deleted == 1
        assert list(w.remote.keys()).count(born) == 0
        assert born in w.local.snapshot()
        report = await w.sync(full=True)
        assert (report.remote.created, report.local.deleted) == (0, 0)


async def test_undoing_many_creations_needs_leave() -> None:
    guarded = MAPPING.model_copy(update={"delete_guard_count": 2, "delete_guard_share": 0.0})
    async with world(guarded) as w:
        for n in range(4):
            w.local.add(email=f"p{n}@example.org", name=f"P {n}")
        run = await w.sync()
        with pytest.raises(DeleteGuardError):
            await undo(w, run.run_id)
        assert len(w.remote.snapshot()) == 4
        await undo(w, run.run_id, allow_deletes=4)
        assert w.remote.snapshot() == {}


async def test_a_record_that_a_run_deleted_is_created_anew() -> None:
    async with world(MAPPING) as w:
        ours, _ = await pair(w)
        w.local.remove(ours)
        run = await w.sync()
        assert w.remote.snapshot() == {}
        await undo(w, run.run_id)
        (held,) = w.remote.snapshot().values()
        assert (held["Email"], held["Name"], held["Tags__c"]) == ("ada@example.org", "Ada", ("a",))
        await w.sync()
        assert [one["email"] for one in w.local.snapshot().values()] == ["ada@example.org"]
        assert (await w.sync()).written == 0


async def test_an_undo_can_itself_be_undone() -> None:
    async with world(MAPPING) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, name="Wrong")
        run = await w.sync()
        first = await undo(w, run.run_id)
        await undo(w, first.run_id)
        assert w.remote.snapshot()[theirs]["Name"] == "Wrong"
        assert (await w.sync()).written == 0


@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
async def test_a_crash_in_an_undo_loses_nothing(when: When) -> None:
    async with world(MAPPING) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, name="Wrong")
        run = await w.sync()
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), method="write", when=when)])
        with pytest.raises(Crash):
            await undo(w, run.run_id)
        w.through.clear()
        w.clock.tick(120)
        assert (await w.sync()).written == 0
        await undo(w, run.run_id)
        assert w.remote.snapshot()[theirs]["Name"] == "Ada"
        assert w.local.snapshot()[ours]["name"] == "Wrong"
        assert (await w.sync()).written == 0


async def test_who_was_spared_by_a_crash_of_the_undo_is_no_stranger() -> None:
    """What the CRM made of the name is not somebody's edit, as it would be of two who meet for the first time."""
    async with world(MAPPING, remote={"lossy": {"Name": lambda name: str(name).upper()}}) as w:
        ours = w.local.add(email="ada@example.org", name="Ada")
        run = await w.sync()
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), method="write", when=When.BEFORE)])
        with pytest.raises(Crash):
            await undo(w, run.run_id)
        w.through.clear()
        w.clock.tick(120)
        assert (await w.sync()).written == 0
        assert [held["Name"] for held in w.remote.snapshot().values()] == ["ADA"]
        assert w.local.snapshot()[ours]["name"] == "Ada"
        await undo(w, run.run_id)
        assert w.remote.snapshot() == {}


async def test_a_crash_while_a_create_is_undone_brings_nobody_back_who_was_deleted_here() -> None:
    """The tombstone of the pair is as it was, and the undo goes on with it."""
    async with world(MAPPING.model_copy(update={"delete_in_crm": DeletePolicy.IGNORE})) as w:
        ours = w.local.add(email="ada@example.org", name="Ada")
        run = await w.sync()
        w.local.remove(ours)
        await w.sync()
        before = await w.repository.links_by_local("acme", "Contact", [ours])
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), method="write", when=When.BEFORE)])
        with pytest.raises(Crash):
            await undo(w, run.run_id)
        w.through.clear()
        w.clock.tick(120)
        assert (await w.sync(full=True)).written == 0
        assert w.local.snapshot() == {}
        after = await w.repository.links_by_local("acme", "Contact", [ours])
        assert after[ours].remote_shadow == before[ours].remote_shadow
        assert (await undo(w, run.run_id)).remote.deleted == 1
        assert w.remote.snapshot() == {}


@pytest.mark.parametrize("error", [BudgetExceededError, LeaseLostError])
async def test_an_undo_that_loses_its_calls_or_its_lease_half_way_is_gone_on_with(error: type[CRMError]) -> None:
    async with world(MAPPING) as w:
        ours, theirs = await pair(w)
        other = w.local.add(email="bob@example.org", name="Bob", phone="1")
        await w.sync()
        w.local.edit(ours, name="Wrong")
        w.remote.edit(w.remote.keys()[other], Phone="9")
        run = await w.sync()
        lost = error is LeaseLostError
        w.through[Side.REMOTE] = Overtaken(w.remote, w) if lost else Costly(w.remote, RunBudget(1))
        with pytest.raises(error):
            await undo(w, run.run_id)
        w.through.clear()
        half = (w.local.snapshot()[other]["phone"], w.remote.snapshot()[theirs]["Name"])
        assert half == ("1", "Wrong"), "the local side is first"
        assert (await w.sync()).written == 0
        await undo(w, run.run_id)
        assert (w.local.snapshot()[other]["phone"], w.remote.snapshot()[theirs]["Name"]) == ("1", "Ada")
        assert (await w.sync()).written == 0


async def test_what_is_linked_differently_by_now_is_told() -> None:
    """A record that was deleted and created anew has another link."""
    async with world(MAPPING) as w:
        ours, _ = await pair(w)
        w.local.edit(ours, name="Wrong")
        run = await w.sync()
        w.local.remove(ours)
        deletion = await w.sync()
        await undo(w, deletion.run_id)
        report = await undo(w, run.run_id)
        assert [(one.markmail_id, one.code) for one in report.problems] == [(ours, "not_linked")]


async def test_a_run_without_a_history_cannot_be_undone() -> None:
    async with world(MAPPING) as w:
        with pytest.raises(NotFoundError, match="no history"):
            await undo(w, "nothing")


@pytest.mark.parametrize("before", [None, False])
async def test_what_a_run_archived_is_as_it_was_before(before: bool | None) -> None:
    archived = {"delete_in_crm": DeletePolicy.ARCHIVE, "remote_archive_field": "Archived"}
    async with world(MAPPING.model_copy(update=archived)) as w:
        ours, theirs = await pair(w)
        w.remote.edit(theirs, Archived=before)
        await w.sync()
        w.local.remove(ours)
        run = await w.sync()
        assert w.remote.snapshot()[theirs]["Archived"] is True
        report = await undo(w, run.run_id)
        assert (report.remote.updated, report.problem_count) == (1, 0)
        assert w.remote.snapshot()[theirs]["Archived"] is before
        assert (await w.sync()).written == 0


async def test_a_field_that_left_the_mapping_since_is_taken_back() -> None:
    async with world(MAPPING) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, phone="9")
        run = await w.sync()
        w.mapping = MAPPING.model_copy(update={"fields": MAPPING.fields[:2]})
        report = await undo(w, run.run_id)
        assert (w.remote.snapshot()[theirs]["Phone"], report.problem_count) == ("1", 0)


async def test_what_a_side_does_not_take_back_stays_in_sync() -> None:
    """A validation rule, say. The link is as it was: what is edited next is the only edit, and goes over."""
    refusing: list[OperationKind] = []

    def reject(operation: Operation) -> CRMError | None:
        return RejectedError("a rule says no", code="rule") if operation.kind in refusing else None

    async with world(MAPPING, remote={"reject": reject}) as w:
        ours, theirs = await pair(w)
        (creation,) = await changes(w)
        refusing += [OperationKind.DELETE]
        report = await undo(w, creation.run_id)
        assert [one.code for one in report.problems] == ["undo_failed"]
        w.local.edit(ours, name="Wrong")
        run = await w.sync()
        assert w.remote.snapshot()[theirs]["Name"] == "Wrong"
        refusing += [OperationKind.UPDATE]
        report = await undo(w, run.run_id)
        assert [one.code for one in report.problems] == ["undo_failed"]
        refusing.clear()
        w.local.edit(ours, name="Newer", phone="2")
        report = await w.sync()
        held = w.remote.snapshot()[theirs]
        assert (held["Name"], held["Phone"], report.remote.conflicts, report.local.conflicts) == ("Newer", "2", 0, 0)


async def test_a_field_that_a_side_leaves_out_of_an_undo_is_told_and_stays_in_sync() -> None:
    leaving: list[str] = []

    def leave(operation: Operation) -> list[RecordError]:
        return [RejectedError("no right", code="right", field=name) for name in leaving if name in operation.fields]

    async with world(MAPPING, remote={"leave": leave}) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, name="Wrong", phone="9")
        run = await w.sync()
        leaving.append("Name")
        report = await undo(w, run.run_id)
        assert [(one.field, one.code) for one in report.problems] == [("Name", "undo_failed")]
        assert [one.field for change in await changes(w, report.run_id) for one in change.fields] == ["Phone"]
        leaving.clear()
        w.local.edit(ours, name="Newer")
        report = await w.sync()
        held = w.remote.snapshot()[theirs]
        assert (held["Name"], held["Phone"], report.remote.conflicts, report.local.conflicts) == ("Newer", "1", 0, 0)


async def test_a_value_that_the_side_cut_without_saying_so_is_taken_back() -> None:
    remote = {"lossy": {"Name": lambda name: str(name)[:4]}, "returns_stored": False}
    async with world(MAPPING, remote=remote) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, name="Wrongly")
        run = await w.sync()
        assert w.remote.snapshot()[theirs]["Name"] == "Wron"
        report = await undo(w, run.run_id)
        assert (w.remote.snapshot()[theirs]["Name"], report.problem_count) == ("Ada", 0)
        w.remote.edit(theirs, Name="Other")
        assert (await undo(w, report.run_id)).problem_count == 1, "somebody changed it since"


async def test_what_the_side_rounded_without_saying_so_stays_and_is_told_once_somebody_else_wrote_the_record() -> None:
    """Nobody can tell any more that they did not round it themselves."""
    remote = {"lossy": {"Name": lambda name: str(name)[:4]}, "returns_stored": False}
    async with world(MAPPING, remote=remote) as w:
        ours = w.local.add(email="ada@example.org", name="Wrongly")
        run = await w.sync()
        (theirs,) = w.remote.snapshot()
        w.remote.edit(theirs, Phone="7")
        w.local.remove(ours)
        report = await undo(w, run.run_id)
        assert [(one.crm_id, one.field, one.code) for one in report.problems] == [(theirs, "Name", "changed_since")]
        assert w.remote.snapshot()[theirs] == {"Email": "ada@example.org", "Name": "Wron", "Phone": "7"}


async def test_a_field_that_is_not_shown_any_more_is_told() -> None:
    async with world(MAPPING) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, name="Wrong", phone="9")
        run = await w.sync()
        w.remote.hide(["Name"])
        report = await undo(w, run.run_id)
        assert [(one.field, one.code) for one in report.problems] == [("Name", "not_readable")]
        assert w.remote.snapshot()[theirs]["Phone"] == "1"


@pytest.mark.parametrize("name", ["Wrong", "ADA"], ids=["another name", "one that resembles what was there"])
async def test_undoing_a_run_twice_changes_nothing_more(name: str) -> None:
    async with world(MAPPING) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, name=name)
        run = await w.sync()
        await undo(w, run.run_id)
        report = await undo(w, run.run_id)
        assert (report.written, report.problems) == (0, ())
        assert w.remote.snapshot()[theirs]["Name"] == "Ada"
        assert (await w.sync()).written == 0


async def test_who_was_erased_since_does_not_come_back() -> None:
    async with world(MAPPING) as w:
        ids = [w.local.add(email=f"p{n}@example.org", name=f"P {n}") for n in range(2)]
        await w.sync()
        for ours in ids:
            w.local.remove(ours)
        run = await w.sync()
        assert w.remote.snapshot() == {}
        await (await w.runner()).erase_person(Person(markmail_ids=frozenset(ids[:1])), list(Side))
        report = await undo(w, run.run_id)
        assert [one["Email"] for one in w.remote.snapshot().values()] == ["p1@example.org"]
        assert report.remote.created == 1


async def test_a_record_merged_since_is_taken_back_at_its_survivor_where_that_holds_what_the_run_wrote() -> None:
    async with world(MAPPING) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, name="Wrong", phone="9")
        run = await w.sync()
        survivor = w.remote.add(Email="ada@example.org", Name="Wrong", Phone="7")
        w.remote.remove(theirs, merged_into=survivor)
        await w.sync()
        held = w.remote.snapshot()[survivor]
        report = await undo(w, run.run_id)
        after = w.remote.snapshot()[survivor]
        assert after["Name"] == "Ada"
        assert after["Phone"] == (held["Phone"] if held["Phone"] != "9" else "1")
        assert {one.code for one in report.problems} <= {"changed_since"}
        assert (await w.sync()).written == 0


async def test_a_reject_that_waits_goes_on_waiting_and_is_written_once_mended() -> None:
    bad = {"Bad"}

    def reject(operation: Operation) -> CRMError | None:
        return RejectedError("no", code="rule", field="Name") if operation.fields.get("Name") in bad else None

    async with world(MAPPING, remote={"reject": reject}) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, phone="9")
        run = await w.sync()
        w.local.edit(ours, name="Bad")
        assert (await w.sync()).problem_count == 1
        await undo(w, run.run_id)
        assert w.remote.snapshot()[theirs]["Phone"] == "1"
        assert [(one.field, one.code) for one in (await w.sync()).problems] == [("Name", "rule")]
        bad.clear()
        await w.sync()
        held = w.remote.snapshot()[theirs]
        assert (held["Name"], held["Phone"]) == ("Bad", "1")
        assert (await w.sync()).written == 0


async def test_what_a_created_record_was_merged_into_since_is_not_deleted() -> None:
    """It was there before, or somebody made it of the created one."""
    async with world(MAPPING) as w:
        _, theirs = await pair(w)
        (creation,) = await changes(w)
        survivor = w.remote.add(w.remote.snapshot()[theirs])
        w.remote.remove(theirs, merged_into=survivor)
        await w.sync()
        report = await undo(w, creation.run_id)
        assert [*w.remote.snapshot()] == [survivor]
        assert [one.code for one in report.problems] == ["changed_since"]
