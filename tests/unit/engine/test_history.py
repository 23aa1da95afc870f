"""What runs wrote is kept as long as the mapping says."""

from __future__ import annotations

import pytest

from crmsync.models.history import untagged
from crmsync.models.records import OperationKind, Side
from crmsync.models.state import Acknowledgement, Lease, LinkStatus
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.world import world
from tests.unit.engine.histories import MAPPING, changes, pair
from tests.unit.engine.people import NAME, OPT_OUT, mapped

pytestmark = pytest.mark.anyio


async def test_what_a_run_wrote_is_kept_field_by_field_with_its_cause() -> None:
    async with world(MAPPING) as w:
        ours, theirs = await pair(w)
        w.local.edit(ours, name="Ada L.", phone="2")
        w.remote.edit(theirs, Name="Ada King")
        report = await w.sync()
        by_side = {one.side: one for one in await changes(w, report.run_id)}
        assert {(f.field, f.before, f.after, f.cause) for f in by_side[Side.LOCAL].fields} == {
            ("name", "Ada L.", "Ada King", "conflict:remote_wins")
        }
        assert {(f.field, f.before, f.after, f.cause) for f in by_side[Side.REMOTE].fields} == {
            ("Phone", "1", "2", "synced")
        }
        created = (await changes(w, record_id=theirs))[-1]
        assert (created.kind, created.side, created.markmail_id) == (OperationKind.CREATE, Side.REMOTE, ours)
        assert {f.field: untagged(f.after) for f in created.fields}["Tags__c"] == ("a",)
        assert {f.cause for f in created.fields} == {"created"}


async def test_what_is_written_to_the_record_that_another_one_is_created_for_is_no_creation() -> None:
    """A contact is opted out, as the lead was that became it, while its local record is made."""
    async with world(mapped(NAME, OPT_OUT, history_days=30)) as w:
        lead = w.remote.add(Email="ada@example.org", Name="Ada", OptedOut=True)
        contact = w.remote.add(Email="ada@example.org", Name="Ada", OptedOut=False)
        w.remote.remove(lead, merged_into=contact)
        report = await w.sync()
        told = {one.side: {field.field: field.cause for field in one.fields} for one in await changes(w, report.run_id)}
        assert told[Side.REMOTE]["OptedOut"] == "first_meeting"
        assert set(told[Side.LOCAL].values()) == {"created"}


async def test_without_days_to_keep_it_nothing_is_kept() -> None:
    async with world(MAPPING.model_copy(update={"history_days": 0})) as w:
        await pair(w)
        assert await changes(w) == []


async def test_a_history_is_forgotten_when_its_days_are_over() -> None:
    async with world(MAPPING) as w:
        ours, _ = await pair(w)
        w.clock.tick(29 * 86400)
        w.local.edit(ours, phone="2")
        await w.sync()
        assert len(await changes(w)) == 2
        w.clock.tick(2 * 86400)
        await w.sync()
        (left,) = await changes(w)
        assert left.kind is OperationKind.UPDATE


class Listening(MemoryRepository):
    """Remembers what was acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Acknowledgement] = []

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(lease, acknowledgement)
        self.heard.append(acknowledgement)


async def test_what_was_deleted_is_noted_in_the_transaction_of_its_tombstone() -> None:
    repository = Listening()
    async with world(MAPPING, repository=repository) as w:
        ours, theirs = await pair(w)
        w.local.remove(ours)
        await w.sync()
    (noting,) = [one for one in repository.heard if any(c.kind is OperationKind.DELETE for c in one.changes)]
    (change,) = noting.changes
    assert [(link.markmail_id, link.status) for link in noting.links] == [(ours, LinkStatus.DELETED)]
    assert change.crm_id == theirs
    assert {one.field: (one.before, one.cause) for one in change.fields}["Name"] == ("Ada", "deleted")
