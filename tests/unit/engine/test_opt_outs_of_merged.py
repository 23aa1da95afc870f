"""A record that was merged into another one in the CRM had opted out: so does its survivor, on both sides."""

from __future__ import annotations

import pytest

from crmsync.models.mappings import Enforcement
from crmsync.models.records import Side
from crmsync.testing.world import World, world
from tests.unit.engine.people import NAME, OPT_OUT, linked, mapped, value

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("page", [None, 1])
async def test_an_opt_out_that_only_the_loser_of_a_merge_has_reaches_both_sides(page: int | None) -> None:
    """No run has seen it, and the survivor does not have it."""
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await linked(w)
        w.remote.edit(remote, OptedOut=True)
        survivor = w.remote.add(Email="ann@example.org", Name="Ann W.", OptedOut=False)
        w.remote.remove(remote, merged_into=survivor)
        await w.sync(page_size=page)
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, survivor, "OptedOut") is True
        assert (await w.repository.links_by_local("acme", "Contact", [local]))[local].crm_id == survivor
        assert (await w.sync(page_size=page)).written == 0
        w.local.edit(local, opted_out=False)
        await w.sync(page_size=page)
        assert value(w, Side.REMOTE, survivor, "OptedOut") is False, "a later opt-in holds, although the loser is read"


async def test_an_opt_out_of_a_loser_comes_over_where_its_survivor_is_another_persons() -> None:
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await linked(w)
        other = w.local.add(email="bob@example.org", name="Bob", opted_out=False)
        await w.sync()
        survivor = (await w.repository.links_by_local("acme", "Contact", [other]))[other].crm_id or ""
        w.remote.edit(remote, OptedOut=True)
        w.remote.remove(remote, merged_into=survivor)
        await w.sync()
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, survivor, "OptedOut") is False


async def subscribed(w: World) -> tuple[str, str]:
    """A linked pair that has not opted out."""
    local = w.local.add(email="ann@example.org", name="Ann", opted_out=False)
    await w.sync()
    return local, (await w.repository.links_by_local("acme", "Contact", [local]))[local].crm_id or ""


async def never_linked(w: World, survivor: str) -> None:
    """Somebody in the CRM who opted out, whom nobody here had, is merged into this record."""
    loser = w.remote.add(Email="a@old.example.org", Name="A. Old", OptedOut=True)
    w.remote.remove(loser, merged_into=survivor)


@pytest.mark.parametrize("page", [None, 1])
async def test_an_opt_out_of_a_loser_that_was_never_linked_reaches_both_sides_of_its_survivor(page: int | None) -> None:
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await subscribed(w)
        await never_linked(w, remote)
        await w.sync(page_size=page)
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, remote, "OptedOut") is True
        [conflict] = await w.repository.list_conflicts("acme", "Contact")
        assert (conflict.field, conflict.local_value, conflict.remote_value) == ("opted_out", False, False)
        assert (await w.sync(page_size=page)).written == 0
        for side, opted_out in ((Side.LOCAL, False), (Side.REMOTE, True), (Side.REMOTE, False)):
            if side is Side.LOCAL:
                w.local.edit(local, opted_out=opted_out)
            else:
                w.remote.edit(remote, OptedOut=opted_out)
            await w.sync(page_size=page)
            held = value(w, Side.LOCAL, local, "opted_out"), value(w, Side.REMOTE, remote, "OptedOut")
            assert held == (opted_out, opted_out), "a later word holds, although the tombstone is read again"


async def test_who_opts_in_again_is_not_opted_out_by_a_tombstone_that_said_nothing_new() -> None:
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await subscribed(w)
        w.local.edit(local, opted_out=True)
        await w.sync()
        await never_linked(w, remote)
        await w.sync()
        w.local.edit(local, opted_out=False)
        await w.sync()
        assert value(w, Side.LOCAL, local, "opted_out") is False
        assert value(w, Side.REMOTE, remote, "OptedOut") is False


async def test_a_plan_gives_both_sides_the_opt_out_of_a_loser_that_was_never_linked() -> None:
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await subscribed(w)
        await never_linked(w, remote)
        plan = await w.plan()
        [planned] = plan.records
        assert {write.side: write.fields for write in planned.writes} == {
            Side.LOCAL: {"opted_out": True},
            Side.REMOTE: {"OptedOut": True},
        }
        assert value(w, Side.LOCAL, local, "opted_out") is False
        await w.apply(plan)
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, remote, "OptedOut") is True
        assert (await w.sync()).written == 0


async def test_an_opt_out_that_the_mapping_may_not_write_is_not_written() -> None:
    one_way = OPT_OUT.model_copy(update={"to_crm": Enforcement.OFF})
    async with world(mapped(NAME, one_way)) as w:
        local, remote = await subscribed(w)
        w.remote.edit(remote, OptedOut=False)
        await never_linked(w, remote)
        await w.sync()
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, remote, "OptedOut") is False


async def test_a_plan_holds_the_opt_out_of_a_loser_and_the_run_after_it_gives_it_to_the_survivor() -> None:
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await linked(w)
        w.remote.edit(remote, OptedOut=True)
        survivor = w.remote.add(Email="ann@example.org", Name="Ann", OptedOut=False)
        w.remote.remove(remote, merged_into=survivor)
        await w.apply(await w.plan())
        await w.sync()
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, survivor, "OptedOut") is True
