"""What a crash between a write and its acknowledgement must not lose."""

from __future__ import annotations

import pytest

from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.records import Side
from crmsync.models.state import ConflictStatus
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio


def mapping(winner: Side) -> ObjectMapping:
    policy = ConflictPolicy.LOCAL_WINS if winner is Side.LOCAL else ConflictPolicy.REMOTE_WINS
    return ObjectMapping(
        fields=(two_way("email", "Email", field_type="email"), two_way("name", "Name", policy=policy)),
    )


async def disagree(w: World, *, linked: bool) -> None:
    """Both sides hold the person, with different names that nobody has seen on the other side."""
    ann = w.local.add(email="ann@example.org", name="Ann")
    if linked:
        await w.sync()
        (theirs,) = w.remote.snapshot()
        w.remote.edit(theirs, Name="Anne")
        w.local.edit(ann, name="Anna")
    else:
        w.remote.add(Email="ann@example.org", Name="Anne")
        w.local.edit(ann, name="Anna")


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "first-meeting"])
@pytest.mark.parametrize("winner", Side)
@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
async def test_a_value_that_a_crashed_run_overwrote_has_one_conflict_record(
    winner: Side, when: When, *, linked: bool
) -> None:
    """The record was only stored with the acknowledgement: a run that died before it left no trace of the loser."""
    async with world(mapping(winner)) as w:
        await disagree(w, linked=linked)
        loser = winner.other
        store = w.local if loser is Side.LOCAL else w.remote
        w.through[loser] = FaultyStore(store, [Fault(Crash(), method="write", when=when)])
        with pytest.raises(Crash):
            await w.sync()
        assert await w.repository.list_conflicts("acme") == []
        w.through.clear()
        w.clock.tick(120)
        await w.sync()
        (record,) = await w.repository.list_conflicts("acme")
        (ours,), (theirs,) = w.local.snapshot().values(), w.remote.snapshot().values()
        assert (await w.sync()).written == 0
        assert await w.repository.list_conflicts("acme") == [record]
    assert (record.local_value, record.remote_value) == ("Anna", "Anne")
    assert (record.winner, record.status, record.policy) == (winner, ConflictStatus.RESOLVED, f"{winner}_wins")
    assert ours["name"] == theirs["Name"] == ("Anna" if winner is Side.LOCAL else "Anne")


@pytest.mark.parametrize("winner", Side)
async def test_what_a_crashed_run_overwrote_is_told_though_the_contact_was_converted_meanwhile(winner: Side) -> None:
    """No pair is left to be looked at: the local record meets the new contact, and has the same value."""
    async with world(mapping(winner)) as w:
        await disagree(w, linked=False)
        loser = winner.other
        store = w.local if loser is Side.LOCAL else w.remote
        w.through[loser] = FaultyStore(store, [Fault(Crash(), method="write", when=When.AFTER)])
        with pytest.raises(Crash):
            await w.sync()
        w.through.clear()
        ((lead, held),) = w.remote.snapshot().items()
        w.remote.remove(lead, merged_into=w.remote.add(Email=held["Email"], Name=held["Name"]))
        w.clock.tick(120)
        await w.sync()
        told = [(one.local_value, one.remote_value, one.winner) for one in await w.repository.list_conflicts("acme")]
        assert told == ([("Anna", "Anne", winner)] if loser is Side.LOCAL else [])
