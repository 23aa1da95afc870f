"""An opt-out that only a record said which is gone: it waits where it cannot be written, until it takes effect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from crmsync.errors import CRMError, RejectedError
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, OnLoss, two_way
from crmsync.models.records import Operation, Side
from crmsync.models.schema import FieldType
from crmsync.models.state import Link, LinkStatus
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

BOTH = frozenset(Side)
MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL, on_loss=OnLoss.REJECT_RECORD),
        two_way("name", "Name"),
        two_way("opted_out", "OptedOut", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE),
    ),
)


@attrs.define
class Stubborn:
    """A pair that has not opted out, and sides that refuse to store an opt-out."""

    w: World
    sides: Collection[Side] = BOTH
    local: str = ""
    remote: str = ""

    def held(self) -> tuple[object, object]:
        """What the two sides say."""
        return self.w.local.snapshot()[self.local]["opted_out"], self.w.remote.snapshot()[self.remote]["OptedOut"]

    async def link(self) -> Link:
        return (await self.w.repository.links_by_local("acme", "Contact", [self.local]))[self.local]

    async def later(self, **options: Any) -> Any:
        """The next run, when no look-back shows the tombstone again."""
        self.w.clock.tick(86_400)
        return await self.w.sync(**options)


@asynccontextmanager
async def pair() -> AsyncIterator[Stubborn]:
    def refuse(side: Side, field: str, operation: Operation) -> CRMError | None:
        refused = side in it.sides and operation.fields.get(field) is True
        return RejectedError("no opt-outs here", field=field) if refused else None

    local = {"reject": lambda operation: refuse(Side.LOCAL, "opted_out", operation)}
    remote = {"reject": lambda operation: refuse(Side.REMOTE, "OptedOut", operation)}
    async with world(MAPPING, local=local, remote=remote) as w:
        it = Stubborn(w, local=w.local.add(email="ann@example.org", name="Ann", opted_out=False))
        await w.sync()
        it.remote = (await it.link()).crm_id or ""
        yield it


def merge_stranger(it: Stubborn) -> str:
    """Somebody in the CRM who opted out, whom nobody here had, is merged into the pair's record."""
    loser = it.w.remote.add(Email="a@old.example.org", Name="A. Old", OptedOut=True)
    it.w.remote.remove(loser, merged_into=it.remote)
    return loser


def merge_own(it: Stubborn) -> None:
    """The pair's record opts out and is merged into another one, which says nothing of it."""
    it.w.remote.edit(it.remote, OptedOut=True)
    survivor = it.w.remote.add(Email="ann@example.org", Name="Ann", OptedOut=False)
    it.w.remote.remove(it.remote, merged_into=survivor)
    it.remote = survivor


@pytest.mark.parametrize("merge", [merge_stranger, merge_own])
@pytest.mark.parametrize("page", [None, 1])
async def test_an_opt_out_that_both_sides_refuse_waits_until_it_takes_effect(merge: Any, page: int | None) -> None:
    async with pair() as it:
        merge(it)
        for _ in range(3):
            report = await it.later(page_size=page)
            assert it.held() == (False, False)
            assert {problem.code for problem in report.problems} >= {"rejected", "opt_out_waits"}
            assert (await it.link()).status is LinkStatus.REJECTED
        it.sides = ()
        await it.later(page_size=page)
        assert it.held() == (True, True)
        assert (await it.link()).status is LinkStatus.SYNCED
        assert (await it.link()).problems == ()
        assert (await it.later(page_size=page)).written == 0


@pytest.mark.parametrize("refusing", Side)
async def test_an_opt_out_that_one_side_refuses_reaches_it_from_the_other(refusing: Side) -> None:
    async with pair() as it:
        it.sides = {refusing}
        merge_stranger(it)
        report = await it.later()
        assert it.held() == (refusing is Side.REMOTE, refusing is Side.LOCAL)
        assert "opt_out_waits" not in {problem.code for problem in report.problems}
        it.sides = ()
        await it.later()
        assert it.held() == (True, True)


async def test_an_opt_out_that_waits_goes_on_with_the_pair_when_its_record_is_merged() -> None:
    async with pair() as it:
        merge_stranger(it)
        await it.later()
        survivor = it.w.remote.add(Email="ann@example.org", Name="Ann", OptedOut=False)
        it.w.remote.remove(it.remote, merged_into=survivor)
        await it.later()
        it.remote, it.sides = survivor, ()
        await it.later()
        assert it.held() == (True, True)


