"""A record that is deleted and comes back is what it was: what was edited meanwhile, on the other side, stands."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from crmsync.models.mappings import ConflictPolicy, DeletePolicy, ObjectMapping
from crmsync.models.records import Side
from crmsync.models.state import Acknowledgement, Link, LinkStatus
from crmsync.models.verification import Drift, DriftKind, VerifyOptions, VerifyReport
from crmsync.testing.world import World, world
from tests.unit.engine.people import CITY, CONTACT, NAME, linked, mapped, value

pytestmark = pytest.mark.anyio

POLICIES = [ConflictPolicy.NEWEST_WINS, ConflictPolicy.LOCAL_WINS, ConflictPolicy.REMOTE_WINS, ConflictPolicy.MANUAL]
PLAIN = mapped(NAME, CITY)


def by(policy: ConflictPolicy, **options: object) -> ObjectMapping:
    fields = (NAME.model_copy(update={"policy": policy}), CITY.model_copy(update={"policy": policy}))
    return mapped(*fields, **options)


async def link_of(w: World, local: str) -> Link:
    return (await w.repository.links_by_local("acme", "Contact", [local]))[local]


async def verify(w: World, **options: object) -> VerifyReport:
    return await (await w.runner()).verify(VerifyOptions.model_validate(options))


async def edited_while_gone(w: World, side: Side) -> tuple[str, str]:
    """A pair of which this side's record was deleted, and then the other one edited; both ids."""
    local, remote = await linked(w)
    w.remote.remove(remote) if side is Side.REMOTE else w.local.remove(local)
    await w.sync()
    w.local.edit(local, name="Ann B.") if side is Side.REMOTE else w.remote.edit(remote, Name="Ann B.")
    return local, remote


def restore(w: World, side: Side, local: str, remote: str) -> None:
    w.remote.restore(remote) if side is Side.REMOTE else w.local.restore(local)


async def settled(w: World, local: str) -> None:
    """The pair is linked, and there is nothing left to do or to decide."""
    assert (await w.sync()).written == 0
    assert (await link_of(w, local)).status is LinkStatus.SYNCED
    assert not await w.repository.list_conflicts("acme", "Contact")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seen", [True, False], ids=["a run between", "no run between"])
async def test_an_edit_made_while_the_contact_was_deleted_reaches_it(policy: ConflictPolicy, seen: bool) -> None:
    async with world(by(policy)) as w:
        local, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        w.local.edit(local, name="Ann B.")
        w.clock.tick()
        if seen:
            await w.sync()
        w.remote.restore(remote)
        await w.sync()
        assert value(w, Side.REMOTE, remote, "Name") == value(w, Side.LOCAL, local, "name") == "Ann B."
        await settled(w, local)


@pytest.mark.parametrize("policy", POLICIES)
async def test_an_edit_in_the_crm_after_the_undelete_stands_beside_a_local_one(policy: ConflictPolicy) -> None:
    async with world(by(policy)) as w:
        local, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        w.local.edit(local, name="Ann B.")
        w.remote.restore(remote)
        w.remote.edit(remote, City=None)
        await w.sync()
        for side, one, names in ((Side.LOCAL, local, ("name", "city")), (Side.REMOTE, remote, ("Name", "City"))):
            assert [value(w, side, one, name) for name in names] == ["Ann B.", None]
        await settled(w, local)


async def test_a_field_that_both_edited_is_a_conflict_also_after_an_undelete() -> None:
    async with world(by(ConflictPolicy.NEWEST_WINS)) as w:
        local, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        w.local.edit(local, name="Ann B.")
        w.clock.tick()
        w.remote.restore(remote)
        w.remote.edit(remote, Name="Ann C.")
        await w.sync()
        assert value(w, Side.LOCAL, local, "name") == "Ann C."
        (conflict,) = await w.repository.list_conflicts("acme", "Contact")
        assert conflict.winner is Side.REMOTE


async def test_a_contact_that_comes_back_unchanged_takes_nothing_but_a_look() -> None:
    async with world(CONTACT) as w:
        local, remote = await linked(w, tags=("a", "b"), opted_out=False)
        before = await link_of(w, local)
        w.remote.remove(remote)
        await w.sync()
        w.remote.restore(remote)
        report = await w.sync()
        assert report.written == 0
        after = await link_of(w, local)
        assert after.status is LinkStatus.SYNCED
        assert (after.local_shadow[9:], after.remote_shadow[9:]) == (before.local_shadow[9:], before.remote_shadow[9:])


