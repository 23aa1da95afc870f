"""Compound fields: addresses, names of people, places. They are read and written by their parts.

REST returns a compound and takes no write to it, and Bulk API 2.0 does not even read one ("Compound Field
Considerations and Limitations", SOQL and SOSL Reference); the parts are ordinary fields in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from crmsync.errors import ConversionError
from crmsync.mapping.compounds import part_called
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldSchema, FieldType

_NUMBERS = (FieldType.DECIMAL, FieldType.INTEGER)


def with_parts(fields: Iterable[FieldSchema], entries: Iterable[Mapping[str, Any]]) -> tuple[FieldSchema, ...]:
    """The fields of a describe, compounds with their parts; a compound whose parts are all hidden is left out.

    A person's ``Name`` is one too; an account's, which can be written as it is, stays a text.
    """
    fields = tuple(fields)
    by_name = {field.name: field for field in fields}
    held: dict[str, list[FieldSchema]] = {}
    for entry in entries:
        compound = entry.get("compoundFieldName")
        if compound and compound != entry["name"] and entry["name"] in by_name:
            held.setdefault(compound, []).append(by_name[entry["name"]])
    found = (_compound(field, held.get(field.name, ())) for field in fields)
    return tuple(field for field in found if field is not None)


def _compound(field: FieldSchema, parts: Iterable[FieldSchema]) -> FieldSchema | None:
    is_name = field.name == "Name" and not field.createable
    kind = FieldType.NAME if is_name and field.type is FieldType.TEXT else field.type
    if not kind.compound:
        return field
    named = {part: each for each in parts if (part := part_called(kind, _bare(each.name, field.name)))}
    if not named:
        return None if field.type.compound else field
    changes = {
        "type": kind,
        "parts": named,
        "createable": any(part.createable for part in named.values()),
        "updateable": any(part.updateable for part in named.values()),
        "required": False,
        "length": None,
    }
    return field.model_copy(update=changes)


def _bare(part: str, compound: str) -> str:
    """What a part is called within its compound: ``City`` of ``MailingCity`` and ``Office__City__s``."""
    return part.removeprefix(compound.removesuffix("Address").removesuffix("__c")).strip("_").removesuffix("__s")


def columns_of(fields: Mapping[str, FieldSchema], name: str) -> tuple[str, ...]:
    """What a field is read by: its parts, or itself."""
    return tuple(part.name for part in fields[name].parts.values()) or (name,)


def assembled(field: FieldSchema, values: Mapping[str, object]) -> object:
    """A compound of the values of its parts; None if all are blank, `MISSING` if none is there."""
    parts = {
        name: value for name, part in field.parts.items() if (value := values.get(part.name, MISSING)) is not MISSING
    }
    if not parts:
        return MISSING
    return parts if any(value is not None for value in parts.values()) else None


def taken_apart(field: FieldSchema, value: object, *, creates: bool) -> Iterator[tuple[str, object]]:
    """The fields that a compound is written to, with their values; a blank one clears all that can be written.

    :raises ConversionError: it is no compound, or has a part that the object has not.
    """
    if value is None:
        writable = ((name, part.createable if creates else part.updateable) for name, part in field.parts.items())
        value = {name: None for name, can_be in writable if can_be}
    if not isinstance(value, Mapping):
        raise ConversionError(f"{field.name} takes an object with parts", code="wrong_type", field=field.name)
    for name, each in value.items():
        part = field.parts.get(name)
        if part is not None and not (creates and each is None):
            yield part.name, _number(part, each) if part.type in _NUMBERS else each
        elif part is None and each is not None:
            raise ConversionError(f"{field.name} has no part {name!r}", code="wrong_type", field=field.name)


def _number(part: FieldSchema, value: object) -> object:
    try:
        return Decimal(value) if isinstance(value, str) else value
    except InvalidOperation:
        raise ConversionError(f"{part.name} takes a number", code="wrong_type", field=part.name) from None
