"""The parser of each field type, set up for one side of a field mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

from crmsync.mapping.compounds import PARTS, read_compound
from crmsync.mapping.losses import Note
from crmsync.mapping.manner import Manner
from crmsync.mapping.parsing import (
    Parser,
    parse_boolean,
    parse_currency,
    parse_date,
    parse_datetime,
    parse_decimal,
    parse_duration,
    parse_email,
    parse_encrypted,
    parse_integer,
    parse_json,
    parse_percent,
    parse_reference,
    parse_text,
    parse_time,
    set_parser,
)
from crmsync.models.schema import FieldType

_Mannered: TypeAlias = Callable[[object, list[Note], Manner], object]

_PARSERS: Final[Mapping[FieldType, Parser]] = {
    FieldType.EMAIL: parse_email,
    FieldType.INTEGER: parse_integer,
    FieldType.DECIMAL: parse_decimal,
    FieldType.BOOLEAN: parse_boolean,
    FieldType.TIME: parse_time,
    FieldType.JSON: parse_json,
    FieldType.ENCRYPTED: parse_encrypted,
    FieldType.REFERENCE: parse_reference,
    FieldType.ID: parse_reference,
    **{kind: partial(read_compound, kind) for kind in PARTS},
}
_MANNERED: Final[Mapping[FieldType, _Mannered]] = {
    FieldType.CURRENCY: parse_currency,
    FieldType.PERCENT: parse_percent,
    FieldType.DATE: parse_date,
    FieldType.DATETIME: parse_datetime,
    FieldType.DURATION: parse_duration,
}


def parser_of(kind: FieldType, manner: Manner) -> Parser:
    """The parser of a field type."""
    if kind.set_valued:
        return set_parser(manner.separator)
    mannered = _MANNERED.get(kind)
    if mannered is None:
        return _PARSERS.get(kind, parse_text)

    def parse(value: object, notes: list[Note]) -> object:
        return mannered(value, notes, manner)

    return parse
