"""After a crash: which of the writes that were under way took effect."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from crmsync.diff import BLANK_SHADOW
from crmsync.models.integrations import Integration
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, ObjectMapping, two_way
from crmsync.models.records import Side
from crmsync.models.schema import FieldType
from crmsync.models.state import Acknowledgement, Link, LinkStatus
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


async def crashed_copy(w: World, born: Side) -> tuple[MemoryRecordStore, MemoryRecordStore]:
    """Somebody was entered on a side, and deleted after a crash kept the copy's link from being stored; both sides."""
    source, target = (w.local, w.remote) if born is Side.LOCAL else (w.remote, w.local)
    entered = source.add({"email" if born is Side.LOCAL else "Email": "ann@example.org"})
    w.through[born.other] = FaultyStore(target, [Fault(Crash(), method="write", when=When.AFTER)])
    with pytest.raises(Crash):
        await w.sync()
    w.through.clear()
    w.clock.tick(120)
    source.remove(entered)
    return source, target


def deleting(policy: DeletePolicy) -> ObjectMapping:
    return CONTACT.model_copy(update={"delete_in_crm": policy, "delete_in_local": policy})


@pytest.mark.parametrize("born", list(Side))
@pytest.mark.parametrize("policy", [DeletePolicy.IGNORE, DeletePolicy.PROPAGATE])
async def test_a_record_deleted_after_a_crash_kept_its_first_link_from_being_stored_stays_deleted(
    born: Side, policy: DeletePolicy
) -> None:
    """Its copy on the other side is ours: it must not look like somebody's new record."""
    async with world(deleting(policy)) as w:
        source, target = await crashed_copy(w, born)
        w.clock.tick(1200)
        for _ in range(2):
            await w.sync()
        assert source.snapshot() == {}
        assert len(target.snapshot()) == (1 if policy is DeletePolicy.IGNORE else 0)


@pytest.mark.parametrize("born", list(Side))
async def test_what_somebody_added_to_a_copy_whose_source_was_deleted_before_the_crash_was_settled_is_kept(
    born: Side,
) -> None:
    """Nothing was sent of that field: it was blank, and is no part of the copy."""
    name = "Name" if born is Side.LOCAL else "name"
    async with world(deleting(DeletePolicy.PROPAGATE)) as w:
        _, target = await crashed_copy(w, born)
        target.edit(next(iter(target.snapshot())), {name: "Ann"})
        w.clock.tick(1200)
        for _ in range(2):
            await w.sync()
        assert [held[name] for held in target.snapshot().values()] == ["Ann"]


@pytest.mark.parametrize("keyed", [True, False], ids=["with a key", "without a key"])
@pytest.mark.parametrize("side", list(Side))
async def test_who_takes_the_place_of_a_deleted_one_is_linked_after_a_crash(side: Side, keyed: bool) -> None:
    """The tombstone holds the other record until the pair is acknowledged: the journal's word takes it over."""
    limits = attrs.evolve(REMOTE_LIMITS, external_key=keyed)
    policy = ConflictPolicy.REMOTE_WINS if side is Side.LOCAL else ConflictPolicy.LOCAL_WINS
    mapping = ObjectMapping(
        fields=(two_way("email", "Email", field_type=FieldType.EMAIL), two_way("name", "Name", policy=policy))
    )
    async with world(mapping, remote={"limits": limits}) as w:
        first = w.local.add(email="ada@example.org", name="Ada")
        await w.sync()
        w.local.remove(first)
        await w.sync()
        again = w.local.add(email="ada@example.org", name="Ada King")
        w.through[side] = FaultyStore(w.local if side is Side.LOCAL else w.remote, [Fault(Crash(), method="write")])
        with pytest.raises(Crash):
            await w.sync()
        w.through.clear()
        w.clock.tick(120)
        await w.sync()
        [theirs] = w.remote.snapshot()
        [link] = await w.repository.scan_links(w.integration_id, w.entity_type)
        assert (link.markmail_id, link.crm_id, link.status) == (again, theirs, LinkStatus.SYNCED)
        assert (await w.sync()).written == 0


async def test_who_waited_for_a_counterpart_is_linked_after_a_crash() -> None:
    """Two local records with one e-mail kept the CRM's waiting, until one of them went."""
    async with world(MAPPING) as w:
        one, other = (w.local.add(email="ada@example.org", name=name) for name in ("Ada", "Ada King"))
        theirs = w.remote.add(Email="ada@example.org", Name="Ada Lovelace")
        await w.sync()
        assert LinkStatus.QUARANTINED in {link.status for link in await w.repository.scan_links("acme", "Contact")}
        w.local.remove(other)
        await crash_before_writing(w)
        await w.sync()
        [link] = await w.repository.scan_links("acme", "Contact", statuses=[LinkStatus.SYNCED])
        assert (link.markmail_id, link.crm_id) == (one, theirs)
        assert w.local.snapshot()[one]["name"] == "Ada Lovelace"
        assert (await w.sync()).written == 0


async def test_a_record_that_is_a_living_pairs_by_now_is_left_to_it() -> None:
    """Whatever an old journal says: a run must not end over it for ever."""
    async with world(MAPPING) as w:
        theirs = w.remote.add(Email="ada@example.org", Name="Ada Lovelace")
        ours = w.local.add(email="ada@example.org", name="Ada")
        await crash_before_writing(w)
        other = w.local.add(email="ada.lovelace@example.org", name="Ada Lovelace")
        lease = await w.repository.acquire_lease("acme", "Contact", "x", now=w.clock.now(), ttl=timedelta(seconds=1))
        pair = Link("acme", "Contact", other, theirs, local_shadow=BLANK_SHADOW, remote_shadow=BLANK_SHADOW)
        await w.repository.acknowledge(lease, Acknowledgement(links=(pair,)))
        await w.repository.release_lease(lease)
        await w.sync()
        links = {link.markmail_id: link for link in await w.repository.scan_links("acme", "Contact")}
        assert links[other].crm_id == theirs
        assert links[ours].crm_id != theirs
