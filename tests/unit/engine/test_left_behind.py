"""A record of the CRM that was merged into another pair's: its opt-out is nobody's news, whoever is linked to whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from crmsync.models.erasure import Person
from crmsync.models.mappings import DeletePolicy
from crmsync.models.records import Side, StoreLimits
from crmsync.models.state import LinkStatus
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import World, world
from tests.unit.engine.people import NAME, OPT_OUT, linked, mapped, value

pytestmark = pytest.mark.anyio

Relink = Callable[[World, str], Awaitable[str]]


async def separated(w: World) -> tuple[str, str, str]:
    """Ann, who opted out, and whose contact was merged into Bob's; what Bob has on both sides."""
    ann, loser = await linked(w, opted_out=True)
    bob = w.local.add(email="bob@example.org", name="Bob", opted_out=False)
    await w.sync()
    survivor = (await w.repository.links_by_local("acme", "Contact", [bob]))[bob].crm_id or ""
    w.remote.remove(loser, merged_into=survivor)
    await w.sync()
    return ann, bob, survivor


async def met(w: World, _ann: str) -> str:
    """Somebody enters Ann in the CRM again."""
    contact = w.remote.add(Email="ann@example.org", Name="Ann")
    await w.sync()
    return contact


async def met_in_a_crash(w: World, _ann: str) -> str:
    """The run that links her has written both sides, and does not come to acknowledge it."""
    contact = w.remote.add(Email="ann@example.org", Name="Ann")
    w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), method="write", when=When.AFTER)])
    with pytest.raises(Crash):
        await w.sync()
    w.through.clear()
    w.clock.tick(120)
    await w.sync()
    return contact


async def linked_by_hand(w: World, ann: str) -> str:
    contact = w.remote.add(Email="ann@elsewhere.example", Name="Ann")
    await (await w.runner()).link(ann, contact)
    w.clock.tick()
    await w.sync()
    return contact


@pytest.mark.parametrize("relink", [met, met_in_a_crash, linked_by_hand])
async def test_who_gets_a_new_contact_does_not_opt_out_whom_the_old_one_was_merged_into(relink: Relink) -> None:
    """Not when all is read again, either: the old contact's tombstone comes with all the others then."""
    async with world(mapped(NAME, OPT_OUT)) as w:
        ann, bob, survivor = await separated(w)
        contact = await relink(w, ann)
        assert (await w.repository.links_by_local("acme", "Contact", [ann]))[ann].crm_id == contact
        assert value(w, Side.REMOTE, contact, "OptedOut") is True
        assert (await w.sync(full=True)).written == 0
        assert value(w, Side.LOCAL, bob, "opted_out") is value(w, Side.REMOTE, survivor, "OptedOut") is False


async def test_an_old_contact_that_comes_back_from_the_recycle_bin_is_a_stranger() -> None:
    """All that was kept of it is that it was heard. It has the e-mail of the new one, so a person decides."""
    async with world(mapped(NAME, OPT_OUT), remote={"limits": StoreLimits(external_key=False)}) as w:
        ann, _, survivor = await separated(w)
        old = (await w.repository.links_by_local("acme", "Contact", [ann]))[ann].crm_id or ""
        contact = await met(w, ann)
        w.remote.restore(old)
        report = await w.sync()
        assert [problem.code for problem in report.problems] == ["duplicate"]
        links = await w.repository.links_by_remote("acme", "Contact", [old, contact, survivor])
        assert [links[one].status for one in (contact, survivor)] == [LinkStatus.SYNCED, LinkStatus.SYNCED]
        assert links[old].status is LinkStatus.QUARANTINED


async def test_what_was_heard_takes_no_survivor_from_the_tombstone_that_follows_to_it() -> None:
    """Bob is deleted here and his contact is merged on: when he comes back, it is he who is there."""
    async with world(mapped(NAME, OPT_OUT)) as w:
        ann, bob, survivor = await separated(w)
        await met(w, ann)
        w.local.remove(bob)
        await w.sync()
        last = w.remote.add(Email="bob@work.example.org", Name="Bob", OptedOut=False)
        w.remote.remove(survivor, merged_into=last)
        await w.sync(full=True)
        w.local.restore(bob)
        await w.sync()
        link = (await w.repository.links_by_local("acme", "Contact", [bob]))[bob]
        assert (link.crm_id, link.status) == (last, LinkStatus.SYNCED)


