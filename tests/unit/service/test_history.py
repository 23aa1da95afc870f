"""What was written to a record, asked for by either side's id."""

from __future__ import annotations

import itertools
from datetime import timedelta

import attrs
import pytest

from crmsync.models.candidates import Candidate
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.records import Side
from crmsync.models.schema import FieldType
from crmsync.models.state import Acknowledgement, Link, LinkStatus
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(two_way("email", "Email", field_type=FieldType.EMAIL), two_way("name", "Name")), history_days=30
)


def facade(w: World) -> CRMSync:
    return CRMSync(w.repository, vault=Vault.from_key(Vault.generate_key()), clock=w.clock)


async def acknowledged(w: World, link: Link) -> None:
    lease = await w.repository.acquire_lease("acme", "Contact", "somebody", now=w.clock.now(), ttl=timedelta(minutes=1))
    await w.repository.acknowledge(lease, Acknowledgement(links=(link,)))


async def asked(w: World, record_id: str) -> list[tuple[str, str | None]]:
    """The ids of the writes to a record, newest first."""
    found = await facade(w).history("acme", "Contact", record_ids=[record_id])
    return [(change.markmail_id, change.crm_id) for change in found]


async def test_the_survivor_of_a_merge_has_the_past_of_the_record_that_was_folded_into_it() -> None:
    async with world(MAPPING) as w:
        ours = w.local.add(email="ada@example.org", name="Ada")
        await w.sync()
        loser = w.remote.keys()[ours]
        survivor = w.remote.add(Email="ada@work.example", Name="Ada")
        w.remote.remove(loser, merged_into=survivor)
        await w.sync()
        w.local.edit(ours, name="Ada King")
        await w.sync()
        found = await asked(w, survivor)
        assert found == await asked(w, ours)
        assert {crm_id for _, crm_id in found} == {loser, survivor}
        assert await facade(w).erase_history("acme", "Contact", [survivor]) == len(found)
        assert await asked(w, ours) == []


async def test_a_survivor_that_was_merged_on_has_the_past_of_all_that_was_folded_into_it() -> None:
    """Ann into Bob, he into Cem, and he into Dan: each time both had local records."""
    async with world(MAPPING) as w:
        people = [w.local.add(email=f"{name}@example.org", name=name) for name in ("ann", "bob", "cem", "dan", "eve")]
        await w.sync()
        keys = w.remote.keys()
        for loser, survivor in itertools.pairwise(people[:4]):
            w.remote.remove(keys[loser], merged_into=keys[survivor])
            await w.sync()
        for place, each in enumerate(people):
            past = [each] if each == people[4] else people[: place + 1]
            assert set(await asked(w, keys[each])) == {(one, keys[one]) for one in past}


async def test_so_has_one_whose_pair_went_on_to_a_record_that_nobody_had() -> None:
    """Ann into Bob; and Bob into a contact that no run had seen: what is told of Ann names a record that is gone."""
    async with world(MAPPING) as w:
        ann, bob = (w.local.add(email=f"{name}@example.org", name=name) for name in ("ann", "bob"))
        await w.sync()
        keys = w.remote.keys()
        w.remote.remove(keys[ann], merged_into=keys[bob])
        await w.sync()
        contact = w.remote.add(Email="bob@example.org", Name="bob")
        w.remote.remove(keys[bob], merged_into=contact)
        await w.sync()
        assert set(await asked(w, contact)) == {(ann, keys[ann]), (bob, keys[bob])}


async def test_records_that_were_folded_into_each_other_have_one_past() -> None:
    """A merge that was taken back, and made the other way round."""
    async with world(MAPPING) as w:
        ann, bob = (w.local.add(email=f"{name}@example.org", name=name) for name in ("ann", "bob"))
        await w.sync()
        keys = w.remote.keys()
        rows = await w.repository.links_by_local("acme", "Contact", [ann, bob])
        for one, other in ((ann, bob), (bob, ann)):
            survivor = Candidate(id=keys[other], side=Side.REMOTE)
            await acknowledged(w, attrs.evolve(rows[one], status=LinkStatus.UNLINKED, candidates=(survivor,)))
        assert set(await asked(w, keys[ann])) == set(await asked(w, keys[bob])) == {(ann, keys[ann]), (bob, keys[bob])}


async def test_the_survivor_has_also_what_was_written_to_a_folded_record_of_another_pair() -> None:
    """That pair's local record stays, and with it what is kept of its own."""
    async with world(MAPPING) as w:
        ann, bob = (w.local.add(email=f"{name}@example.org", name=name) for name in ("ann", "bob"))
        await w.sync()
        keys = w.remote.keys()
        w.remote.remove(keys[bob], merged_into=keys[ann])
        await w.sync()
        assert await asked(w, keys[ann]) == [(bob, keys[bob]), (ann, keys[ann])]
        assert await asked(w, ann) == [(ann, keys[ann])]
        assert await facade(w).erase_history("acme", "Contact", [keys[ann]]) == 1
        assert await asked(w, bob) == [(bob, keys[bob])]
