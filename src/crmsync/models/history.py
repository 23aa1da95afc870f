"""What runs wrote, field by field, for the timeline of a record and for undoing a run. It holds record values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import attrs

from crmsync.models.records import OperationKind, Side

_TAG: Final = "$type"
MASK: Final = "(masked)"
"""What stands for a value that is kept nowhere, because its field mapping says that it is sensitive."""

_MASKED: Final = "masked"


@attrs.frozen(slots=True)
class FieldChange:
    """One field that a write changed, named as the written side names it.

    ``before`` and ``after`` are JSON-able (`tagged`, or `masked`); None also where there was no record. ``cause`` is
    why it was written: ``created``, ``synced`` (the other side changed), ``first_meeting``, ``conflict:POLICY``,
    ``deleted``, ``archived`` or ``undo``.
    """

    field: str
    before: Any = attrs.field(default=None, repr=False)
    after: Any = attrs.field(default=None, repr=False)
    cause: str = "synced"


@attrs.frozen(slots=True)
class RecordChange:
    """A row of ``crm_sync_changes``: one write of a run that a side accepted. ``id`` grows; storage gives it out."""

    integration_id: str
    entity_type: str
    run_id: str
    side: Side
    kind: OperationKind
    markmail_id: str
    crm_id: str | None
    fields: tuple[FieldChange, ...] = attrs.field(default=(), repr=False)
    written_at: dt.datetime | None = None
    id: int = 0


def masked(digest: str) -> Any:
    """What is kept instead of a sensitive value: a keyed digest, by which it can be told whether it is still there."""
    return {_TAG: _MASKED, "value": digest}


def is_masked(held: Any) -> bool:
    """Whether a value was there and is not kept."""
    return isinstance(held, dict) and held.get(_TAG) == _MASKED


def tagged(value: object) -> Any:
    """A record's value as JSON that `untagged` reads back to the same value, type and all."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dt.datetime():
            return {_TAG: "datetime", "value": value.isoformat()}
        case dt.date() | dt.time():
            return {_TAG: "date" if isinstance(value, dt.date) else "time", "value": value.isoformat()}
        case dt.timedelta():
            return {_TAG: "microseconds", "value": value // dt.timedelta(microseconds=1)}
        case Decimal():
            return {_TAG: "decimal", "value": str(value)}
        case bytes():
            return {_TAG: "bytes", "value": value.hex()}
        case tuple() | list():
            return {_TAG: "list", "value": [tagged(item) for item in value]}
        case set() | frozenset():
            return {_TAG: "set", "value": sorted((tagged(item) for item in value), key=repr)}
        case Mapping():
            return {_TAG: "map", "value": {str(name): tagged(item) for name, item in value.items()}}
    return str(value)


def untagged(held: Any) -> Any:
    """The value that `tagged` made this of. Lists come back as tuples, sets frozen; what is not kept as `MASK`."""
    if not isinstance(held, dict):
        return held
    kind, value = held[_TAG], held["value"]
    match kind:
        case "datetime":
            return dt.datetime.fromisoformat(value)
        case "date":
            return dt.date.fromisoformat(value)
        case "time":
            return dt.time.fromisoformat(value)
        case "microseconds":
            return dt.timedelta(microseconds=value)
        case "masked":
            return MASK
        case "decimal":
            return Decimal(value)
        case "bytes":
            return bytes.fromhex(value)
        case "list":
            return tuple(map(untagged, value))
        case "set":
            return frozenset(map(untagged, value))
    return {name: untagged(item) for name, item in value.items()}
