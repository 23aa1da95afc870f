"""The conflicts of a `MemoryRepository`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from crmsync.errors import NotFoundError
from crmsync.models.state import Conflict, ConflictStatus
from crmsync.storage import admission
from crmsync.storage.forgetting import journaled_without_values, selects, without_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from crmsync.models.state import Acknowledgement, ConflictSelection, Decision, JournalEntry

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class MemoryConflicts:
    """See `ConflictRepository`. Each method is atomic."""

    def _conflicts_of(self, integration_id: str) -> dict[str, Conflict]:
        """What is stored, by id, to read and to change; nothing for an integration that is not there."""
        raise NotImplementedError

    def _journals_of(self, integration_id: str) -> Iterable[dict[str, JournalEntry]]:
        """The journals of an integration's objects, to read and to change."""
        raise NotImplementedError

    async def list_conflicts(
        self,
        integration_id: str,
        entity_type: str | None = None,
        *,
        statuses: Sequence[ConflictStatus] = (),
        markmail_ids: Sequence[str] | None = None,
        limit: int = 1000,
    ) -> list[Conflict]:
        """See `ConflictRepository`."""
        records = None if markmail_ids is None else set(markmail_ids)
        wanted = [
            conflict
            for conflict in self._conflicts_of(integration_id).values()
            if (entity_type is None or conflict.entity_type == entity_type)
            and (not statuses or conflict.status in statuses)
            and (records is None or conflict.markmail_id in records)
        ]
        wanted.sort(key=lambda conflict: (conflict.created_at or _LONG_AGO, conflict.id))
        return [_own_values(conflict) for conflict in wanted[:limit]]

    async def get_conflict(self, integration_id: str, conflict_id: str) -> Conflict:
        """See `ConflictRepository`."""
        conflicts = self._conflicts_of(integration_id)
        if conflict_id not in conflicts:
            msg = f"there is no conflict {conflict_id!r} in integration {integration_id!r}"
            raise NotFoundError(msg)
        return _own_values(conflicts[conflict_id])

    async def decide_conflicts(
        self, integration_id: str, decisions: Mapping[str, Decision], *, now: datetime
    ) -> list[Conflict]:
        """See `ConflictRepository`."""
        conflicts = self._conflicts_of(integration_id)
        moment = admission.as_utc(now)
        decided = {
            key: attrs.evolve(
                conflicts[key],
                status=ConflictStatus.DECIDED,
                winner=decision.winner,
                given_value=admission.json_copy(decision.value),
                decided_by=decision.by,
                decided_at=moment,
            )
            for key, decision in decisions.items()
            if key in conflicts and conflicts[key].status is not ConflictStatus.RESOLVED
        }
        conflicts.update(decided)
        return [_own_values(conflict) for conflict in decided.values()]

    async def erase_conflict_values(self, integration_id: str, selection: ConflictSelection, *, now: datetime) -> int:
        """See `ConflictRepository`."""
        conflicts = self._conflicts_of(integration_id)
        chosen = [conflict for conflict in conflicts.values() if selects(selection, conflict)]
        chosen.sort(key=lambda conflict: (conflict.resolved_at or _LONG_AGO, conflict.id))
        moment = admission.as_utc(now)
        for conflict in chosen[: selection.limit]:
            conflicts[conflict.id] = without_values(conflict, moment)
        for journal in self._journals_of(integration_id):
            journal.update({key: journaled_without_values(one, selection, moment) for key, one in journal.items()})
        return len(chosen[: selection.limit])


def replace_conflicts(stored: dict[str, Conflict], conflicts: Iterable[Conflict]) -> None:
    """Store a page's conflicts. What was decided meanwhile is not open again."""
    for conflict in conflicts:
        known = stored.get(conflict.id)
        if known is None:
            stored[conflict.id] = conflict
        elif not (known.status is ConflictStatus.DECIDED and conflict.status is ConflictStatus.OPEN):
            stored[conflict.id] = attrs.evolve(conflict, created_at=known.created_at)


def resolve_conflicts(stored: dict[str, Conflict], page: Acknowledgement, run_id: str, now: datetime) -> None:
    """Mark what still waits of those that a page resolves by id."""
    moment = admission.optional_utc(page.resolved_at) or now
    for key in page.resolved_conflicts:
        if key in stored and stored[key].status is not ConflictStatus.RESOLVED:
            stored[key] = attrs.evolve(
                stored[key], status=ConflictStatus.RESOLVED, resolved_at=moment, resolved_run_id=run_id
            )


def _own_values(conflict: Conflict) -> Conflict:
    return attrs.evolve(
        conflict,
        local_value=admission.json_copy(conflict.local_value),
        remote_value=admission.json_copy(conflict.remote_value),
        given_value=admission.json_copy(conflict.given_value),
    )
