"""The history of changes in memory."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from datetime import datetime

import attrs

from crmsync.models.history import RecordChange
from crmsync.models.state import JournalEntry


@attrs.define(slots=True)
class ChangeList:
    """The changes of one object, oldest first."""

    _changes: list[RecordChange] = attrs.field(factory=list)
    _given: int = 0

    def add(self, added: Sequence[RecordChange]) -> None:
        """Number and keep them."""
        for change in added:
            self._given += 1
            self._changes.append(attrs.evolve(change, id=self._given))

    def newest(self, wanted: Callable[[RecordChange], bool], limit: int) -> list[RecordChange]:
        """Up to so many of those wanted, newest first."""
        return [change for change in reversed(self._changes) if wanted(change)][:limit]

    def drop(self, unwanted: Callable[[RecordChange], bool]) -> int:
        """Forget; how many there were."""
        kept = [change for change in self._changes if not unwanted(change)]
        dropped, self._changes = len(self._changes) - len(kept), kept
        return dropped


class MemoryChangeHistory(abc.ABC):
    """The part of `MemoryRepository` that is a `ChangeHistory`."""

    @abc.abstractmethod
    def _change_list(self, integration_id: str, entity_type: str) -> ChangeList:
        """The changes of one object; an empty list of its own where nothing is known."""

    @abc.abstractmethod
    def _journal_of(self, integration_id: str, entity_type: str) -> dict[str, JournalEntry]:
        """The journal of one object, to read and to change; an empty one of its own where nothing is known."""

    async def list_changes(
        self,
        integration_id: str,
        entity_type: str,
        *,
        run_id: str | None = None,
        record_ids: Sequence[str] = (),
        before_id: int | None = None,
        limit: int = 1000,
    ) -> list[RecordChange]:
        """See `ChangeHistory`."""
        ours = _of_records(record_ids)

        def wanted(change: RecordChange) -> bool:
            older = before_id is None or change.id < before_id
            return older and (run_id is None or change.run_id == run_id) and (not record_ids or ours(change))

        return self._change_list(integration_id, entity_type).newest(wanted, limit)

    async def purge_changes(self, integration_id: str, entity_type: str, *, written_before: datetime) -> int:
        """See `ChangeHistory`."""
        return self._forget(
            integration_id,
            entity_type,
            lambda change: change.written_at is not None and change.written_at < written_before,
            lambda entry: entry.started_at is not None and entry.started_at < written_before,
        )

    async def erase_changes(self, integration_id: str, entity_type: str, record_ids: Sequence[str]) -> int:
        """See `ChangeHistory`."""
        ours = _of_records(record_ids)
        return self._forget(integration_id, entity_type, ours, ours)

    def _forget(
        self,
        integration_id: str,
        entity_type: str,
        kept: Callable[[RecordChange], bool],
        under_way: Callable[[JournalEntry], bool],
    ) -> int:
        journal = self._journal_of(integration_id, entity_type)
        journal.update({key: attrs.evolve(one, change=None) for key, one in journal.items() if under_way(one)})
        return self._change_list(integration_id, entity_type).drop(kept)


def _of_records(ids: Sequence[str]) -> Callable[[RecordChange | JournalEntry], bool]:
    """Whether a change, done or under way, is one of these records', named by either side's id."""
    wanted = set(ids)
    return lambda change: change.markmail_id in wanted or change.crm_id in wanted
