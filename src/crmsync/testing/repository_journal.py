"""The promises of a repository about the journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import attrs

from crmsync.models.history import FieldChange, RecordChange
from crmsync.models.records import OperationKind, Side
from crmsync.models.state import (
    Acknowledgement,
    ConflictStatus,
    JournalEntry,
    JournalPurpose,
)
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.repository_subject import (
    CONTACT,
    LEAD,
    NEIGHBOURS,
    NOW,
    OURS,
    RepositorySubject,
    assert_utc,
    conflict,
    entry,
    lease_of,
)


class JournalPromises(RepositorySubject):
    """What was about to be sent is known until it is acknowledged."""

    async def test_entries_are_listed_as_they_were_added_in_order(self, repository: SyncRepository) -> None:
        full = entry(
            "z",
            target=Side.LOCAL,
            kind=OperationKind.UPDATE,
            crm_id="c1",
            sent={"first'name": bytes(range(8)), "é": b"\xff" * 8},
            before={"é": bytes(8)},
            started_at=NOW,
            conflicts=(
                conflict(1),
                conflict(
                    2,
                    local_value=["O'Brien", 0, None],
                    remote_value=False,
                    winner=Side.REMOTE,
                    status=ConflictStatus.RESOLVED,
                    resolved_at=NOW,
                ),
            ),
            purpose=JournalPurpose.UNDO,
            change=attrs.evolve(
                to_be_written("z", "c1", (FieldChange("é", ["O'Brien", 0, None], {"k": False}, "undo"),)),
                side=Side.LOCAL,
            ),
        )
        lease = await lease_of(repository)
        await repository.add_journal(lease, [full, entry("a")])
        await repository.add_journal(lease, [entry("m", kind=OperationKind.DELETE)])
        await repository.add_journal(lease, [])
        listed = await repository.list_journal(OURS, CONTACT)
        assert listed == [full, entry("a"), entry("m", kind=OperationKind.DELETE)]
        assert_utc(listed[0].started_at)
        assert isinstance(listed[0].sent["é"], bytes)

    async def test_an_entry_added_twice_is_listed_once(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        await repository.add_journal(lease, [entry("1"), entry("2")])
        await repository.add_journal(lease, [entry("1", crm_id="c1")])
        assert await repository.list_journal(OURS, CONTACT) == [entry("1", crm_id="c1"), entry("2")]

    async def test_acknowledged_entries_are_gone(self, repository: SyncRepository) -> None:
        """An op_id that is not there does not matter."""
        lease = await lease_of(repository)
        await repository.add_journal(lease, [entry(str(number)) for number in range(1_500)])
        done = (*(str(number) for number in range(1_499)), "unknown")
        await repository.acknowledge(lease, Acknowledgement(done=done))
        assert await repository.list_journal(OURS, CONTACT) == [entry("1499")]

    async def test_what_the_history_is_to_say_is_forgotten_with_the_history(self, repository: SyncRepository) -> None:
        """Else the next run would remember what was erased, or what its days are over of."""
        lease = await lease_of(repository)
        old = attrs.evolve(noted("4"), started_at=NOW - timedelta(days=1))
        there = attrs.evolve(noted("1", (OURS, LEAD)), started_at=NOW - timedelta(days=1))
        await repository.add_journal(lease, [noted("1"), noted("2"), noted("3"), old])
        await repository.add_journal(await lease_of(repository, (OURS, LEAD)), [there])
        assert await repository.erase_changes(OURS, CONTACT, ["m-1", "c-3", "nobody"]) == 0
        assert await repository.purge_changes(OURS, CONTACT, written_before=NOW) == 0
        left = await repository.list_journal(OURS, CONTACT)
        assert [one.change for one in left] == [None, noted("2").change, None, None]
        assert [attrs.evolve(one, change=None) for one in left] == [
            attrs.evolve(one, change=None) for one in (noted("1"), noted("2"), noted("3"), old)
        ]
        assert await repository.list_journal(OURS, LEAD) == [there]

    async def test_the_journals_of_other_scopes_are_neither_seen_nor_touched(self, repository: SyncRepository) -> None:
        for scope in NEIGHBOURS:
            await repository.add_journal(await lease_of(repository, scope), [entry("1", scope)])
        lease = await lease_of(repository)
        assert await repository.list_journal(OURS, CONTACT) == []
        await repository.add_journal(lease, [entry("1")])
        await repository.acknowledge(lease, Acknowledgement(done=("1",)))
        for scope in NEIGHBOURS:
            assert await repository.list_journal(*scope) == [entry("1", scope)]


def to_be_written(
    op_id: str, crm_id: str, fields: Sequence[FieldChange] = (), scope: tuple[str, str] = (OURS, CONTACT)
) -> RecordChange:
    """What the history is to say of the write of an `entry`."""
    return RecordChange(
        *scope, "run-1", Side.REMOTE, OperationKind.UPDATE, f"m-{op_id}", crm_id, tuple(fields), written_at=NOW
    )


def noted(op_id: str, scope: tuple[str, str] = (OURS, CONTACT)) -> JournalEntry:
    """An entry that the history waits for."""
    crm_id = f"c-{op_id}"
    change = to_be_written(op_id, crm_id, (FieldChange("f", "before", "after"),), scope)
    return entry(op_id, scope, kind=OperationKind.UPDATE, crm_id=crm_id, started_at=NOW, change=change)
