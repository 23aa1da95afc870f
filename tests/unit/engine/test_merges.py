"""Records that were merged or converted in the CRM: their links follow, and so do edits, deletes and opt-outs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from crmsync.models.mappings import DeletePolicy
from crmsync.models.records import Record, Side, StoreLimits
from crmsync.models.runs import RunStatus
from crmsync.models.state import LinkStatus
from crmsync.testing.faults import FaultyStore
from crmsync.testing.world import world
from tests.unit.engine.people import NAME, linked, mapped, value

pytestmark = pytest.mark.anyio


class Forgetful(FaultyStore):
    """A CRM that tells of a merge once, and no more when it is asked: its recycle bin is empty."""

    async def merged_into(self, survivors: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        return ()


async def test_merged_records_in_the_crm_re_point_the_link() -> None:
    async with world(mapped(NAME)) as w:
        local, remote = await linked(w)
        winner = w.remote.add(Email="ann@work.example.org", Name="Ann W.")
        w.remote.remove(remote, merged_into=winner)
        await w.sync()
        links = await w.repository.links_by_local("acme", "Contact", [local])
        assert links[local].crm_id == winner
        assert (await w.sync()).written == 0


@pytest.mark.parametrize("page", [None, 1])
async def test_a_record_that_was_merged_twice_between_two_runs_keeps_its_link(page: int | None) -> None:
    """A was merged into B, and B into C: the link of A follows to C."""
    async with world(mapped(NAME)) as w:
        local, first = await linked(w)
        second = w.remote.add(Email="ann@example.org", Name="Ann")
        w.remote.remove(first, merged_into=second)
        third = w.remote.add(Email="ann@example.org", Name="Anna")
        w.remote.remove(second, merged_into=third)
        assert (await w.sync(page_size=page)).status is RunStatus.SUCCESS
        assert value(w, Side.LOCAL, local, "name") == "Anna"
        assert (await w.repository.links_by_local("acme", "Contact", [local]))[local].crm_id == third


@pytest.mark.parametrize("page", [None, 1])
async def test_a_person_who_was_deleted_here_and_converted_there_stays_deleted(page: int | None) -> None:
    """Whether the new record is read before the tombstone of the old one or after it."""
    async with world(mapped(NAME)) as w:
        local, lead = await linked(w)
        w.local.remove(local)
        w.remote.remove(lead, merged_into=w.remote.add(Email="ann@example.org", Name="Ann"))
        await w.sync(page_size=page)
        await w.sync(page_size=page)
        assert w.local.snapshot() == {}


@pytest.mark.parametrize("page", [None, 1])
@pytest.mark.parametrize("policy", [DeletePolicy.IGNORE, DeletePolicy.UNLINK])
async def test_a_person_whose_deletion_is_known_is_not_created_anew_when_the_record_is_converted(
    policy: DeletePolicy, page: int | None
) -> None:
    async with world(mapped(NAME, delete_in_crm=policy)) as w:
        local, lead = await linked(w)
        w.local.remove(local)
        await w.sync()
        contact = w.remote.add(Email="ann@example.org", Name="Ann")
        w.remote.remove(lead, merged_into=contact)
        await w.sync(page_size=page)
        w.remote.edit(contact, Name="Anna")
        assert (await w.sync(page_size=page)).written == 0
        assert w.local.snapshot() == {}


async def test_a_person_who_was_deleted_here_is_not_created_anew_when_the_conversion_shows_later() -> None:
    """When the deletion is dealt with the lead is gone, and nothing says yet into what it was converted."""
    late = timedelta(minutes=5)
    limits = StoreLimits(look_back=2 * late)
    async with world(mapped(NAME), remote={"late": late, "limits": limits}) as w:
        local, lead = await linked(w)
        w.remote.remove(lead, merged_into=w.remote.add(Email="ann@example.org", Name="Ann"))
        w.local.remove(local)
        await w.sync()
        w.clock.tick(2 * late.total_seconds())
        assert (await w.sync()).written == 0
        assert w.local.snapshot() == {}


async def test_a_contact_that_is_gone_once_it_was_read_brings_nobody_back_who_was_deleted_here() -> None:
    """The feed shows the contact that the lead became as living still, and whoever asks for it finds nothing."""
    late = timedelta(minutes=5)
    async with world(mapped(NAME), remote={"late": late, "limits": StoreLimits(look_back=2 * late)}) as w:
        local = w.local.add(name="Ann")
        await w.sync()
        [lead] = w.remote.snapshot()
        w.local.remove(local)
        contact = w.remote.add({"Name": "Ann"})
        w.remote.remove(lead, merged_into=contact)
        w.clock.tick(2 * late.total_seconds())
        w.remote.remove(contact)
        await w.sync()
        w.clock.tick(2 * late.total_seconds())
        await w.sync()
        assert (w.local.snapshot(), w.remote.snapshot()) == ({}, {})


async def test_a_person_who_is_deleted_here_after_an_undelete_there_is_not_created_anew_by_a_conversion() -> None:
    """No run saw the lead come back, so its tombstone says that the local record is there."""
    async with world(mapped(NAME)) as w:
        local, lead = await linked(w)
        w.remote.remove(lead)
        await w.sync()
        assert list(w.local.snapshot()) == [local]
        w.remote.restore(lead)
        contact = w.remote.add(Email="ann@example.org", Name="Ann")
        w.remote.remove(lead, merged_into=contact)
        w.local.remove(local)
        await w.sync()
        assert (list(w.local.snapshot()), list(w.remote.snapshot())) == ([], [contact])
        assert (await w.sync()).written == 0


async def test_a_survivor_that_is_merged_on_after_its_page_was_read_deletes_nobody() -> None:
    """The page tells of the first merge, and whoever asks for its survivor finds nothing."""
    late = timedelta(minutes=5)
    limits = StoreLimits(look_back=2 * late)
    mapping = mapped(NAME, delete_in_local=DeletePolicy.PROPAGATE)
    async with world(mapping, remote={"late": late, "limits": limits}) as w:
        local, remote = await linked(w)
        between = w.remote.add(Email="ann@example.org", Name="Ann")
        w.remote.remove(remote, merged_into=between)
        w.clock.tick(2 * late.total_seconds())
        survivor = w.remote.add(Email="ann@example.org", Name="Ann")
        w.remote.remove(between, merged_into=survivor)
        await w.sync()
        assert list(w.local.snapshot()) == [local]
        links = await w.repository.links_by_local("acme", "Contact", [local])
        assert (links[local].crm_id, links[local].status) == (survivor, LinkStatus.SYNCED)


async def test_a_tombstone_keeps_nothing_of_a_record_that_was_merged_into_a_linked_one() -> None:
    async with world(mapped(NAME)) as w:
        ann, anns = await linked(w)
        w.local.add(email="bob@example.org", name="Bob")
        w.local.remove(ann)
        await w.sync()
        (bobs,) = w.remote.snapshot().keys() - {anns}
        assert (await w.repository.links_by_local("acme", "Contact", [ann]))[ann].remote_shadow
        w.remote.remove(anns, merged_into=bobs)
        await w.sync()
        link = (await w.repository.links_by_local("acme", "Contact", [ann]))[ann]
        assert (link.status, link.remote_shadow) == (LinkStatus.DELETED, b"")
        assert ann not in w.local.snapshot()


async def test_a_pair_that_was_unlinked_is_not_linked_again_when_its_record_is_converted() -> None:
    async with world(mapped(NAME)) as w:
        local, lead = await linked(w)
        runner = await w.runner()
        await runner.unlink(local)
        contact = w.remote.add(Email="ann@example.org", Name="Anna")
        w.remote.remove(lead, merged_into=contact)
        assert (await w.sync()).written == 0
        assert value(w, Side.LOCAL, local, "name") == "Ann"


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("newest", ["loser", "survivor"])
@pytest.mark.parametrize("page", [None, 1])
async def test_a_person_who_was_deleted_here_and_merged_twice_there_stays_deleted(
    page: int | None, newest: str, remembers: bool
) -> None:
    """Whichever record is read last, and though the CRM does not say who was merged into the last one."""
    async with world(mapped(NAME)) as w:
        local, first = await linked(w)
        w.local.remove(local)
        second = w.remote.add(Email="ann@example.org", Name="Ann")
        third = w.remote.add(Email="ann@example.org", Name="Ann")
        w.remote.remove(first, merged_into=second)
        w.clock.tick()
        w.remote.remove(second, merged_into=third)
        if newest == "survivor":
            w.clock.tick()
            w.remote.edit(third, Name="Anna")
        if newest == "survivor" and not remembers:
            w.through[Side.REMOTE] = Forgetful(w.remote)
        assert (await w.sync(page_size=page)).status is RunStatus.SUCCESS
        assert (await w.sync(page_size=page)).written == 0
        assert w.local.snapshot() == {}


@pytest.mark.parametrize("page", [None, 1])
async def test_where_a_deleted_persons_record_goes_no_second_link_goes(page: int | None) -> None:
    async with world(mapped(NAME)) as w:
        ann, anns = await linked(w)
        bob = w.local.add(email="bob@example.org", name="Bob")
        await w.sync()
        (bobs,) = w.remote.snapshot().keys() - {anns}
        w.local.remove(ann)
        survivor = w.remote.add(Email="ann@work.example.org", Name="Ann")
        w.remote.remove(anns, merged_into=survivor)
        w.clock.tick()
        w.remote.remove(bobs, merged_into=survivor)
        report = await w.sync(page_size=page)
        assert [(problem.code, problem.markmail_id) for problem in report.problems] == [("merged", bob)]
        assert set(w.local.snapshot()) == {bob}


async def test_an_edit_made_here_while_the_record_was_merged_there_reaches_the_survivor() -> None:
    """The survivor still says what the loser said: only this side changed, however new the survivor is."""
    async with world(mapped(NAME)) as w:
        local, remote = await linked(w)
        w.local.edit(local, name="Ann B.")
        w.clock.tick(60)
        survivor = w.remote.add(Email="ann@work.example.org", Name="Ann")
        w.remote.remove(remote, merged_into=survivor)
        report = await w.sync()
        assert value(w, Side.REMOTE, survivor, "Name") == value(w, Side.LOCAL, local, "name") == "Ann B."
        assert report.remote.conflicts == 0


async def test_a_plan_re_points_the_link_of_a_merged_record() -> None:
    async with world(mapped(NAME, delete_in_local=DeletePolicy.PROPAGATE)) as w:
        local, remote = await linked(w)
        survivor = w.remote.add(Email="ann@work.example.org", Name="Ann W.")
        w.remote.remove(remote, merged_into=survivor)
        await w.apply(await w.plan())
        link = (await w.repository.links_by_local("acme", "Contact", [local]))[local]
        assert (link.crm_id, link.status) == (survivor, LinkStatus.SYNCED)
        assert value(w, Side.LOCAL, local, "name") == "Ann W."
        assert (await w.sync()).written == 0


async def test_a_reject_whose_record_was_merged_meanwhile_follows_and_is_no_delete() -> None:
    async with world(mapped(NAME, delete_in_local=DeletePolicy.PROPAGATE)) as w:
        local, remote = await linked(w)
        [link] = (await w.repository.links_by_local("acme", "Contact", [local])).values()
        await w.sync()
        survivor = w.remote.add(Email="ann@work.example.org", Name="Ann")
        w.remote.remove(remote, merged_into=survivor)
        plan = await w.plan()
        w.local.edit(local, name="Changed since")
        assert [p.code for p in (await w.apply(plan)).problems] == ["stale"]
        await w.sync()
        assert value(w, Side.REMOTE, survivor, "Name") == "Changed since"
        assert set(w.local.snapshot()) == {local}
        assert link.crm_id == remote


@pytest.mark.parametrize("chain", [1, 2])
async def test_a_read_from_the_start_follows_merges_and_takes_none_for_a_delete(chain: int) -> None:
    """A pass over everything shows no tombstones, and the survivor is linked or not."""
    limits = StoreLimits(external_key=True, change_feed=False)
    async with world(mapped(NAME, delete_in_local=DeletePolicy.PROPAGATE), remote={"limits": limits}) as w:
        local, remote = await linked(w)
        other = w.local.add(email="bob@example.org", name="Bob")
        await w.sync()
        kept = next(key for key in w.remote.snapshot() if key != remote)
        between = w.remote.add(Email="ann@work.example.org", Name="Ann") if chain > 1 else kept
        w.remote.remove(remote, merged_into=between)
        if chain > 1:
            w.remote.remove(between, merged_into=kept)
        report = await w.sync()
        assert [problem.code for problem in report.problems] == ["merged"]
        links = await w.repository.links_by_local("acme", "Contact", [local, other])
        assert [links[one].status for one in (local, other)] == [LinkStatus.UNLINKED, LinkStatus.SYNCED]
        assert set(w.local.snapshot()) == {local, other}
        assert (await w.sync()).written == 0


async def test_a_read_from_the_start_still_tells_a_delete() -> None:
    limits = StoreLimits(external_key=True, change_feed=False)
    async with world(mapped(NAME, delete_in_local=DeletePolicy.PROPAGATE), remote={"limits": limits}) as w:
        _, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        assert w.local.snapshot() == {}