async def test_an_erasure_forgets_the_old_contact_too() -> None:
    """Nothing is kept of it but a mark, by which it does not come in again."""
    async with world(mapped(NAME, OPT_OUT)) as w:
        ann, _, survivor = await separated(w)
        old = (await w.repository.links_by_local("acme", "Contact", [ann]))[ann].crm_id or ""
        contact = await met(w, ann)
        await (await w.runner()).erase_person(Person(emails=frozenset({"ann@example.org"})), tuple(Side))
        assert list(await w.repository.links_by_remote("acme", "Contact", [old, contact, survivor])) == [survivor]
        w.clock.tick()
        w.remote.restore(old)
        await w.sync()
        assert [record["name"] for record in w.local.snapshot().values()] == ["Bob"]


async def of_two(w: World) -> tuple[str, str]:
    """Ann, whose contact was merged into Bob's; her local id, and his contact."""
    ann, loser = await linked(w)
    bob = w.local.add(email="bob@example.org", name="Bob", opted_out=False)
    await w.sync()
    survivor = (await w.repository.links_by_local("acme", "Contact", [bob]))[bob].crm_id or ""
    w.remote.remove(loser, merged_into=survivor)
    return ann, survivor


@pytest.mark.parametrize("page", [1, 50])
async def test_a_plan_that_separates_a_person_and_meets_their_new_contact_is_carried_out_whole(page: int) -> None:
    """Nothing reads the new contact again: the position of the plan is behind it."""
    async with world(mapped(NAME, OPT_OUT), remote={"limits": StoreLimits(external_key=True, read_page=page)}) as w:
        ann, survivor = await of_two(w)
        w.clock.tick()
        contact = w.remote.add(Email="ann@example.org", Name="Ann")
        plan = await w.plan()
        assert [(each.markmail_id, each.crm_id) for each in plan.records if each.writes] == [(ann, contact)]
        assert (await w.apply(plan)).written == 1
        links = await w.repository.links_by_remote("acme", "Contact", [contact, survivor])
        assert {key: link.status for key, link in links.items()} == dict.fromkeys(
            (contact, survivor), LinkStatus.SYNCED
        )
        assert links[contact].markmail_id == ann
        assert (await w.sync(full=True)).written == 0


async def test_a_plan_holds_who_is_separated_though_nothing_is_written() -> None:
    """Else the link stayed at the contact that is gone, and the new one were refused."""
    async with world(mapped(NAME, OPT_OUT)) as w:
        ann, _ = await of_two(w)
        w.clock.tick()
        plan = await w.plan()
        assert [(each.markmail_id, each.writes) for each in plan.records] == [(ann, ())]
        assert [problem.code for problem in (await w.apply(plan)).problems] == ["merged"]
        w.clock.tick(3600)
        contact = w.remote.add(Email="ann@example.org", Name="Ann")
        await w.sync()
        link = (await w.repository.links_by_local("acme", "Contact", [ann]))[ann]
        assert (link.crm_id, link.status) == (contact, LinkStatus.SYNCED)


@pytest.mark.parametrize("delete", [DeletePolicy.IGNORE, DeletePolicy.PROPAGATE])
async def test_a_plan_brings_nobody_back_whose_lead_was_converted_when_they_were_deleted(delete: DeletePolicy) -> None:
    mapping = mapped(NAME, OPT_OUT).model_copy(update={"delete_in_crm": delete})
    async with world(mapping) as w:
        ann, lead = await linked(w)
        contact = w.remote.add(Email="ann@example.org", Name="Ann")
        w.remote.remove(lead, merged_into=contact)
        w.local.remove(ann)
        w.clock.tick()
        await w.apply(await w.plan())
        assert not w.local.snapshot()
        assert len(w.remote.snapshot()) == (delete is DeletePolicy.IGNORE)
        assert (await w.sync(full=True)).written == 0
