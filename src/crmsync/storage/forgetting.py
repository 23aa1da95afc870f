"""What to forget of things that tell of many records, of which some are a person's who is erased."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs

from crmsync.models.erasure import PersonIds
from crmsync.models.state import Link
from crmsync.models.stops import StoppedRecord

_NAMED_BY: Final = ("markmail_id", "crm_id")
_CANDIDATES: Final = "candidates"


def all_ids(ids: PersonIds) -> frozenset[str]:
    """The ids of both sides."""
    return ids.markmail_ids | ids.crm_ids


def without_candidates(link: Link, ids: Collection[str]) -> Link:
    """A link whose candidates are not among these."""
    return attrs.evolve(link, candidates=tuple(each for each in link.candidates if each not in ids))


def without_details(details: Mapping[str, Any], ids: Collection[str]) -> dict[str, Any]:
    """A run log's details, less what they say of these records."""
    return {name: _without(value, ids) for name, value in details.items()}


def names_any(record: StoppedRecord, ids: Collection[str]) -> bool:
    """Whether a stopped plan's record is one of these."""
    return record.markmail_id in ids or record.crm_id in ids


def _without(value: Any, ids: Collection[str]) -> Any:
    if isinstance(value, list):
        return [_without(each, ids) for each in value if not _is_about(each, ids)]
    if isinstance(value, dict):
        kept = {name: _without(each, ids) for name, each in value.items()}
        if isinstance(candidates := kept.get(_CANDIDATES), list):
            kept[_CANDIDATES] = [each for each in candidates if each not in ids]
        return kept
    return value


def _is_about(value: Any, ids: Collection[str]) -> bool:
    return isinstance(value, dict) and any(value.get(name) in ids for name in _NAMED_BY)
