"""After a crash: which of the writes that were under way took effect."""

from __future__ import annotations

import attrs
import pytest

from crmsync.models.integrations import Integration
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, ObjectMapping, two_way
from crmsync.models.records import Side
from crmsync.models.schema import FieldType
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.world import REMOTE_LIMITS, World, world

pytestmark = pytest.mark.anyio

CONTACT = ObjectMapping(fields=(two_way("email", "Email", field_type=FieldType.EMAIL), two_way("name", "Name")))
MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("name", "Name", policy=ConflictPolicy.REMOTE_WINS),
    )
)


@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
async def test_a_value_that_is_the_beginning_of_what_was_to_be_written_is_not_taken_for_our_write(when: When) -> None:
    """Met for the first time, no shadow tells what the target held; the journal does."""
    async with world(MAPPING) as w:
        ours = w.local.add(email="ada@example.org", name="Ada")
        w.remote.add(Email="ada@example.org", Name="Ada King")
        w.through[Side.LOCAL] = FaultyStore(w.local, [Fault(Crash(), method="write", when=when)])
        with pytest.raises(Crash):
            await w.sync()
        w.through.clear()
        w.clock.tick(120)
        await w.sync()
        assert w.local.snapshot()[ours]["name"] == "Ada King"
        assert (await w.sync()).written == 0


async def second_crm(first: World) -> World:
    """Another integration of the same application, with the bookkeeping and the clock of the first."""
    await first.repository.save_integration(Integration(id="beta", provider="memory"))
    store = MemoryRecordStore("Contact", clock=first.clock, limits=REMOTE_LIMITS, id_prefix="cnt")
    return attrs.evolve(first, remote=store, integration_id="beta", through={})


async def crash_before_writing(w: World) -> None:
    """A run that ends as it is about to write the local side."""
    w.through[Side.LOCAL] = FaultyStore(w.local, [Fault(Crash(), method="write", when=When.BEFORE)])
    with pytest.raises(Crash):
        await w.sync()
    w.through.clear()
    w.clock.tick(120)


async def test_a_record_that_another_integration_made_still_gets_what_the_crash_kept_from_it() -> None:
    """The local record was last written by us, but by the other integration: that says nothing of this one's write."""
    async with world(CONTACT) as acme:
        beta = await second_crm(acme)
        beta.remote.add(Email="ann@example.org")
        await beta.sync()
        acme.remote.add(Email="ann@example.org", Name="Ann")
        await crash_before_writing(acme)
        await acme.sync()
        assert [record["name"] for record in acme.local.snapshot().values()] == ["Ann"]


async def test_a_value_that_another_integration_wrote_after_the_crash_reaches_this_one() -> None:
    """It is a newer edit of the other CRM, not what the local side made of the value that was never written."""
    async with world(CONTACT) as acme:
        beta = await second_crm(acme)
        acme.local.add(email="ann@example.org", name="Ann")
        await acme.sync()
        await beta.sync()
        acme.remote.edit(next(iter(acme.remote.snapshot())), Name="Ann of Acme")
        await crash_before_writing(acme)
        beta.remote.edit(next(iter(beta.remote.snapshot())), Name="Ann of Beta")
        await beta.sync()
        await acme.sync()
        await beta.sync()
        names = [w.remote.snapshot()[record]["Name"] for w in (acme, beta) for record in w.remote.snapshot()]
        assert names == ["Ann of Beta", "Ann of Beta"]
        assert [c.field for c in await acme.repository.list_conflicts("acme")] == ["name"]


@pytest.mark.parametrize("born", list(Side))
@pytest.mark.parametrize("policy", [DeletePolicy.IGNORE, DeletePolicy.PROPAGATE])
async def test_a_record_deleted_after_a_crash_kept_its_first_link_from_being_stored_stays_deleted(
    born: Side, policy: DeletePolicy
) -> None:
    """Its copy on the other side is ours: it must not look like somebody's new record."""
    mapping = CONTACT.model_copy(update={"delete_in_crm": policy, "delete_in_local": policy})
    async with world(mapping) as w:
        source, target = (w.local, w.remote) if born is Side.LOCAL else (w.remote, w.local)
        entered = source.add({"email" if born is Side.LOCAL else "Email": "ann@example.org"})
        w.through[born.other] = FaultyStore(target, [Fault(Crash(), method="write", when=When.AFTER)])
        with pytest.raises(Crash):
            await w.sync()
        w.through.clear()
        w.clock.tick(120)
        source.remove(entered)
        w.clock.tick(1200)
        for _ in range(2):
            await w.sync()
        assert source.snapshot() == {}
        assert len(target.snapshot()) == (1 if policy is DeletePolicy.IGNORE else 0)
