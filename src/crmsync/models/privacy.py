"""What is kept of people, where, and for how long."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
from pydantic import AwareDatetime

from crmsync.models.records import Side
from crmsync.models.schema import PublicModel


@attrs.frozen(slots=True)
class FieldPlaces:
    """Where the values of one mapped field can be, beside the two sides.

    Shadows hold keyed digests of it, and no value. ``conflict_days`` is how long both values of a settled conflict are
    kept, 0: not at all (while one waits, its values are there); ``history_days`` how long what runs wrote.
    ``sensitive``: its values are in neither.
    """

    entity_type: str
    markmail_field: str
    crm_field: str
    conflict_days: int
    history_days: int
    sensitive: bool


class PersonRecord(PublicModel):
    """One record of a person on one side, with the fields that are mapped."""

    side: Side
    id: str
    fields: dict[str, Any]


class ObjectData(PublicModel):
    """Everything held about a person in one object: on the sides, and in the bookkeeping, each row as a JSON object."""

    entity_type: str
    records: tuple[PersonRecord, ...] = ()
    links: tuple[dict[str, Any], ...] = ()
    conflicts: tuple[dict[str, Any], ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    problems: tuple[dict[str, Any], ...] = ()


class PersonalData(PublicModel):
    """Everything held about a person by one integration. JSON-able, for the person."""

    integration_id: str
    made_at: AwareDatetime
    objects: tuple[ObjectData, ...]


class ErasedRecord(PublicModel):
    """One record that was to be deleted on its side."""

    side: Side
    id: str
    deleted: bool
    code: str = ""


class ErasedObject(PublicModel):
    """What was erased of one object. ``rows`` counts the bookkeeping's, by kind."""

    entity_type: str
    rows: dict[str, int]
    records: tuple[ErasedRecord, ...]
    erased_at: datetime


class ErasureReport(PublicModel):
    """One erasure of a person, as evidence: it names records, and nothing that was in them.

    ``marks`` are how many keyed digests are kept to know the person again. ``complete`` False: a side did not delete a
    record; do it there, or erase again by the ids named. ``signature`` is an HMAC-SHA-256 over all the rest, with the
    audit key ``key_id``: `CRMSync.verify_erasure` tells whether a report is one of ours and unchanged.
    """

    erasure_id: str
    integration_id: str
    requested_by: str = ""
    reason: str = ""
    sides: tuple[Side, ...]
    objects: tuple[ErasedObject, ...]
    marks: int
    complete: bool
    key_id: int = 0
    signature: str = ""

    @property
    def signed(self) -> dict[str, Any]:
        """What the signature is over."""
        return self.model_dump(mode="json", exclude={"signature"})
