"""Who might belong to several others, or to none of those: they wait for a person, who may give them a counterpart."""

from __future__ import annotations

import pytest

from crmsync.errors import ConfigurationError, NotFoundError, RecordError
from crmsync.models.records import Side
from crmsync.models.runs import RunStatus
from crmsync.models.state import LinkStatus
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import World, world
from tests.unit.engine.people import NAME, linked, mapped
from tests.unit.engine.rules import MAPPING, ruled

pytestmark = pytest.mark.anyio


async def quarantined(w: World) -> tuple[str, list[str]]:
    """A local record with the e-mail of two of the CRM's."""
    local = w.local.add(email="ann@example.org", name="Ann")
    remotes = [w.remote.add(Email="ann@example.org", Name=name) for name in ("Anne", "Anna")]
    await w.sync()
    return local, remotes


async def test_a_record_that_belongs_to_none_of_its_candidates_gets_a_counterpart_of_its_own() -> None:
    async with ruled() as (w, _, crm):
        local, remotes = await quarantined(w)
        found = await crm.reject("acme", "Contact", local)
        assert (found.status, {one.id for one in found.candidates}) == (LinkStatus.QUARANTINED, set(remotes))
        assert {one.side for one in found.candidates} == {Side.REMOTE}
        report = await (await w.runner()).create_anew(local)
        assert (report.status, report.remote.created) == (RunStatus.SUCCESS, 1)
        (new,) = set(w.remote.snapshot()) - set(remotes)
        assert w.remote.snapshot()[new]["Name"] == "Ann"
        w.local.edit(local, name="Ann B.")
        await w.sync()
        assert w.remote.snapshot()[new]["Name"] == "Ann B."


async def test_a_record_of_the_crm_that_belongs_to_nobody_gets_a_local_one() -> None:
    async with ruled() as (w, _, crm):
        _, (first, _) = await quarantined(w)
        found = await crm.reject("acme", "Contact", first)
        assert (found.born, found.linked) == (Side.REMOTE, False)
        await (await w.runner()).create_anew(found.markmail_id)
        assert sorted(str(r["name"]) for r in w.local.snapshot().values()) == ["Ann", "Anne"]
        assert (await crm.find_link("acme", "Contact", first)).status is LinkStatus.SYNCED


async def test_a_crash_while_a_counterpart_is_created_makes_no_second_one() -> None:
    async with ruled() as (w, _, crm):
        local, remotes = await quarantined(w)
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), method="write", when=When.AFTER)])
        with pytest.raises(Crash):
            await (await w.runner()).create_anew(local)
        w.through.clear()
        w.clock.tick(1000)
        await w.sync()
        await w.sync()
        assert len(w.remote.snapshot()) == len(remotes) + 1
        assert (await crm.find_link("acme", "Contact", local)).status is LinkStatus.SYNCED


async def test_only_what_waits_for_a_counterpart_gets_one() -> None:
    async with ruled() as (w, _, _crm):
        local, _ = await quarantined(w)
        linked = w.local.add(email="fine@example.org", name="fine")
        await w.sync()
        for wrong in (linked, "nobody"):
            with pytest.raises(NotFoundError):
                await (await w.runner()).create_anew(wrong)
        w.mapping = MAPPING.model_copy(update={"create_in_crm": False})
        with pytest.raises(ConfigurationError):
            await (await w.runner()).create_anew(local)
        w.mapping = MAPPING
        w.local.remove(local)
        with pytest.raises(RecordError):
            await (await w.runner()).create_anew(local)


async def test_who_waits_with_candidates_keeps_them_in_one_order_whoever_of_them_was_edited_last() -> None:
    """A CRM finds them in that of their last edit, say."""
    async with world(mapped(NAME)) as w:
        _, remote = await linked(w)
        doubles = [w.remote.add(Email="ann@example.org", Name=name) for name in ("Ann", "Anne")]
        await w.sync()
        before = await w.repository.links_by_remote("acme", "Contact", doubles)
        w.clock.tick()
        w.remote.edit(remote, Name="Ann W.")
        await w.sync()
        after = await w.repository.links_by_remote("acme", "Contact", doubles)
        assert [before[each].candidates for each in doubles] == [after[each].candidates for each in doubles]
