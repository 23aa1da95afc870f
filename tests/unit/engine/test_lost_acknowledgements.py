"""A write whose acknowledgement a crash lost is in the history of its run, and taken back with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from crmsync.errors import NotFoundError
from crmsync.models.events import RunStarted, SyncEvent
from crmsync.models.history import RecordChange, untagged
from crmsync.models.mappings import DeletePolicy, ObjectMapping, two_way
from crmsync.models.records import OperationKind, Side, StoreLimits
from crmsync.models.schema import FieldType
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import REMOTE_LIMITS, World, world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("name", "Name"),
        two_way("tags", "Tags", field_type=FieldType.MULTI_PICKLIST),
    ),
    delete_in_crm=DeletePolicy.PROPAGATE,
    delete_in_local=DeletePolicy.PROPAGATE,
    history_days=30,
)
SIDES = list(Side)
CREATE, UPDATE, DELETE = OperationKind


class Begun:
    """Remembers which run began last."""

    run_id = ""

    def notify(self, event: SyncEvent) -> None:
        if isinstance(event, RunStarted):
            self.run_id = event.run_id


def store(w: World, side: Side) -> Any:
    return w.local if side is Side.LOCAL else w.remote


def named(side: Side, **values: object) -> dict[str, object]:
    """Values by the names of a side."""
    return values if side is Side.LOCAL else {name.capitalize(): value for name, value in values.items()}


def held(w: World, side: Side) -> list[dict[str, object]]:
    """What a side holds, by the local names."""
    return [{name.lower(): value for name, value in one.items()} for one in store(w, side).snapshot().values()]


async def crash(w: World, target: Side, *, when: When = When.AFTER, undone: str = "") -> str:
    """A run, or an undo, that ends as it has written a side, or is about to; its id."""
    w.through[target] = FaultyStore(store(w, target), [Fault(Crash(), method="write", when=when)])
    begun = Begun()
    w.observers = (begun,)
    with pytest.raises(Crash):
        await (undo(w, undone) if undone else w.sync())
    w.through.clear()
    w.observers = ()
    w.clock.tick(120)
    return begun.run_id


async def changes(w: World, run_id: str) -> list[RecordChange]:
    return await w.repository.list_changes("acme", "Contact", run_id=run_id)


def told(change: RecordChange) -> dict[str, tuple[object, object, str]]:
    """Before, after and cause, by the local names."""
    return {one.field.lower(): (untagged(one.before), untagged(one.after), one.cause) for one in change.fields}


async def undo(w: World, run_id: str) -> None:
    await (await w.runner()).undo(run_id)
    w.clock.tick()


async def pair(w: World) -> dict[Side, str]:
    ours = w.local.add(email="ada@example.org", name="Ada", tags=("a",))
    await w.sync()
    await w.sync()
    return {Side.LOCAL: ours, Side.REMOTE: next(iter(w.remote.snapshot()))}


@pytest.mark.parametrize("target", SIDES)
async def test_an_update_is_in_the_history_of_the_run_that_sent_it_and_is_taken_back(target: Side) -> None:
    async with world(MAPPING) as w:
        ids = await pair(w)
        store(w, target.other).edit(ids[target.other], named(target.other, name="Wrong", tags=("a", "b")))
        sent_at = w.clock.now()
        run_id = await crash(w, target)
        assert (await w.sync()).written == 0
        (change,) = await changes(w, run_id)
        assert (change.side, change.kind, change.written_at) == (target, UPDATE, sent_at)
        assert (change.markmail_id, change.crm_id) == (ids[Side.LOCAL], ids[Side.REMOTE])
        assert told(change) == {"name": ("Ada", "Wrong", "synced"), "tags": (("a",), ("a", "b"), "synced")}
        await undo(w, run_id)
        assert held(w, target) == [{"email": "ada@example.org", "name": "Ada", "tags": ("a",)}]
        assert (await w.sync()).written == 0


@pytest.mark.parametrize("target", SIDES)
async def test_a_value_is_told_in_the_form_in_which_the_target_keeps_it(target: Side) -> None:
    """As in a run whose acknowledgement was not lost: here a set comes back in another order."""
    lossy = {"lossy": {name: lambda value: tuple(sorted(value)) for name in named(target, tags=())}}
    sides = {side: lossy if side is target else None for side in SIDES}
    async with world(MAPPING, local=sides[Side.LOCAL], remote=sides[Side.REMOTE]) as w:
        ids = await pair(w)
        store(w, target.other).edit(ids[target.other], named(target.other, tags=("c", "b", "a")))
        run_id = await crash(w, target)
        await w.sync()
        (change,) = await changes(w, run_id)
        assert told(change) == {"tags": (("a",), ("a", "b", "c"), "synced")}


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("target", SIDES)
async def test_a_create_is_in_the_history_of_the_run_that_sent_it_and_is_taken_back(target: Side, keyed: bool) -> None:
    async with world(MAPPING, remote={"limits": attrs.evolve(REMOTE_LIMITS, external_key=keyed)}) as w:
        store(w, target.other).add(named(target.other, email="ada@example.org", name="Ada"))
        run_id = await crash(w, target)
        await w.sync()
        (change,) = await changes(w, run_id)
        assert (change.side, change.kind) == (target, CREATE)
        assert change.markmail_id in w.local.snapshot()
        assert change.crm_id in w.remote.snapshot()
        assert told(change)["name"] == (None, "Ada", "created")
        await undo(w, run_id)
        assert held(w, target) == []
        assert (await w.sync(full=True)).written == 0


async def test_a_create_under_an_id_of_the_local_side_s_own_is_in_the_history_and_is_taken_back() -> None:
    async with world(MAPPING, local={"limits": StoreLimits()}) as w:
        w.remote.add(Email="ada@example.org", Name="Ada")
        run_id = await crash(w, Side.LOCAL)
        await w.sync()
        (ours,) = w.local.snapshot()
        (change,) = await changes(w, run_id)
        assert (change.kind, change.markmail_id, told(change)["name"]) == (CREATE, ours, (None, "Ada", "created"))
        await undo(w, run_id)
        assert held(w, Side.LOCAL) == []
        assert (await w.sync(full=True)).written == 0


@pytest.mark.parametrize("target", SIDES)
async def test_a_delete_is_in_the_history_of_the_run_that_sent_it_and_is_taken_back(target: Side) -> None:
    async with world(MAPPING) as w:
        ids = await pair(w)
        store(w, target.other).remove(ids[target.other])
        run_id = await crash(w, target)
        await w.sync()
        (change,) = await changes(w, run_id)
        assert (change.side, change.kind, change.crm_id) == (target, DELETE, ids[Side.REMOTE])
        assert told(change)["name"] == ("Ada", None, "deleted")
        await undo(w, run_id)
        assert held(w, target) == [{"email": "ada@example.org", "name": "Ada", "tags": ("a",)}]


async def create(w: World, target: Side) -> None:
    store(w, target.other).add(named(target.other, email="new@example.org"))


async def update(w: World, target: Side) -> None:
    ids = await pair(w)
    store(w, target.other).edit(ids[target.other], named(target.other, name="New"))


async def delete(w: World, target: Side) -> None:
    ids = await pair(w)
    store(w, target.other).remove(ids[target.other])


@pytest.mark.parametrize("deed", [create, update, delete])
@pytest.mark.parametrize("target", SIDES)
async def test_what_was_not_written_is_in_the_history_of_the_run_that_writes_it(
    target: Side, deed: Callable[[World, Side], Any]
) -> None:
    async with world(MAPPING) as w:
        await deed(w, target)
        run_id = await crash(w, target, when=When.BEFORE)
        later = await w.sync()
        assert await changes(w, run_id) == []
        assert len(await changes(w, later.run_id)) == 1


async def test_what_was_archived_is_in_the_history() -> None:
    archived = {"delete_in_crm": DeletePolicy.ARCHIVE, "remote_archive_field": "Archived"}
    async with world(MAPPING.model_copy(update=archived)) as w:
        ids = await pair(w)
        w.local.remove(ids[Side.LOCAL])
        run_id = await crash(w, Side.REMOTE)
        await w.sync()
        (change,) = await changes(w, run_id)
        assert told(change) == {"archived": (None, True, "archived")}


async def test_a_field_that_somebody_changed_since_is_told_with_what_was_sent() -> None:
    """The other field shows that the write took effect: a record is written as a whole."""
    async with world(MAPPING) as w:
        ids = await pair(w)
        w.local.edit(ids[Side.LOCAL], name="Wrong", tags=("a", "b"))
        run_id = await crash(w, Side.REMOTE)
        w.remote.edit(ids[Side.REMOTE], Name="Right")
        await w.sync()
        (change,) = await changes(w, run_id)
        assert told(change)["name"] == ("Ada", "Wrong", "synced")
        await undo(w, run_id)
        assert held(w, Side.REMOTE) == [{"email": "ada@example.org", "name": "Right", "tags": ("a",)}]


async def test_a_field_that_the_side_left_as_it_was_is_not_told() -> None:
    async with world(MAPPING) as w:
        ids = await pair(w)
        w.local.edit(ids[Side.LOCAL], name="Wrong", tags=("a", "b"))
        w.remote.hide(["Name"])
        run_id = await crash(w, Side.REMOTE)
        w.remote.hide([])
        await w.sync()
        (change,) = await changes(w, run_id)
        assert set(told(change)) == {"tags"}


async def test_what_the_side_made_of_a_value_is_told_and_can_be_taken_back() -> None:
    async with world(MAPPING, remote={"lossy": {"Name": lambda name: str(name)[:4]}}) as w:
        ids = await pair(w)
        w.local.edit(ids[Side.LOCAL], name="Wrongly")
        run_id = await crash(w, Side.REMOTE)
        await w.sync()
        (change,) = await changes(w, run_id)
        assert told(change)["name"] == ("Ada", "Wron", "synced")
        await undo(w, run_id)
        assert held(w, Side.REMOTE)[0]["name"] == "Ada"


async def test_a_sensitive_value_is_nowhere_and_its_write_is_known() -> None:
    fields = [one.model_copy(update={"sensitive": one.crm_field == "Name"}) for one in MAPPING.fields]
    async with world(MAPPING.model_copy(update={"fields": tuple(fields)})) as w:
        ids = await pair(w)
        w.local.edit(ids[Side.LOCAL], name="Wrong")
        run_id = await crash(w, Side.REMOTE)
        (entry,) = await w.repository.list_journal("acme", "Contact")
        assert entry.change is not None
        assert told(entry.change)["name"][:2] == ("(masked)", "(masked)")
        await w.sync()
        (change,) = await changes(w, run_id)
        assert told(change)["name"][:2] == ("(masked)", "(masked)")


async def test_an_undo_finds_what_the_run_before_it_lost() -> None:
    async with world(MAPPING) as w:
        ids = await pair(w)
        w.local.edit(ids[Side.LOCAL], name="Wrong")
        run_id = await crash(w, Side.REMOTE)
        await undo(w, run_id)
        assert held(w, Side.REMOTE)[0]["name"] == "Ada"


async def test_without_days_to_keep_it_the_journal_holds_no_values() -> None:
    async with world(MAPPING.model_copy(update={"history_days": 0})) as w:
        ids = await pair(w)
        w.local.edit(ids[Side.LOCAL], name="Wrong")
        run_id = await crash(w, Side.REMOTE)
        (entry,) = await w.repository.list_journal("acme", "Contact")
        assert entry.change is None
        await w.sync()
        with pytest.raises(NotFoundError):
            await undo(w, run_id)


async def test_what_was_forgotten_meanwhile_is_not_remembered() -> None:
    async with world(MAPPING) as w:
        ids = await pair(w)
        w.local.edit(ids[Side.LOCAL], name="Wrong")
        run_id = await crash(w, Side.REMOTE)
        await w.repository.erase_changes("acme", "Contact", [ids[Side.LOCAL]])
        await w.sync()
        assert await changes(w, run_id) == []


# --- an undo that a crash cuts short


@pytest.mark.parametrize("deed", [create, update, delete])
@pytest.mark.parametrize("target", SIDES)
async def test_an_undo_that_was_cut_short_after_its_write_is_in_the_history(
    target: Side, deed: Callable[[World, Side], Any]
) -> None:
    async with world(MAPPING) as w:
        await deed(w, target)
        before = held(w, target)
        run = await w.sync()
        undoing = await crash(w, target, undone=run.run_id)
        await w.sync()
        (change,) = await changes(w, undoing)
        assert {cause for _, _, cause in told(change).values()} == {"undo"}
        assert held(w, target) == before
        assert (await w.sync(full=True)).written == 0


@pytest.mark.parametrize("target", SIDES)
async def test_an_undo_that_was_cut_short_before_its_write_leaves_no_edit_behind(target: Side) -> None:
    """What is edited next is the only edit, and goes over."""
    async with world(MAPPING) as w:
        await update(w, target)
        run = await w.sync()
        undoing = await crash(w, target, when=When.BEFORE, undone=run.run_id)
        (source,) = store(w, target.other).snapshot()
        store(w, target.other).edit(source, named(target.other, name="Newer"))
        report = await w.sync()
        assert [one["name"] for one in held(w, target)] == ["Newer"]
        assert await changes(w, undoing) == []
        assert (report.local.conflicts, report.remote.conflicts) == (0, 0)


async def test_without_a_key_what_a_cut_short_undo_restored_is_not_restored_again() -> None:
    """It has neither the id of before nor a counterpart; it is told by its e-mail, and that we wrote it last."""
    async with world(MAPPING, remote={"limits": attrs.evolve(REMOTE_LIMITS, external_key=False)}) as w:
        await delete(w, Side.REMOTE)
        before = held(w, Side.REMOTE)
        run = await w.sync()
        undoing = await crash(w, Side.REMOTE, undone=run.run_id)
        await undo(w, run.run_id)
        assert held(w, Side.REMOTE) == before
        assert [change.kind for change in await changes(w, undoing)] == [OperationKind.CREATE]


async def test_an_undo_that_was_cut_short_half_way_is_finished_by_another_one() -> None:
    """What is back already is no problem."""
    async with world(MAPPING) as w:
        for name in ("Ada", "Bo", "Cy"):
            w.local.add(email=f"{name}@example.org", name=name)
        await w.sync()
        for ours in list(w.local.snapshot()):
            w.local.edit(ours, name="Wrong")
        w.local.add(email="di@example.org", name="Di")
        run = await w.sync()
        await crash(w, Side.REMOTE, when=When.DURING, undone=run.run_id)
        assert 0 < [one["name"] for one in held(w, Side.REMOTE)].count("Wrong") < 3
        report = await (await w.runner()).undo(run.run_id)
        assert sorted(str(one["name"]) for one in held(w, Side.REMOTE)) == ["Ada", "Bo", "Cy"]
        assert report.problems == ()
        assert (await w.sync()).written == 0


@pytest.mark.parametrize("target", SIDES)
async def test_a_record_that_a_cut_short_undo_spared_stays_in_sync(target: Side) -> None:
    async with world(MAPPING) as w:
        await create(w, target)
        run = await w.sync()
        await crash(w, target, when=When.BEFORE, undone=run.run_id)
        await w.sync()
        (source,) = store(w, target.other).snapshot()
        store(w, target.other).edit(source, named(target.other, name="Newer"))
        await w.sync()
        assert [one["name"] for one in held(w, target)] == ["Newer"]
        assert len(held(w, target.other)) == 1
