"""What a record store in memory makes of fields: which it has, which it shows, and what it keeps of a value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import attrs

from crmsync.errors import ConversionError, RecordError, RejectedError, SchemaChangedError
from crmsync.models.records import MISSING, Operation, Record
from crmsync.models.schema import FieldType, ObjectSchema
from crmsync.testing.change_feed import RecordVersion

_SCALARS = frozenset({str, bool, int, float, Decimal, date, time, timedelta, type(None)})


@attrs.define
class StoredFields:
    """The fields of one store; ``lossy`` and ``hidden`` as `MemoryRecordStore` takes them."""

    schema: ObjectSchema
    lossy: Mapping[str, Callable[[object], object]]
    hidden: frozenset[str]

    def fault(self, operation: Operation) -> RecordError | None:
        """Why an operation cannot be stored, if it cannot."""
        for field, value in operation.fields.items():
            if self._unknown(field):
                return RejectedError("there is no such field", code="unknown_field", field=field)
            if value is not MISSING and not _storable(value):
                return ConversionError("the value is of no kind that a field holds", code="unsupported", field=field)
        return None

    def kept(self, fields: Mapping[str, object]) -> dict[str, object]:
        """What is stored of values that were given."""
        lossy = self.lossy
        return {
            name: lossy[name](value) if name in lossy and value is not None else value
            for name, value in fields.items()
            if value is not MISSING
        }

    def form(self, field: str, value: object) -> str:
        """The text by which a value is found; e-mail addresses in any case."""
        known = self.schema.field(field)
        email = known.type is FieldType.EMAIL if known else field.lower() == "email"
        # A blank must not be found by the text "None", nor by "": nobody can ask for it.
        text = "\0blank" if value is None else str(value)
        return text.lower() if email else text

    def check_readable(self, fields: Iterable[str]) -> None:
        """Refuse to read fields that there are not. Hidden ones are left out without a word.

        :raises SchemaChangedError: there is no such field.
        """
        if self.schema.open:
            return
        for field in fields:
            if self.schema.field(field) is None:
                msg = f"{self.schema.name} has no field {field!r}"
                raise SchemaChangedError(msg)

    def record(self, row: RecordVersion, fields: Sequence[str]) -> Record:
        """A version as a reader sees it; None for fields that it does not hold."""
        values = row.fields
        # What was merged into another says what it held, as a source may that keeps its tombstones.
        shown: Iterable[str] = values if row.merged_into else () if row.deleted else fields
        return Record(
            id=row.id,
            fields={name: values.get(name) for name in shown if name not in self.hidden},
            key=row.key,
            modified_at=row.modified_at,
            version=str(row.number),
            modified_by_self=row.by_self,
            deleted=row.deleted,
            merged_into=row.merged_into,
        )

    def _unknown(self, field: str) -> bool:
        return field in self.hidden or (not self.schema.open and self.schema.field(field) is None)


def _storable(value: object) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(element, str) for element in value)
    if isinstance(value, datetime):
        return value.tzinfo is not None
    if isinstance(value, dict):
        return all(isinstance(name, str) and _storable(part) for name, part in value.items())
    return type(value) in _SCALARS or isinstance(value, str)
