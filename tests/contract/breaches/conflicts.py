"""Repositories that break a promise about conflicts, the journal or logs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from crmsync.models.records import Side
from crmsync.models.state import (
    Acknowledgement,
    Conflict,
    ConflictSelection,
    ConflictStatus,
    Decision,
    JournalEntry,
    Lease,
    SyncLog,
)
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract
from tests.contract.breaches.promise import Breaches


class ListsTheJournalBackwards(MemoryRepository):
    async def list_journal(self, integration_id: str, entity_type: str) -> list[JournalEntry]:
        return (await super().list_journal(integration_id, entity_type))[::-1]


class NeverClearsTheJournal(MemoryRepository):
    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(lease, attrs.evolve(acknowledgement, done=()))


class DecidesResolvedConflicts(MemoryRepository):
    async def decide_conflicts(
        self, integration_id: str, decisions: Mapping[str, Decision], *, now: datetime
    ) -> list[Conflict]:
        known = await self.list_conflicts(integration_id)
        decided = [one for one in known if one.id in decisions]
        self._conflicts_of(integration_id).update(
            {one.id: attrs.evolve(one, status=ConflictStatus.DECIDED, winner=Side.LOCAL) for one in decided}
        )
        return decided


class OpensWhatWasDecided(MemoryRepository):
    """A page that began before the decision takes it back."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        known = self._conflicts_of(lease.integration_id)
        for conflict in acknowledgement.conflicts:
            known.pop(conflict.id, None)
        await super().acknowledge(lease, acknowledgement)


class ErasesTheRows(MemoryRepository):
    async def erase_conflict_values(self, integration_id: str, selection: ConflictSelection, *, now: datetime) -> int:
        count = await super().erase_conflict_values(integration_id, selection, now=now)
        known = self._conflicts_of(integration_id)
        for conflict in await self.list_conflicts(integration_id):
            if conflict.erased_at:
                del known[conflict.id]
        return count


class WritesBlanksForErasedValues(MemoryRepository):
    """Keeps a decision whose value is gone."""

    async def erase_conflict_values(self, integration_id: str, selection: ConflictSelection, *, now: datetime) -> int:
        decided = await self.list_conflicts(integration_id, statuses=[ConflictStatus.DECIDED])
        count = await super().erase_conflict_values(integration_id, selection, now=now)
        for conflict in decided:
            self._conflicts_of(integration_id)[conflict.id] = attrs.evolve(conflict, given_value=None, erased_at=now)
        return count


class ErasesTheNewestFirst(MemoryRepository):
    async def erase_conflict_values(self, integration_id: str, selection: ConflictSelection, *, now: datetime) -> int:
        if selection.limit is None or selection.settled_until is None:
            return await super().erase_conflict_values(integration_id, selection, now=now)
        settled = [one for one in await self.list_conflicts(integration_id, selection.entity_type) if one.resolved_at]
        newest = sorted(settled, key=lambda one: one.resolved_at or now, reverse=True)[: selection.limit]
        narrowed = attrs.evolve(selection, ids=tuple(one.id for one in newest))
        return await super().erase_conflict_values(integration_id, narrowed, now=now)


class ForgetsResolved(MemoryRepository):
    """An overwritten value would be just gone."""

    async def list_conflicts(self, *args: Any, **options: Any) -> list[Conflict]:
        found = await super().list_conflicts(*args, **options)
        return [conflict for conflict in found if conflict.status is not ConflictStatus.RESOLVED]


class ResolvesByItsOwnClock(MemoryRepository):
    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(lease, attrs.evolve(acknowledgement, resolved_at=None))


class ListsLogsOldestFirst(MemoryRepository):
    async def list_logs(self, *args: Any, **options: Any) -> list[SyncLog]:
        return (await super().list_logs(*args, **options))[::-1]


BREACHES: Breaches = [
    (ListsTheJournalBackwards, RepositoryContract.test_entries_are_listed_as_they_were_added_in_order),
    (NeverClearsTheJournal, RepositoryContract.test_acknowledged_entries_are_gone),
    (DecidesResolvedConflicts, RepositoryContract.test_there_is_nothing_to_decide_on_a_resolved_or_unknown_conflict),
    (OpensWhatWasDecided, RepositoryContract.test_what_was_decided_while_a_page_was_worked_on_stays_decided),
    (ErasesTheRows, RepositoryContract.test_values_are_erased_and_the_rows_stay),
    (
        WritesBlanksForErasedValues,
        RepositoryContract.test_an_erased_value_that_was_to_be_written_takes_its_decision_along,
    ),
    (ErasesTheNewestFirst, RepositoryContract.test_what_is_erased_is_chosen_by_object_record_age_and_number),
    (ForgetsResolved, RepositoryContract.test_a_page_resolves_conflicts),
    (ResolvesByItsOwnClock, RepositoryContract.test_a_page_resolves_conflicts),
    (ListsLogsOldestFirst, RepositoryContract.test_logs_are_listed_newest_first),
]
