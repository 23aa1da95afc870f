"""What to forget of things that tell of many records, of which some are a person's who is erased."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from crmsync.models.erasure import PersonIds
from crmsync.models.state import Conflict, ConflictSelection, ConflictStatus, JournalEntry, Link
from crmsync.models.stops import StoppedRecord

_NAMED_BY: Final = ("markmail_id", "crm_id")
_CANDIDATES: Final = "candidates"


def all_ids(ids: PersonIds) -> frozenset[str]:
    """The ids of both sides."""
    return ids.markmail_ids | ids.crm_ids


def without_candidates(link: Link, ids: Collection[str]) -> Link:
    """A link whose candidates are not among these."""
    return attrs.evolve(link, candidates=tuple(each for each in link.candidates if each.id not in ids))


def without_ids(candidates: Iterable[Any], ids: Collection[str]) -> list[Any]:
    """Candidates as they are stored, now or by older versions, but for these."""
    return [each for each in candidates if (each.get("id") if isinstance(each, dict) else each) not in ids]


def without_details(details: Mapping[str, Any], ids: Collection[str]) -> dict[str, Any]:
    """A run log's details, less what they say of these records."""
    return {name: _without(value, ids) for name, value in details.items()}


def names_any(record: StoppedRecord, ids: Collection[str]) -> bool:
    """Whether a stopped plan's record is one of these."""
    return record.markmail_id in ids or record.crm_id in ids


def selects(selection: ConflictSelection, conflict: Conflict) -> bool:
    """Whether a conflict's values are to be erased, the selection's limit aside. Those that are erased are not."""
    until = selection.settled_until
    settled = conflict.status is ConflictStatus.RESOLVED
    return (
        conflict.erased_at is None
        and selection.entity_type in (None, conflict.entity_type)
        and (selection.ids is None or conflict.id in selection.ids)
        and (selection.markmail_ids is None or conflict.markmail_id in selection.markmail_ids)
        and (until is None or (settled and (conflict.resolved_at is None or conflict.resolved_at <= until)))
    )


def without_values(conflict: Conflict, now: datetime) -> Conflict:
    """A conflict of which nobody knows the values any more. A value that was to be written takes its decision along."""
    if conflict.status is ConflictStatus.DECIDED and conflict.winner is None:
        conflict = attrs.evolve(conflict, status=ConflictStatus.OPEN, decided_by=None, decided_at=None)
    return attrs.evolve(conflict, local_value=None, remote_value=None, given_value=None, erased_at=now)


def journaled_without_values(entry: JournalEntry, selection: ConflictSelection, now: datetime) -> JournalEntry:
    """A journal entry whose selected conflicts hold no values."""
    conflicts = (without_values(one, now) if selects(selection, one) else one for one in entry.conflicts)
    return attrs.evolve(entry, conflicts=tuple(conflicts))


def _without(value: Any, ids: Collection[str]) -> Any:
    if isinstance(value, list):
        return [_without(each, ids) for each in value if not _is_about(each, ids)]
    if isinstance(value, dict):
        kept = {name: _without(each, ids) for name, each in value.items()}
        if isinstance(candidates := kept.get(_CANDIDATES), list):
            kept[_CANDIDATES] = without_ids(candidates, ids)
        return kept
    return value


def _is_about(value: Any, ids: Collection[str]) -> bool:
    return isinstance(value, dict) and any(value.get(name) in ids for name in _NAMED_BY)
