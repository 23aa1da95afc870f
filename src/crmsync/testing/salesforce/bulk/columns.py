"""From the header of a job's data to what each column does to a record, and from a row's texts to values.

"Bulk API 2.0 and Bulk API Developer Guide", pages "Prepare CSV Files", "Valid Date Format in Records (2.0)" and
"Relationship Fields in a Header Row (2.0)": an empty value is ignored, ``#N/A`` is null, a header cell names a field,
or a parent by one of its indexed fields. A header cell in another letter case than the field's name saves as well, but
"results only include columns that are a match". A cell that names no field fails the job.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen

from crmsync.testing.salesforce.bulk.csv_text import UnreadableCsvError
from crmsync.testing.salesforce.errors import RowError
from crmsync.testing.salesforce.ids import canonical_id
from crmsync.testing.salesforce.schema import COMPOUND_TYPES, ID_TYPES, NUMBER_TYPES
from crmsync.testing.salesforce.times import parse_date, parse_datetime

if TYPE_CHECKING:
    from crmsync.testing.salesforce.schema import FieldDef, ObjectDef
    from crmsync.testing.salesforce.store import Table

NULL: Final = "#N/A"
_DATE_WITH_ZONE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:Z|[+-]\d{2}:?\d{2})")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}

#: Makes a cell's text, neither empty nor ``#N/A``, the value of a request.
Convert: TypeAlias = Callable[[str], Any]


@frozen
class Column:
    """A column of the data: its place, the field it sets, and how. ``exact`` is whether results repeat it."""

    place: int
    field_name: str
    convert: Convert | None
    exact: bool


def read_header(cells: Sequence[str], definition: ObjectDef, tables: Mapping[str, Table]) -> list[Column]:
    """Return the columns that a header names.

    :raises UnreadableCsvError: a cell names no field of the object, nor a parent.
    """
    return [_column(place, cell, definition, tables) for place, cell in enumerate(cells)]


def _column(place: int, cell: str, definition: ObjectDef, tables: Mapping[str, Table]) -> Column:
    if "." in cell:
        return _parent_column(place, cell, definition, tables)
    field = definition.find(cell)
    if field is None or field.type in COMPOUND_TYPES:
        raise _unknown(cell)
    return Column(place, field.name, _converter(field), field.name == cell)


def _unknown(cell: str) -> UnreadableCsvError:
    return UnreadableCsvError(f"InvalidBatch : Field name not found : {cell}")


def _parent_column(place: int, cell: str, definition: ObjectDef, tables: Mapping[str, Table]) -> Column:
    path, _, field_name = cell.rpartition(".")
    # A polymorphic parent is told by its object: "Lead:Who.Email".
    object_name, _, relationship = path.rpartition(":")
    link = definition.by_relationship.get(relationship.lower())
    if link is None:
        raise _unknown(cell)
    offered = [name for name in link.references if name in tables]
    targets = [name for name in offered if not object_name or name.lower() == object_name.lower()]
    table = tables[targets[0]] if len(targets) == 1 else None
    field = table.definition.find(field_name) if table else None
    if table is None or field is None or not (field.name == "Id" or table.is_indexed(field.name)):
        raise _unknown(cell)
    exact = cell == ":".join(filter(None, (object_name and targets[0], f"{link.relationship}.{field.name}")))
    return Column(place, link.name, _finder(table, field), exact)


def _finder(table: Table, field: FieldDef) -> Convert:
    entity = table.definition.name

    def find(text: str) -> str:
        if field.name == "Id":
            return canonical_id(text) or text
        found = table.live_matching(field.name, text.strip())
        if not found:
            message = f"Foreign key external ID: {text} not found for field {field.name} in entity {entity}"
            raise RowError("INVALID_FIELD", message)
        if len(found) > 1:
            ids = ", ".join(row["Id"] for row in found)
            message = f"{field.name}: more than one record found for external id field: [{ids}]"
            raise RowError("DUPLICATE_EXTERNAL_ID", message)
        return str(found[0]["Id"])

    return find


def _converter(field: FieldDef) -> Convert | None:
    """Return how a text becomes what the field's parser takes; ``None`` where the text is that already."""
    reader = _READERS.get(field.type)
    if reader is None:
        return None

    def convert(text: str) -> Any:
        value = reader(text)
        if value is None:
            message = f"{field.label}: value not of required type: {text}"
            raise RowError("INVALID_TYPE_ON_FIELD_IN_RECORD", message, (field.name,))
        return value

    return convert


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _whole(text: str) -> float | None:
    number = _number(text)
    return number if number is not None and number.is_integer() else None


def _boolean(text: str) -> bool | None:
    return _BOOLEANS.get(text.strip().lower())


def _date(text: str) -> str | None:
    match = _DATE_WITH_ZONE.fullmatch(text)
    day = match[1] if match else text
    return day if parse_date(day) or parse_datetime(day) else None


def _datetime(text: str) -> str | None:
    return text if parse_datetime(text) else None


#: How the text of a type is read; ``None`` from it is a text that is not of the type.
_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(NUMBER_TYPES, _number),
    **dict.fromkeys(ID_TYPES, str.strip),
    "int": _whole,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
}


def values_of(columns: Sequence[Column], row: Sequence[str]) -> dict[str, Any]:
    """Return what a row gives: empty values are left out, ``#N/A`` is ``None``.

    :raises RowError: a value is not of the field's type, or a parent is not found.
    """
    values: dict[str, Any] = {}
    width = len(row)
    for column in columns:
        text = row[column.place] if column.place < width else ""
        if not text:
            continue
        if text == NULL:
            values[column.field_name] = None
        else:
            values[column.field_name] = column.convert(text) if column.convert else text
    return values
