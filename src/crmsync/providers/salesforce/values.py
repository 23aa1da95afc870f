"""Values between their JSON form and ours, by the field's type."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

from crmsync.errors import ConversionError
from crmsync.mapping.masks import is_masked
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldSchema, FieldType

_NUMBERS = (FieldType.DECIMAL, FieldType.CURRENCY, FieldType.PERCENT)


def parse_datetime(text: str) -> datetime:
    """A time as REST writes it (``2024-11-07T07:00:00.000+0000``), in UTC.

    :raises ValueError: it is none, or has no zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is UTC:  # as Salesforce writes it
        return moment
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return moment.astimezone(UTC)


def format_datetime(moment: datetime) -> str:
    """A time as REST takes it, in UTC with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


Reader = Callable[[Any], object]


def json_reader(kind: FieldType) -> Reader:
    """What reads a type's values, but for null, from parsed JSON (with numbers as int or `Decimal`).

    Of an encrypted field that is masked for this user it reads `MISSING`.
    It raises a TypeError, ValueError or ArithmeticError for what is no such value.
    """
    match kind:
        case FieldType.DATETIME:
            return parse_datetime
        case FieldType.DATE:
            return date.fromisoformat
        case FieldType.TIME:
            return _time
        case FieldType.INTEGER:
            return int
        case _ if kind in _NUMBERS:
            return Decimal
        case FieldType.BOOLEAN:
            return _boolean
        case FieldType.MULTI_PICKLIST:
            return _parts
        case FieldType.ENCRYPTED:
            return _shown
        case _:
            return _string


def _time(text: str) -> time:
    # The Z is part of the format; a time of day has no zone ("Time", Object Reference).
    return time.fromisoformat(text).replace(tzinfo=None)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(";") if part)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not a boolean")
    return value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _shown(value: object) -> object:
    """The value of an encrypted field, if this user may see it; a mask is as good as not being shown the field."""
    text = _string(value)
    return MISSING if is_masked(text) else text


def text_reader(kind: FieldType) -> Reader:
    """As `json_reader`, from the CSV of a query job, where every value is a text. It may raise a LookupError too."""
    match kind:
        case FieldType.BOOLEAN:
            return _BOOLEANS.__getitem__
        case FieldType.INTEGER:
            # A whole number may come with a fraction of nothing.
            return _integer
        case _:
            return json_reader(kind)


def _integer(text: str) -> int:
    return int(Decimal(text))


_BOOLEANS: Final = {"true": True, "false": False}


def write_value(field: FieldSchema, value: object) -> object:
    """What JSON a field takes for a value; numbers stay exact.

    :raises ConversionError: the field cannot hold such a value.
    """
    if value is None:
        return None
    written = _write(field.type, value)
    if written is None:
        raise ConversionError(
            f"{field.name} takes no {type(value).__name__}, it is of type {field.type}",
            code="wrong_type",
            field=field.name,
        )
    return written


def _write(kind: FieldType, value: object) -> object:
    match kind:
        case FieldType.BOOLEAN:
            return value if isinstance(value, bool) else None
        case FieldType.INTEGER:
            return value if isinstance(value, int) and not isinstance(value, bool) else _whole(value)
        case _ if kind in _NUMBERS:
            return _number(value)
        case FieldType.DATETIME:
            aware = isinstance(value, datetime) and value.tzinfo is not None
            return format_datetime(value) if aware and isinstance(value, datetime) else None
        case FieldType.DATE:
            return value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else None
        case FieldType.TIME:
            return value.isoformat("milliseconds") + "Z" if isinstance(value, time) else None
        case FieldType.MULTI_PICKLIST:
            return _joined(value)
        case _:
            return value if isinstance(value, str) else _text(value)


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else None


def _number(value: object) -> object:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    return value if isinstance(value, int) else None


def _joined(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, tuple) and all(isinstance(part, str) and ";" not in part for part in value):
        return ";".join(value)
    return None


def _text(value: object) -> str | None:
    # A text field may be mapped to a local list; only unambiguous elements can come back from it.
    return _joined(value) if isinstance(value, tuple) else None


def encode_rows(rows: Iterable[Mapping[str, object]], **envelope: object) -> bytes:
    """``{...envelope, "records": [...]}`` as JSON, with each `Decimal` as the exact number."""
    head = "".join(f"{json.dumps(key)}:{json.dumps(value)}," for key, value in envelope.items())
    return f'{{{head}"records":[{",".join(map(encode_object, rows))}]}}'.encode()


def encode_object(row: Mapping[str, object]) -> str:
    """One row as JSON."""
    return f"{{{','.join(f'{json.dumps(key)}:{_json(value)}' for key, value in row.items())}}}"


def _json(value: object) -> str:
    return format(value, "f") if isinstance(value, Decimal) else json.dumps(value)