async def test_a_tag_added_while_the_contact_was_deleted_is_added_there_and_one_taken_away_goes() -> None:
    async with world(CONTACT) as w:
        local, remote = await linked(w, tags=("a", "b"))
        w.remote.remove(remote)
        await w.sync()
        w.local.edit(local, tags=("b", "c"))
        w.remote.restore(remote)
        await w.sync()
        assert value(w, Side.REMOTE, remote, "Tags") == value(w, Side.LOCAL, local, "tags") == ("b", "c")


async def test_an_edit_made_while_the_local_record_was_gone_reaches_it() -> None:
    async with world(by(ConflictPolicy.LOCAL_WINS)) as w:
        local, remote = await linked(w)
        w.local.remove(local)
        await w.sync()
        w.remote.edit(remote, Name="Ann B.")
        w.clock.tick()
        w.local.restore(local)
        await w.sync()
        assert value(w, Side.LOCAL, local, "name") == "Ann B."
        await settled(w, local)


async def test_a_local_id_that_is_given_again_takes_nothing_from_the_contact() -> None:
    """A row of a file comes back with its address alone, and with a consent that is the form's default."""
    async with world(CONTACT) as w:
        local, remote = await linked(w, tags=("a",), opted_out=True)
        w.local.remove(local)
        await w.sync()
        w.local.add(id=local, email="ann@example.org", opted_out=False)
        await w.sync()
        held = {"Name": "Ann", "City": "Bonn", "Tags": ("a",), "OptedOut": True}
        assert {name: value(w, Side.REMOTE, remote, name) for name in held} == held
        assert {name: value(w, Side.LOCAL, local, name) for name in ("name", "city", "opted_out")} == {
            "name": "Ann",
            "city": "Bonn",
            "opted_out": True,
        }


@pytest.mark.parametrize("side", Side)
async def test_a_plan_with_a_record_that_came_back_is_carried_out(side: Side) -> None:
    async with world(PLAIN) as w:
        local, remote = await edited_while_gone(w, side)
        restore(w, side, local, remote)
        w.clock.tick()
        plan = await w.plan()
        assert plan.writes == 1
        assert (await w.apply(plan)).written == 1
        assert value(w, Side.LOCAL, local, "name") == value(w, Side.REMOTE, remote, "Name") == "Ann B."
        await settled(w, local)


async def test_a_plan_with_a_record_that_is_gone_again_links_nobody() -> None:
    async with world(PLAIN) as w:
        local, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        w.local.edit(local, name="Ann B.")
        w.remote.restore(remote)
        plan = await w.plan()
        w.remote.remove(remote)
        assert (await w.apply(plan)).written == 0
        assert (await link_of(w, local)).status is LinkStatus.DELETED
        w.remote.restore(remote)
        await w.sync()
        assert value(w, Side.REMOTE, remote, "Name") == "Ann B."


async def test_a_contact_that_is_deleted_and_restored_again_and_again_keeps_the_edits() -> None:
    async with world(PLAIN) as w:
        local, remote = await linked(w)
        for name in ("Ann B.", "Ann C."):
            w.remote.remove(remote)
            await w.sync()
            w.local.edit(local, name=name)
            w.remote.restore(remote)
            await w.sync()
            assert value(w, Side.REMOTE, remote, "Name") == name
        await settled(w, local)


async def test_a_person_who_was_edited_and_so_spared_gets_the_contact_back() -> None:
    async with world(by(ConflictPolicy.NEWEST_WINS, delete_in_local=DeletePolicy.PROPAGATE)) as w:
        local, remote = await linked(w)
        w.local.edit(local, name="Ann B.")
        w.remote.remove(remote)
        w.clock.tick()
        await w.sync()
        assert value(w, Side.LOCAL, local, "name") == "Ann B."
        w.remote.restore(remote)
        await w.sync()
        assert value(w, Side.REMOTE, remote, "Name") == "Ann B."


@pytest.mark.parametrize("policy", [DeletePolicy.PROPAGATE, DeletePolicy.UNLINK])
async def test_an_undelete_brings_back_nobody_whose_delete_was_carried_over(policy: DeletePolicy) -> None:
    async with world(mapped(NAME, delete_in_local=policy)) as w:
        local, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        held = await link_of(w, local)
        assert held.remote_shadow == b"", "what is not to be merged again is not remembered"
        people = set(w.local.snapshot())
        w.remote.restore(remote)
        await w.sync()
        assert set(w.local.snapshot()) == people
        assert (await link_of(w, local)).status is held.status


