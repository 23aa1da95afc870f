"""After a crash: which of the writes that were under way took effect."""

from __future__ import annotations

import pytest

from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.records import Side
from crmsync.models.schema import FieldType
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import world

pytestmark = pytest.mark.anyio

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