async def test_an_opt_out_that_waits_outlives_a_plan_that_the_record_has_outdated() -> None:
    async with pair() as it:
        merge_stranger(it)
        await it.later()
        plan = await it.w.plan()
        it.sides = ()
        it.w.local.edit(it.local, name="Ann B.")
        assert [problem.code for problem in (await it.w.apply(plan)).problems] == ["stale"]
        await it.later()
        assert it.held() == (True, True)


async def test_an_opt_out_outlives_the_plan_that_first_held_it() -> None:
    """The plan's record changed before it was carried out, and the tombstone is not read again."""
    async with pair() as it:
        it.sides = ()
        merge_stranger(it)
        plan = await it.w.plan()
        it.w.local.edit(it.local, name="Ann B.")
        it.w.clock.tick(86_400)
        await it.w.apply(plan)
        await it.later()
        await it.later()
        assert it.held() == (True, True)


async def test_an_opt_out_waits_while_something_else_keeps_the_record_from_being_written() -> None:
    async with pair() as it:
        it.sides = ()
        it.w.remote.edit(it.remote, Email="ann at example.org")
        merge_stranger(it)
        report = await it.later()
        assert "opt_out_waits" in {problem.code for problem in report.problems}
        assert it.held() == (False, False)
        it.w.remote.edit(it.remote, Email="anna@example.org")
        await it.later()
        assert it.held() == (True, True)
        assert (await it.link()).problems == ()


async def test_an_opt_out_waits_with_a_record_that_cannot_be_created() -> None:
    """The survivor is new here, and refused as long as it is opted out on either side."""
    async with pair() as it:
        it.remote = it.w.remote.add(Email="bob@example.org", Name="Bob", OptedOut=False)
        merge_stranger(it)
        report = await it.later()
        assert "opt_out_waits" in {problem.code for problem in report.problems}
        await it.later()
        it.sides = ()
        await it.later()
        [it.local] = [key for key, fields in it.w.local.snapshot().items() if fields["email"] == "bob@example.org"]
        assert it.held() == (True, True)


async def test_an_opt_out_waits_where_the_survivor_is_another_persons_until_somebody_makes_a_new_pair() -> None:
    async with pair() as it:
        other = it.w.local.add(email="bob@example.org", name="Bob", opted_out=False)
        await it.w.sync()
        bob = (await it.w.repository.links_by_local("acme", "Contact", [other]))[other].crm_id
        it.w.remote.edit(it.remote, OptedOut=True)
        it.w.remote.remove(it.remote, merged_into=bob)
        await it.later()
        assert (await it.link()).status is LinkStatus.UNLINKED
        it.remote, it.sides = it.w.remote.add(Email="ann@new.example.org", Name="Ann", OptedOut=False), ()
        await (await it.w.runner()).link(it.local, it.remote)
        assert it.held() == (True, True)


async def test_who_opts_in_again_afterwards_is_not_opted_out_by_the_one_that_waited() -> None:
    """Neither by the tombstone, whenever it is read again."""
    async with pair() as it:
        merge_stranger(it)
        await it.w.sync()
        it.sides = ()
        await it.w.sync()
        assert it.held() == (True, True)
        it.w.local.edit(it.local, opted_out=False)
        await it.w.sync()
        await it.w.sync(full=True)
        await it.later()
        assert it.held() == (False, False)


async def test_an_opt_out_waits_no_more_once_both_sides_say_so_by_themselves() -> None:
    async with pair() as it:
        merge_stranger(it)
        await it.later()
        it.w.local.edit(it.local, opted_out=True)
        it.w.remote.edit(it.remote, OptedOut=True)
        await it.later()
        assert it.held() == (True, True)
        assert (await it.link()).status is LinkStatus.SYNCED


async def test_what_was_overwritten_is_noted_once_it_is() -> None:
    async with pair() as it:
        merge_stranger(it)
        for _ in range(2):
            await it.later()
            assert await it.w.repository.list_conflicts("acme", "Contact") == []
        it.sides = ()
        await it.later()
        [conflict] = await it.w.repository.list_conflicts("acme", "Contact")
        assert (conflict.field, conflict.local_value, conflict.remote_value) == ("opted_out", False, False)
