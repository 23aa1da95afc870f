"""What expressions compute with: the types of their values, how a field's value is read, and what a failure is.

MISSING (the side does not show the field) makes MISSING, None (blank) makes None, and a value that cannot be read or
computed makes `Failed`, unless a function says otherwise. Nothing raises.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Final, TypeAlias

import attrs

from crmsync.mapping.losses import Note, Refusal
from crmsync.mapping.manner import Manner
from crmsync.mapping.parsing import text_of
from crmsync.mapping.readers import parser_of
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldType

Get: TypeAlias = Callable[[str, object], object]
"""``fields.get`` of the record."""

Run: TypeAlias = Callable[[Get], object]
"""A compiled expression: a value of its type, None, MISSING or `Failed`. Total."""

MAX_TEXT: Final = 131_072
"""Characters of the longest text that is read or computed: the most that a field of Salesforce holds."""

MAX_NUMBER_DIGITS: Final = 50
_PLAIN_INT: Final = 10**18

NUMBERS: Final = Context(
    prec=MAX_NUMBER_DIGITS, Emax=200, Emin=-200, traps=[InvalidOperation, DivisionByZero, Overflow]
)
"""How numbers are computed with: decimal, to 50 digits."""


class ValueType(enum.StrEnum):
    """The types of values. `NULL` is that of ``null`` alone, which stands for a blank of any type."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    LIST = "list"
    NULL = "null"


@attrs.frozen(slots=True)
class Failed:
    """Why an expression has no value for a record. Never holds the record's values."""

    message: str


TOO_LONG: Final = Failed(f"a text of more than {MAX_TEXT} characters")

_FIELD_TYPES: Final[Mapping[FieldType, ValueType]] = {
    **dict.fromkeys(FieldType, ValueType.TEXT),
    **dict.fromkeys((FieldType.INTEGER, FieldType.DECIMAL, FieldType.CURRENCY, FieldType.PERCENT), ValueType.NUMBER),
    **dict.fromkeys((FieldType.MULTI_PICKLIST, FieldType.TAGS), ValueType.LIST),
    FieldType.BOOLEAN: ValueType.BOOLEAN,
    FieldType.DATE: ValueType.DATE,
    FieldType.DATETIME: ValueType.DATETIME,
    FieldType.TIME: ValueType.TIME,
}

_NATURAL: Final[Mapping[ValueType, FieldType]] = {
    ValueType.TEXT: FieldType.TEXT,
    ValueType.NUMBER: FieldType.DECIMAL,
    ValueType.BOOLEAN: FieldType.BOOLEAN,
    ValueType.DATE: FieldType.DATE,
    ValueType.DATETIME: FieldType.DATETIME,
    ValueType.TIME: FieldType.TIME,
    ValueType.LIST: FieldType.TAGS,
    ValueType.NULL: FieldType.TEXT,
}

_PASSING: Final[Mapping[ValueType, type]] = {
    ValueType.BOOLEAN: bool,
    ValueType.DATE: dt.date,
}


def value_type_of(kind: FieldType) -> ValueType:
    """The type that values of a field have in expressions."""
    return _FIELD_TYPES[kind]


def field_type_of(kind: ValueType) -> FieldType:
    """The field type of values of this type, where none is declared."""
    return _NATURAL[kind]


def reader_of(name: str, kind: FieldType, separator: str = ";") -> Run:
    """Reads a field of the record as a value of its type."""
    value_type = value_type_of(kind)
    slow = _slow_reader(kind, value_type, separator)
    if value_type is ValueType.TEXT:
        return _text_reader(name, slow)
    if value_type is ValueType.NUMBER:
        return _number_reader(name, slow)
    as_it_is = _PASSING.get(value_type)

    def run(get: Get) -> object:
        value = get(name, MISSING)
        if value is None or value is MISSING or type(value) is as_it_is:
            return value
        return slow(value)

    return run


def _text_reader(name: str, slow: Callable[[object], object]) -> Run:
    def run(get: Get) -> object:
        value = get(name, MISSING)
        if value is None or value is MISSING or (type(value) is str and len(value) <= MAX_TEXT):
            return value
        return slow(value)

    return run


def _number_reader(name: str, slow: Callable[[object], object]) -> Run:
    def run(get: Get) -> object:
        value = get(name, MISSING)
        if type(value) is int and -_PLAIN_INT < value < _PLAIN_INT:
            return Decimal(value)
        return value if value is None or value is MISSING else slow(value)

    return run


def _slow_reader(kind: FieldType, value_type: ValueType, separator: str) -> Callable[[object], object]:
    # What a text means is not checked here: an address without an @ can still be cut into parts.
    parse = parser_of(FieldType.TEXT if value_type is ValueType.TEXT else kind, Manner(separator=separator))

    def read(value: object) -> object:
        notes: list[Note] = []
        try:
            parsed = parse(value, notes)
        except Refusal as refusal:
            return Failed(refusal.note.message)
        except Exception:  # noqa: BLE001 (total: a foreign object may raise anything when it is looked at)
            return Failed("the value cannot be read")
        for note in notes:
            if not note.tolerated:
                return Failed(note.message)
        return _within(parsed)

    return read


def _within(value: object) -> object:
    """The value as expressions know it, if it is no larger than they take."""
    match value:
        case bool():
            return value
        case int():
            return checked_number(Decimal(value))
        case Decimal():
            return checked_number(value)
        case str() if len(value) > MAX_TEXT:
            return TOO_LONG
        case tuple() if sum(map(len, value)) + len(value) > MAX_TEXT:
            return TOO_LONG
        case _:
            return value


def checked_number(number: Decimal) -> Decimal | Failed:
    """A number, if it has no more digits than are computed with: none is rounded by being looked at."""
    if len(number.as_tuple().digits) > MAX_NUMBER_DIGITS or abs(number.adjusted()) > MAX_NUMBER_DIGITS:
        return Failed(f"a number of more than {MAX_NUMBER_DIGITS} digits")
    return number


def bounded_text(text: str) -> str | Failed:
    """A text, if it is not too long."""
    return text if len(text) <= MAX_TEXT else TOO_LONG


def is_blank(value: object) -> bool:
    """Whether a value is none: null, a text of white space only, a list without elements."""
    return value is None or value == () or (isinstance(value, str) and not value.strip())


def as_text(value: object) -> str | Failed:
    """A value of any type as the text that every side would write."""
    if type(value) is str:
        return value
    try:
        return bounded_text(text_of(value))
    except Refusal as refusal:
        return Failed(refusal.note.message)
