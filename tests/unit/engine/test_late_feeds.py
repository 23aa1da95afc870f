"""A CRM's feed that is behind what the CRM holds: it shows records as living that the engine knows to be gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import attrs
import pytest

from crmsync.models.mappings import DeletePolicy
from crmsync.models.records import Record, Side
from crmsync.models.state import LinkStatus
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.world import REMOTE_LIMITS, World, world
from tests.unit.engine.people import NAME, OPT_OUT, linked, mapped, value

pytestmark = pytest.mark.anyio

LATE = timedelta(minutes=5)
ANN = {"Email": "ann@example.org", "Name": "Ann"}


class TellsOfMerges(FaultyStore):
    """One that says what became of a record."""

    async def merged_away(self, ids: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        assert isinstance(self._store, MemoryRecordStore)
        return await self._store.merged_away(ids, fields=fields)

    async def merged_into(self, survivors: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        assert isinstance(self._store, MemoryRecordStore)
        return await self._store.merged_into(survivors, fields=fields)


@asynccontextmanager
async def behind(*, keyed: bool = True, **options: object) -> AsyncIterator[World]:
    """A world whose CRM shows what others did five minutes later."""
    remote = {"late": LATE, "limits": attrs.evolve(REMOTE_LIMITS, external_key=keyed)}
    async with world(mapped(NAME, OPT_OUT, **options), remote=remote) as w:
        yield w


async def converted(w: World) -> tuple[str, str, str]:
    """A pair whose lead was converted, and whose link has gone on to the contact; the feed still shows the lead."""
    local, lead = await linked(w)
    contact = w.remote.add(ANN)
    w.remote.remove(lead, merged_into=contact)
    w.local.edit(local, name="Ann B.")
    await w.sync()
    assert (await w.repository.links_by_local("acme", "Contact", [local]))[local].crm_id == contact
    return local, lead, contact


@pytest.mark.parametrize("keyed", [True, False])
async def test_a_lead_that_only_a_late_feed_still_shows_does_not_bring_back_who_was_deleted(keyed: bool) -> None:
    async with behind(keyed=keyed) as w:
        local, _, contact = await converted(w)
        w.local.remove(local)
        w.remote.remove(contact)
        for _ in range(8):
            assert (await w.sync()).written == 0
            assert w.local.snapshot() == {}


async def test_neither_does_it_where_the_contact_went_with_the_person() -> None:
    async with behind(delete_in_crm=DeletePolicy.PROPAGATE) as w:
        local, *_ = await converted(w)
        w.local.remove(local)
        for _ in range(8):
            await w.sync()
            assert w.local.snapshot() == w.remote.snapshot() == {}


async def test_neither_does_it_where_a_crash_kept_the_moved_link_from_being_stored() -> None:
    async with behind() as w:
        local, lead = await linked(w)
        contact = w.remote.add(ANN)
        w.remote.remove(lead, merged_into=contact)
        w.local.edit(local, name="Ann B.")
        w.through[Side.REMOTE] = TellsOfMerges(w.remote, [Fault(Crash(), method="write", when=When.AFTER)])
        with pytest.raises(Crash):
            await w.sync()
        w.through.clear()
        w.clock.tick(120)
        await w.sync()
        w.local.remove(local)
        w.remote.remove(contact)
        for _ in range(5):
            await w.sync()
            assert w.local.snapshot() == {}


async def test_neither_does_a_tombstone_that_went_on_to_the_contact() -> None:
    """The contact shows before it shows that the lead is gone."""
    async with behind() as w:
        local, lead = await linked(w)
        w.local.remove(local)
        await w.sync()
        contact = w.remote.add(ANN)
        w.clock.tick(200)
        w.remote.remove(lead, merged_into=contact)
        w.clock.tick(101)
        await w.sync()
        assert (await w.repository.links_by_local("acme", "Contact", [local]))[local].crm_id == contact
        w.remote.remove(contact)
        for _ in range(8):
            await w.sync()
            assert w.local.snapshot() == {}


async def test_a_record_that_waited_and_was_then_found_gone_does_not_bring_back_anybody() -> None:
    async with behind() as w:
        local, remote = await linked(w)
        twin = w.remote.add(ANN)
        w.clock.tick(301)
        assert (await w.sync()).problems[0].code == "duplicate"
        for each in (twin, remote):
            w.remote.remove(each)
        w.local.remove(local)
        for _ in range(8):
            await w.sync()
            assert w.local.snapshot() == {}
        assert list(await w.repository.links_by_remote("acme", "Contact", [twin])) == []


async def test_what_a_waiting_record_said_last_is_heard_though_it_was_found_gone_before() -> None:
    async with behind() as w:
        local, remote = await linked(w)
        twin = w.remote.add(ANN, OptedOut=True)
        w.clock.tick(301)
        await w.sync()
        w.remote.remove(twin, merged_into=remote)
        await w.sync()
        w.clock.tick(301)
        await w.sync()
        assert value(w, Side.LOCAL, local, "opted_out") is value(w, Side.REMOTE, remote, "OptedOut") is True
        w.local.edit(local, opted_out=False)
        await w.sync()
        await w.sync()
        assert value(w, Side.LOCAL, local, "opted_out") is value(w, Side.REMOTE, remote, "OptedOut") is False


async def test_a_lead_that_is_back_for_real_is_somebody_new() -> None:
    async with behind() as w:
        local, lead, contact = await converted(w)
        w.local.remove(local)
        w.remote.remove(contact)
        await w.sync()
        w.clock.tick(301)
        w.remote.restore(lead)
        w.remote.edit(lead, Name="Anna")
        w.clock.tick(301)
        await w.sync()
        assert [record["name"] for record in w.local.snapshot().values()] == ["Anna"]
        (link,) = (await w.repository.links_by_remote("acme", "Contact", [lead])).values()
        assert link.status is LinkStatus.SYNCED
        assert (await w.sync()).written == 0


async def test_who_is_entered_anew_is_somebody_new() -> None:
    async with behind() as w:
        local, _, contact = await converted(w)
        w.local.remove(local)
        w.remote.remove(contact)
        await w.sync()
        w.remote.add(ANN)
        w.clock.tick(301)
        await w.sync()
        assert [record["name"] for record in w.local.snapshot().values()] == ["Ann"]


async def test_a_conversion_that_the_feed_itself_tells_leaves_nothing_and_costs_nothing_more() -> None:
    async with world(mapped(NAME)) as w:
        local, lead = await linked(w)
        w.remote.remove(lead, merged_into=w.remote.add(ANN))
        await w.sync()
        assert [link.markmail_id for link in await w.repository.scan_links("acme", "Contact")] == [local]
        w.clock.tick(3600)
        await w.sync()
        w.through[Side.REMOTE] = store = TellsOfMerges(w.remote)
        await w.sync()
        assert set(store.calls) <= {"describe", "changes"}


async def test_what_is_listed_as_living_again_is_asked_for_in_one_call() -> None:
    async with behind() as w:
        people = [w.local.add(email=f"{n}@example.org", name="Ann") for n in range(3)]
        await w.sync()
        for person, lead in w.remote.keys().items():
            w.remote.remove(lead, merged_into=w.remote.add(w.remote.snapshot()[lead]))
            w.local.edit(person, name="Ann B.")
        await w.sync()
        w.through[Side.REMOTE] = store = TellsOfMerges(w.remote)
        await w.sync()
        assert set(store.calls) <= {"describe", "changes", "get"}
        assert (store.calls["get"], sorted(w.local.snapshot())) == (1, people)


async def test_a_plan_takes_nobody_for_new_whom_only_a_late_feed_still_shows() -> None:
    async with behind() as w:
        local, _, contact = await converted(w)
        w.local.remove(local)
        w.remote.remove(contact)
        assert (await w.plan()).writes == 0
