"""Field values as text: what a cell of a CSV file, or a text column of a table, says of a declared type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from crmsync.errors import ConfigurationError, ConversionError
from crmsync.mapping.durations import duration_text
from crmsync.mapping.parsing import json_text
from crmsync.models.schema import FieldType

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,4000}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].+")
_TIME: Final = re.compile(r"[0-9]{2}:[0-9]{2}.*")
_DECIMALS: Final = frozenset({FieldType.DECIMAL, FieldType.CURRENCY, FieldType.PERCENT})

BOOLEAN_WORDS: Final = (("true", "false"), ("yes", "no"), ("1", "0"), ("t", "f"), ("y", "n"), ("on", "off"))
"""Pairs of words that stand for True and False, in any case."""
_TRUE: Final = frozenset(pair[0] for pair in BOOLEAN_WORDS)
_FALSE: Final = frozenset(pair[1] for pair in BOOLEAN_WORDS)


def parse_types(types: Mapping[str, str]) -> dict[str, FieldType]:
    """Declared types by field, given as `FieldType` or by name, as a configuration file has them.

    :raises ConfigurationError: a type that does not exist.
    """
    try:
        return {field: FieldType(kind) for field, kind in types.items()}
    except ValueError:
        wrong = next(field for field, kind in types.items() if kind not in list(FieldType))
        known = ", ".join(FieldType)
        raise ConfigurationError(f"the type given for {wrong!r} is none of: {known}") from None


def parse_cell(text: str, kind: FieldType, separator: str) -> object:
    """The value that a text says. An empty text is None; one that does not fit the type stays as it is.

    A date and time without a UTC offset does not fit: nobody knows which moment it means.
    """
    if not text:
        return None
    if kind.set_valued:
        return tuple(element for part in text.split(separator) if (element := part.strip()))
    parse = _PARSERS.get(kind)
    return text if parse is None else parse(text)


def format_value(value: object, field: str, separator: str) -> str:
    """The text of a value; `parse_cell` with the value's type reads it back.

    :raises ConversionError: a value of no kind that a field holds, or a set element that the separator would split.
    """
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, tuple):
        return _joined(value, field, separator)
    if isinstance(value, dict):
        return json_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ConversionError("a date and time without a UTC offset", code="naive_datetime", field=field)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int | float):
        return repr(value)
    raise ConversionError("the value is of no kind that a field holds", code="unsupported", field=field)


def is_boolean_word(text: str) -> bool:
    """Whether a text stands for True or False."""
    return isinstance(_boolean(text), bool)


def boolean_words(sample: str) -> tuple[str, str]:
    """The words for True and False of the kind and case of a sample; ``true`` and ``false`` if it tells nothing."""
    word = sample.strip()
    pair = next((pair for pair in BOOLEAN_WORDS if word.lower() in pair), None)
    return BOOLEAN_WORDS[0] if pair is None else _cased(pair, word)


def _cased(pair: tuple[str, str], sample: str) -> tuple[str, str]:
    if sample.isupper():
        return pair[0].upper(), pair[1].upper()
    if sample[:1].isupper():
        return pair[0].capitalize(), pair[1].capitalize()
    return pair


def _joined(elements: tuple[object, ...], field: str, separator: str) -> str:
    for element in elements:
        if not isinstance(element, str):
            raise ConversionError("a set of something else than text", code="unsupported", field=field)
        if separator in element or element != element.strip() or not element:
            raise ConversionError(
                f"an element is blank, padded, or contains the separator {separator!r}",
                code="separator",
                field=field,
            )
    return separator.join(str(element) for element in elements)


def _boolean(text: str) -> object:
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else text


def _integer(text: str) -> object:
    return int(text) if _INTEGER.fullmatch(text) else text


def _decimal(text: str) -> object:
    return Decimal(text) if _DECIMAL.fullmatch(text) else text


def _iso(pattern: re.Pattern[str], parse: Callable[[str], date | time]) -> Callable[[str], object]:
    def read(text: str) -> object:
        if not pattern.fullmatch(text):
            return text
        try:
            value = parse(text)
        except ValueError:
            return text
        return text if isinstance(value, datetime) and value.tzinfo is None else value

    return read


_PARSERS: Final[Mapping[FieldType, Callable[[str], object]]] = {
    FieldType.BOOLEAN: _boolean,
    FieldType.INTEGER: _integer,
    **dict.fromkeys(_DECIMALS, _decimal),
    FieldType.DATE: _iso(_DATE, date.fromisoformat),
    FieldType.DATETIME: _iso(_DATETIME, datetime.fromisoformat),
    FieldType.TIME: _iso(_TIME, time.fromisoformat),
}
