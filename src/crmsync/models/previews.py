"""Single records through a mapping, and two mappings compared on records. They hold record values."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from crmsync.models.plans import MappingChange
from crmsync.models.records import Side


class FieldFate(enum.StrEnum):
    """What would become of a field if its source alone had changed."""

    WRITTEN = "written"
    SAME = "same"
    """The target holds it already, as both compare it."""
    KEPT = "kept"
    """The target keeps what it holds: by ``on_blank``, or by the direction's enforcement."""
    REJECTED = "rejected"
    OFF = "off"
    """The mapping writes nothing in this direction."""
    NOT_SHOWN = "not_shown"
    """The source does not show the field."""


@attrs.frozen(slots=True)
class FieldPreview:
    """One field on its way: ``value`` of ``source`` becomes ``converted`` of ``target``, which holds ``held`` now.

    ``why`` says why it is not simply written, ``losses`` what the value loses, each in words without a value. Values of
    sensitive fields are `crmsync.models.history.MASK`. ``converted`` is None where there is no nearest value.
    """

    source: str
    target: str
    fate: FieldFate
    value: Any = attrs.field(default=None, repr=False)
    converted: Any = attrs.field(default=None, repr=False)
    held: Any = attrs.field(default=None, repr=False)
    why: str = ""
    losses: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class RecordPreview:
    """A record through a mapping, both ways. An id is None where that side has no record.

    ``round_trip``: one side has none, so the way back starts from what the other one's record becomes. ``rejected``: a
    loss in the first direction rejects the record as a whole.
    """

    object_name: str
    markmail_id: str | None
    crm_id: str | None
    to_crm: tuple[FieldPreview, ...]
    to_local: tuple[FieldPreview, ...]
    round_trip: bool = False
    rejected: bool = False


@attrs.frozen(slots=True)
class FieldDifference:
    """A field of one record that two mappings write differently, named as the written side names it.

    ``before_why`` and ``after_why`` are why a mapping does not write it; with such a reason the value is None.
    """

    field: str
    before: Any = attrs.field(default=None, repr=False)
    after: Any = attrs.field(default=None, repr=False)
    before_why: str = ""
    after_why: str = ""


@attrs.frozen(slots=True)
class RecordDifference:
    """One record of which two mappings make different things. ``side`` is the one that would be written."""

    side: Side
    record_id: str
    """The source's."""
    fields: tuple[FieldDifference, ...]


@attrs.frozen(slots=True)
class MappingDiff:
    """Two mappings of an object, compared: in themselves, and by what they make of a sample of records.

    ``compared`` counts the records that were converted to each side.
    """

    changes: tuple[MappingChange, ...]
    compared: Mapping[Side, int]
    records: tuple[RecordDifference, ...]

    def by_field(self) -> dict[tuple[Side, str], int]:
        """In how many records each field would come out differently."""
        counts = Counter((record.side, field.field) for record in self.records for field in record.fields)
        return dict(sorted(counts.items()))
