"""What happens to a value on its way into a record: parsing, trimming, and the checks of its field.

Two steps, because a trigger may stand between them: :func:`parse` makes the stored form or refuses the JSON, and
:func:`check` refuses what the field cannot hold. Stored forms are those of JSON: text, bool, int, float; dates and
times are the texts of :mod:`.times`; ``None`` is absent from the record.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from crmsync.testing.salesforce.errors import CallError, RowError
from crmsync.testing.salesforce.ids import canonical_id
from crmsync.testing.salesforce.schema import ID_TYPES, NUMBER_TYPES, TEXT_TYPES, FieldDef
from crmsync.testing.salesforce.times import in_range, parse_date, parse_datetime, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crmsync.testing.salesforce.schema import ObjectDef

_EMAIL = re.compile(r"[^@\s,;<>()\[\]\"\\]+@[^@\s.,;<>()\[\]\"\\]+(?:\.[^@\s.,;<>()\[\]\"\\]+)+")
_INT_DIGITS = 8
_NUMBER_PRECISION = 18


def parse(field: FieldDef, raw: Any) -> Any:
    """Return the stored form of a JSON value.

    :raises CallError: the JSON type does not fit: the whole call fails, as with the JSON parser of the REST API.
    """
    if raw is None:
        return False if field.type == "boolean" else None
    return _PARSERS[field.type](field, raw)


def _refuse(field: FieldDef, raw: Any) -> CallError:
    kinds: Mapping[type, str] = {
        str: "VALUE_STRING",
        bool: "VALUE_TRUE" if raw else "VALUE_FALSE",
        int: "VALUE_NUMBER_INT",
        float: "VALUE_NUMBER_FLOAT",
        dict: "START_OBJECT",
        list: "START_ARRAY",
    }
    message = f"Cannot deserialize instance of {field.type} from {kinds.get(type(raw), 'VALUE_STRING')} value"
    if not isinstance(raw, (dict, list)):
        message += f" {raw} or request may be missing a required field at"
    message += " [line:1, column:1]"
    return CallError(400, "JSON_PARSER_ERROR", message)


def _parse_text(field: FieldDef, raw: Any) -> str | None:
    if not isinstance(raw, str):
        raise _refuse(field, raw)
    # Salesforce trims text on save and has no empty text, only null ("SOAP API Developer Guide", page "Primitive
    # Data Types", string).
    return raw.strip() or None


def _parse_multipicklist(field: FieldDef, raw: Any) -> str | None:
    if not isinstance(raw, str):
        raise _refuse(field, raw)
    chosen = dict.fromkeys(part.strip() for part in raw.split(";"))
    return ";".join(part for part in chosen if part) or None


def _parse_boolean(field: FieldDef, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in ("true", "false"):
        return raw.lower() == "true"
    raise _refuse(field, raw)


def _parse_number(field: FieldDef, raw: Any) -> int | float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        raise _refuse(field, raw)
    if isinstance(raw, float) and not math.isfinite(raw):
        raise _refuse(field, raw)
    if field.type == "int":
        if raw != int(raw):
            raise _refuse(field, raw)
        return int(raw)
    return _round(float(raw), field.scale)


def _round(number: float, scale: int) -> float:
    power = 10**scale
    shifted = math.floor(abs(number) * power + 0.5) / power
    return math.copysign(shifted, number) if abs(number) < 1e15 / power else number


def _parse_date(field: FieldDef, raw: Any) -> str | None:
    if raw == "":
        return None
    parsed = parse_date(raw) if isinstance(raw, str) else None
    if parsed is None:
        moment = parse_datetime(raw) if isinstance(raw, str) else None
        if moment is None:
            raise _refuse(field, raw)
        parsed = moment.date()
    return parsed.isoformat()


def _parse_datetime(field: FieldDef, raw: Any) -> str | None:
    if raw == "":
        return None
    moment = parse_datetime(raw) if isinstance(raw, str) else None
    if moment is None:
        raise _refuse(field, raw)
    return stamp(moment)


def _parse_id(field: FieldDef, raw: Any) -> str | None:
    if not isinstance(raw, str):
        raise _refuse(field, raw)
    text = raw.strip()
    if not text:
        return None
    known = canonical_id(text)
    if known is None:
        raise RowError("MALFORMED_ID", f"{field.label}: id value of incorrect type: {text}", (field.name,))
    return known


def parse_ids(name: str, raw: Any) -> tuple[str, ...]:
    """Return the ids of a list such as an e-mail's ToIds, none for null.

    :raises CallError: it is no list of texts.
    :raises RowError: MALFORMED_ID.
    """
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
        message = f"Cannot deserialize instance of JunctionIdList for {name} [line:1, column:1]"
        raise CallError(400, "JSON_PARSER_ERROR", message)
    ids: list[str] = []
    for one in raw:
        known = canonical_id(one)
        if known is None:
            raise RowError("MALFORMED_ID", f"{name}: id value of incorrect type: {one}", (name,))
        ids.append(known)
    return tuple(ids)


_PARSERS: dict[str, Callable[[FieldDef, Any], Any]] = {
    **dict.fromkeys(TEXT_TYPES, _parse_text),
    **dict.fromkeys(NUMBER_TYPES, _parse_number),
    **dict.fromkeys(ID_TYPES, _parse_id),
    "multipicklist": _parse_multipicklist,
    "boolean": _parse_boolean,
    "date": _parse_date,
    "datetime": _parse_datetime,
}


def check(field: FieldDef, value: Any) -> None:
    """Refuse a stored form that the field cannot hold.

    :raises RowError: with Salesforce's code for the fault and the field's name.
    """
    if value is None:
        return
    if isinstance(value, str) and field.length and len(value) > field.length and field.type in TEXT_TYPES:
        shown = f"{field.label}: data value too large: {value} (max length={field.length})"
        raise RowError("STRING_TOO_LONG", shown, (field.name,))
    checker = _CHECKERS.get(field.type)
    if checker is not None:
        checker(field, value)


def _check_email(field: FieldDef, value: Any) -> None:
    if not _EMAIL.fullmatch(value):
        raise RowError("INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {value}", (field.name,))


def _check_picklist(field: FieldDef, value: Any) -> None:
    if not field.restricted:
        return
    chosen = value.split(";") if field.type == "multipicklist" else [value]
    for entry in chosen:
        if entry not in field.allowed_values:
            raise RowError(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                f"{field.label}: bad value for restricted picklist field: {entry}",
                (field.name,),
            )


def _check_number(field: FieldDef, value: Any) -> None:
    digits = _INT_DIGITS if field.type == "int" else _NUMBER_PRECISION - field.scale
    if abs(value) >= 10**digits:
        raise RowError(
            "NUMBER_OUTSIDE_VALID_RANGE",
            f"{field.label}: value outside of valid range on numeric field: {value}",
            (field.name,),
        )


def _check_moment(field: FieldDef, value: Any) -> None:
    moment = parse_date(value[:10])
    if moment is None or not in_range(moment):
        raise RowError("FIELD_INTEGRITY_EXCEPTION", f"{field.label}: invalid date: {value}", (field.name,))


_CHECKERS: dict[str, Callable[[FieldDef, Any], None]] = {
    "email": _check_email,
    "picklist": _check_picklist,
    "multipicklist": _check_picklist,
    **dict.fromkeys(NUMBER_TYPES, _check_number),
    "date": _check_moment,
    "datetime": _check_moment,
}


def person_name(record: Mapping[str, Any]) -> str:
    """Return the computed ``Name`` of a person: first and last name."""
    parts = (record.get("FirstName"), record.get("LastName"))
    return " ".join(part for part in parts if part)


def location(definition: ObjectDef, compound: str, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the place that a record's geolocation field holds, ``None`` where no part has a value."""
    latitude, longitude = (record.get(entry.name) for entry in definition.parts[compound])
    return None if latitude is None and longitude is None else {"latitude": latitude, "longitude": longitude}


def address(definition: ObjectDef, compound: str, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the compound address of a record, ``None`` where no part has a value."""
    prefix = compound.removesuffix("Address")
    parts = {entry.name.removeprefix(prefix): record.get(entry.name) for entry in definition.parts[compound]}
    if all(value is None for value in parts.values()):
        return None
    return {
        key: parts.get(key[0].upper() + key[1:])
        for key in ("city", "country", "geocodeAccuracy", "latitude", "longitude", "postalCode", "state", "street")
    }