@pytest.mark.parametrize("side", Side)
async def test_a_verification_finds_a_record_that_came_back_and_links_it_again(side: Side) -> None:
    async with world(PLAIN) as w:
        local, remote = await edited_while_gone(w, side)
        assert (await verify(w)).counts == {}, "nobody misses who was deleted"
        restore(w, side, local, remote)
        assert (await verify(w)).findings == (Drift(kind=DriftKind.RETURNED, markmail_id=local, crm_id=remote),)
        assert (await link_of(w, local)).status is LinkStatus.DELETED
        report = await verify(w, repair=True)
        assert report.repaired is not None
        assert report.repaired.written == 1
        assert value(w, Side.LOCAL, local, "name") == value(w, Side.REMOTE, remote, "Name") == "Ann B."
        assert (await verify(w)).consistent
        await settled(w, local)


@pytest.mark.parametrize("policy", [DeletePolicy.PROPAGATE, DeletePolicy.UNLINK])
async def test_a_verification_misses_no_counterpart_that_was_taken_away_on_purpose(policy: DeletePolicy) -> None:
    async with world(mapped(NAME, delete_in_local=policy)) as w:
        _, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        w.remote.restore(remote)
        assert (await verify(w)).counts == {}


@pytest.mark.parametrize("side", list(Side))
async def test_a_record_that_was_archived_stays_so_when_its_counterpart_comes_back(side: Side) -> None:
    """Who looks at it may have filed it for good by then. The pair is one again, and nothing else is written."""
    name = {Side.LOCAL: "delete_in_crm", Side.REMOTE: "delete_in_local"}[side]
    fields = {"remote_archive_field": "Archived", "local_archive_field": "archived"}
    async with world(mapped(NAME, **{name: DeletePolicy.ARCHIVE}, **fields)) as w:
        local, remote = await linked(w)
        w.remote.remove(remote) if side is Side.REMOTE else w.local.remove(local)
        await w.sync()
        other, one, field = (w.local, local, "archived") if side is Side.REMOTE else (w.remote, remote, "Archived")
        assert other.snapshot()[one][field] is True
        restore(w, side, local, remote)
        assert (await w.sync()).written == 0
        assert other.snapshot()[one][field] is True
        await settled(w, local)


async def test_of_two_records_that_are_gone_nothing_is_kept() -> None:
    async with world(PLAIN) as w:
        local, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        assert (await link_of(w, local)).remote_shadow
        w.local.remove(local)
        await w.sync()
        link = await link_of(w, local)
        assert (link.status, link.local_shadow, link.remote_shadow) == (LinkStatus.DELETED, b"", b"")


async def test_a_tombstone_that_kept_nothing_meets_its_contact_for_the_first_time() -> None:
    """As those of earlier versions do."""
    async with world(by(ConflictPolicy.LOCAL_WINS)) as w:
        local, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        link = attrs.evolve(await link_of(w, local), remote_shadow=b"")
        lease = await w.repository.acquire_lease("acme", "Contact", "test", now=w.clock.now(), ttl=timedelta(minutes=1))
        await w.repository.acknowledge(lease, Acknowledgement(links=(link,)))
        await w.repository.release_lease(lease)
        w.local.edit(local, name="Ann B.")
        w.remote.restore(remote)
        await w.sync()
        assert value(w, Side.REMOTE, remote, "Name") == "Ann B."


async def test_a_tombstone_that_followed_a_merge_keeps_nothing_of_the_other_record() -> None:
    """Who was deleted here comes back, after the contact was merged into another one: they meet for the first time."""
    async with world(by(ConflictPolicy.REMOTE_WINS)) as w:
        local, remote = await linked(w)
        w.local.remove(local)
        await w.sync()
        survivor = w.remote.add(Email="ann@king.example", Name="Ann King", City="Ulm")
        w.remote.remove(remote, merged_into=survivor)
        await w.sync()
        link = await link_of(w, local)
        assert (link.crm_id, link.local_shadow) == (survivor, b"")
        w.local.restore(local)
        await w.sync()
        assert value(w, Side.LOCAL, local, "name") == "Ann King"
