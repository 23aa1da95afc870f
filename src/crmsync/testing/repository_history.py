"""The promises on the history of changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

from crmsync.errors import LeaseLostError, StorageError
from crmsync.models.history import FieldChange, RecordChange
from crmsync.models.records import OperationKind, Side
from crmsync.models.state import Acknowledgement
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.repository_subject import (
    ABROAD,
    CONTACT,
    NEIGHBOURS,
    NOW,
    OURS,
    TEXTS,
    TTL,
    RepositorySubject,
    assert_utc,
    integration,
    lease_of,
)


class HistoryPromises(RepositorySubject):
    """What was written is known until its time is over or it is erased."""

    async def test_changes_come_back_newest_first_as_they_were(self, repository: SyncRepository) -> None:
        values = tuple(FieldChange(f"f{n}", text, [text, {"k": None}], "undo") for n, text in enumerate(TEXTS))
        first = change(
            "1", side=Side.LOCAL, kind=OperationKind.DELETE, fields=values, written_at=NOW.astimezone(ABROAD)
        )
        await add(repository, first, change("2"))
        await add(repository, change("3"))
        listed = await repository.list_changes(OURS, CONTACT)
        assert [bare(one) for one in listed] == [change("3"), change("2"), first]
        assert_utc(*(one.written_at for one in listed))
        assert listed[0].id > listed[1].id > listed[2].id

    async def test_changes_of_a_run_and_of_records_are_found_page_by_page(self, repository: SyncRepository) -> None:
        await add(repository, *(change(str(n), run_id=f"run-{n % 2}") for n in range(10)))
        even = await repository.list_changes(OURS, CONTACT, run_id="run-0", limit=3)
        assert [one.markmail_id for one in even] == ["8", "6", "4"]
        rest = await repository.list_changes(OURS, CONTACT, run_id="run-0", before_id=even[-1].id, limit=3)
        assert [one.markmail_id for one in rest] == ["2", "0"]
        both = await repository.list_changes(OURS, CONTACT, record_ids=["3", "c7", "nobody"])
        assert [one.markmail_id for one in both] == ["7", "3"]
        many = await repository.list_changes(OURS, CONTACT, record_ids=[str(n) for n in range(2000)], limit=4)
        assert [one.markmail_id for one in many] == ["9", "8", "7", "6"]

    async def test_changes_written_before_a_moment_are_forgotten(self, repository: SyncRepository) -> None:
        await add(repository, *(change(str(n), written_at=NOW + timedelta(days=n)) for n in range(4)))
        assert await repository.purge_changes(OURS, CONTACT, written_before=NOW + timedelta(days=2)) == 2
        assert [one.markmail_id for one in await repository.list_changes(OURS, CONTACT)] == ["3", "2"]

    async def test_the_changes_of_records_are_erased_by_either_side_s_id(self, repository: SyncRepository) -> None:
        await add(repository, *(change(str(n)) for n in range(4)), change("1"))
        assert await repository.erase_changes(OURS, CONTACT, ["1", "c3", "nobody"]) == 3
        assert [one.markmail_id for one in await repository.list_changes(OURS, CONTACT)] == ["2", "0"]

    async def test_the_changes_of_other_scopes_are_neither_seen_nor_touched(self, repository: SyncRepository) -> None:
        for scope in NEIGHBOURS:
            await add(repository, change("1", scope=scope), scope=scope)
        assert await repository.list_changes(OURS, CONTACT, record_ids=["1"]) == []
        assert await repository.purge_changes(OURS, CONTACT, written_before=NOW + timedelta(days=9)) == 0
        assert await repository.erase_changes(OURS, CONTACT, ["1"]) == 0
        for scope in NEIGHBOURS:
            assert len(await repository.list_changes(*scope)) == 1

    async def test_a_lost_lease_adds_none(self, repository: SyncRepository) -> None:
        lost = await lease_of(repository)
        await repository.acquire_lease(OURS, CONTACT, "worker-2", now=NOW + TTL, ttl=TTL)
        with pytest.raises(LeaseLostError):
            await repository.acknowledge(lost, Acknowledgement(changes=(change("1"),)))
        assert await repository.list_changes(OURS, CONTACT) == []

    async def test_changes_of_another_scope_are_refused(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        with pytest.raises(StorageError):
            await repository.acknowledge(lease, Acknowledgement(changes=(change("1", scope=NEIGHBOURS[0]),)))

    async def test_changes_go_with_their_integration(self, repository: SyncRepository) -> None:
        await add(repository, change("1"))
        await repository.delete_integration(OURS)
        await repository.save_integration(integration())
        assert await repository.list_changes(OURS, CONTACT) == []


async def add(repository: SyncRepository, *added: RecordChange, scope: tuple[str, str] = (OURS, CONTACT)) -> None:
    """Acknowledge changes."""
    await repository.acknowledge(await lease_of(repository, scope), Acknowledgement(changes=added))


def change(
    markmail_id: str, *, run_id: str = "run", scope: tuple[str, str] = (OURS, CONTACT), **values: Any
) -> RecordChange:
    """A change."""
    made = RecordChange(
        *scope, run_id, Side.REMOTE, OperationKind.UPDATE, markmail_id, f"c{markmail_id}", written_at=NOW
    )
    return attrs.evolve(made, **values)


def bare(one: RecordChange) -> RecordChange:
    """A change without the number that storage gave it."""
    return attrs.evolve(one, id=0)
