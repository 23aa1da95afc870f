"""The erasure of people, in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import attrs

from crmsync.models.erasure import Kept, PersonIds
from crmsync.storage.forgetting import all_ids, names_any, without_candidates, without_details

if TYPE_CHECKING:
    from crmsync.models.state import Conflict, JournalEntry, Lease, Link, SyncLog
    from crmsync.storage.memory_changes import ChangeList
    from crmsync.storage.memory_stops import StopState


class ObjectRows(Protocol):
    """The rows of one object."""

    links: dict[str, Link]
    by_remote: dict[str, str]
    journal: dict[str, JournalEntry]
    changes: ChangeList


class IntegrationRows(Protocol):
    """The rows of an integration that no object owns."""

    conflicts: dict[str, Conflict]
    logs: dict[str, SyncLog]
    stops: dict[str, StopState]
    erased: dict[bytes, datetime]


class MemoryErasure:
    """The `ErasureRepository` part of a repository in memory."""

    def _rows(self, lease: Lease) -> tuple[IntegrationRows, ObjectRows]:
        """What belongs to an object and its integration.

        :raises LeaseLostError: another process holds the object now.
        """
        raise NotImplementedError

    def _erased(self, integration_id: str) -> dict[bytes, datetime]:
        """An integration's marks; none of an unknown one."""
        raise NotImplementedError

    async def erase_person(
        self, lease: Lease, ids: PersonIds, marks: Collection[bytes], *, now: datetime
    ) -> Mapping[Kept, int]:
        """See `ErasureRepository`."""
        rows, ours = self._rows(lease)
        entity_type, both = lease.entity_type, all_ids(ids)
        counts = {
            Kept.LINKS: _drop_links(ours, ids),
            Kept.CONFLICTS: _drop(
                rows.conflicts, [c for c in rows.conflicts.values() if c.entity_type == entity_type and _theirs(c, ids)]
            ),
            Kept.CHANGES: ours.changes.drop(lambda change: _theirs(change, ids)),
            Kept.JOURNAL: _drop_journal(ours, ids),
            Kept.LOGS: _clean_logs(rows.logs, entity_type, both),
            Kept.STOPS: _drop_stop(rows.stops, entity_type, both),
        }
        for mark in marks:
            rows.erased.setdefault(mark, now)
        return {kind: count for kind, count in counts.items() if count}

    async def erased_among(self, integration_id: str, marks: Collection[bytes]) -> frozenset[bytes]:
        """See `ErasureRepository`."""
        return frozenset(self._erased(integration_id).keys() & set(marks))

    async def count_erased(self, integration_id: str) -> int:
        """See `ErasureRepository`."""
        return len(self._erased(integration_id))

    async def forget_erased(self, integration_id: str, marks: Collection[bytes]) -> int:
        """See `ErasureRepository`."""
        kept = self._erased(integration_id)
        return sum(kept.pop(mark, None) is not None for mark in set(marks))


class _Rowed(Protocol):
    @property
    def markmail_id(self) -> str: ...

    @property
    def crm_id(self) -> str | None: ...


def _theirs(row: _Rowed, ids: PersonIds) -> bool:
    return row.markmail_id in ids.markmail_ids or row.crm_id in ids.crm_ids


def _drop(rows: dict[str, Conflict], unwanted: Iterable[Conflict]) -> int:
    return sum(rows.pop(one.id, None) is not None for one in unwanted)


def _drop_links(ours: ObjectRows, ids: PersonIds) -> int:
    gone = [link for link in ours.links.values() if _theirs(link, ids)]
    for link in gone:
        del ours.links[link.markmail_id]
        if link.crm_id is not None:
            ours.by_remote.pop(link.crm_id, None)
    both = all_ids(ids)
    for key, link in ours.links.items():
        ours.links[key] = without_candidates(link, both)
    return len(gone)


def _drop_journal(ours: ObjectRows, ids: PersonIds) -> int:
    gone = [entry.op_id for entry in ours.journal.values() if _theirs(entry, ids)]
    for op_id in gone:
        del ours.journal[op_id]
    return len(gone)


def _clean_logs(logs: dict[str, SyncLog], entity_type: str, ids: Collection[str]) -> int:
    cleaned = 0
    for key, log in logs.items():
        details = without_details(log.error_details, ids)
        if log.entity_type == entity_type and details != log.error_details:
            logs[key] = attrs.evolve(log, error_details=details)
            cleaned += 1
    return cleaned


def _drop_stop(stops: dict[str, StopState], entity_type: str, ids: Collection[str]) -> int:
    state = stops.get(entity_type)
    if state is None or not any(names_any(record, ids) for record in state.records):
        return 0
    del stops[entity_type]
    return 1
