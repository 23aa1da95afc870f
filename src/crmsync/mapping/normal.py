"""Normal forms: what makes two values of one side the same value.

Blank texts and empty sets are as good as None (Salesforce has no empty text, only null: "SOAP API Developer Guide",
page "Primitive Data Types", string), and white space around a text does not count, because CRMs trim it. Line ends are
unified. Beyond that an e-mail address ignores case, a phone number all but its plus sign and digits (or how it is
spelt, where the mapping says in which region), a web address what `normal_url` says, an id its three check characters,
a time what is finer than the coarser side keeps, a number trailing zeros, a set its order, a compound its blank parts.
Texts, options and elements ignore case where the mapping says so. A value that its type cannot read, or only with a
loss, keeps its text: a value and its near miss are never taken for equal.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from functools import lru_cache
from typing import Final

import attrs

from crmsync.mapping.durations import duration_text
from crmsync.mapping.ids import normal_id
from crmsync.mapping.losses import Note
from crmsync.mapping.manner import PLAIN, Manner
from crmsync.mapping.parsing import MAX_DIGITS, is_email, json_text, set_parser, text_of
from crmsync.mapping.phones import e164_of
from crmsync.mapping.readers import parser_of
from crmsync.mapping.urls import normal_url
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldSchema, FieldType, Unit
from crmsync.protocols.conversion import LossKind, Normaliser

_IGNORED: Final = frozenset({LossKind.ZONE})
_EXACT: Final = Context(prec=4 * MAX_DIGITS, Emax=999_999, Emin=-999_999)
_AS_THEY_ARE: Final[Mapping[FieldType, type]] = {FieldType.BOOLEAN: bool, FieldType.DATE: dt.date}
_FORMS: Final = 256
"""Normalisers that are kept: sides that compare by the same one share it, and whoever compares them can tell."""

_NOT_DIALLED: Final = re.compile(r"[^0-9+]")


@attrs.frozen(slots=True)
class Likeness:
    """What two values of a field may differ in and still be the same.

    ``manner`` says how the side's values are read, ``unit`` is the step of time in microseconds that both sides keep,
    ``region`` is where phone numbers are at home, and ``case_fold`` lets case make no difference.
    """

    manner: Manner = PLAIN
    unit: int = 1
    region: str = ""
    case_fold: bool = False


def normaliser_of(kind: FieldType, field: FieldSchema, likeness: Likeness) -> Normaliser:
    """The normaliser of one side's field whose values mean ``kind``."""
    if kind.set_valued:
        return _set_normaliser(likeness.manner.separator, fold=likeness.case_fold)
    if kind is FieldType.PHONE and likeness.region:
        return _text_normaliser(_normal_number(likeness.region))
    if kind is FieldType.JSON:
        return _json_normal
    if kind in _TEXTS:
        form = _TEXTS[kind]
        return _text_normaliser(_folded(form) if likeness.case_fold and kind in _FOLDED else form)
    blank = False if kind is FieldType.BOOLEAN and field.type is kind and not field.nillable else None
    return _typed_normaliser(kind, likeness, blank)


@lru_cache(maxsize=_FORMS)
def _folded(form: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: form(text).casefold()


def normal_text(text: str) -> str:
    """Without white space around it, and with plain line feeds."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.strip()


def _normal_email(text: str) -> str:
    stripped = normal_text(text)
    return stripped.casefold() if is_email(stripped) else stripped


def _normal_phone(text: str) -> str:
    stripped = normal_text(text)
    # Without a digit (a note instead of a number) the text itself is all there is to compare.
    return _NOT_DIALLED.sub("", stripped) if any("0" <= char <= "9" for char in stripped) else stripped


@lru_cache(maxsize=_FORMS)
def _normal_number(region: str) -> Callable[[str], str]:
    number_of = e164_of(region)

    def normal(text: str) -> str:
        dialled = _normal_phone(text)
        # What no number can be read from may still be one once its words are gone.
        return number_of(text) or number_of(dialled) or dialled

    return normal


def _normal_link(text: str) -> str:
    return normal_url(normal_text(text))


def _normal_reference(text: str) -> str:
    return normal_id(normal_text(text))


def _json_normal(value: object) -> object:
    if value is None or value is MISSING:
        return value
    try:
        # An object or a list is the JSON that it would be written as.
        text = text_of(value) if isinstance(value, str) else json_text(value)
    except Exception:  # noqa: BLE001 (total: a foreign object may raise anything when it is looked at)
        text = _as_text(value)
    return _normal_json(text) or None


def _normal_json(text: str) -> str:
    text = normal_text(text)
    try:
        parsed = json.loads(text)
        return json.dumps(parsed, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return text


_TEXTS: Final[Mapping[FieldType, Callable[[str], str]]] = {
    FieldType.TEXT: normal_text,
    FieldType.ENCRYPTED: normal_text,
    FieldType.URL: _normal_link,
    FieldType.PICKLIST: normal_text,
    FieldType.EMAIL: _normal_email,
    FieldType.PHONE: _normal_phone,
    FieldType.ID: _normal_reference,
    FieldType.REFERENCE: _normal_reference,
}
_FOLDED: Final = frozenset({FieldType.TEXT, FieldType.PICKLIST})


@lru_cache(maxsize=_FORMS)
def _text_normaliser(form: Callable[[str], str]) -> Normaliser:
    def normal(value: object) -> object:
        if type(value) is str:
            # Nearly every value of nearly every record comes by here, several times.
            return (value.strip() if plain and "\r" not in value else form(value)) or None
        return value if value is None or value is MISSING else form(_as_text(value)) or None

    plain = form is normal_text
    return normal


def set_reader(separator: str) -> Callable[[object], tuple[str, ...]]:
    """Takes a set-valued field's value apart: its elements in order, none for a blank. Total: no exception."""
    parse = set_parser(separator)

    def elements(value: object) -> tuple[str, ...]:
        if value is None or value is MISSING:
            return ()
        notes: list[Note] = []
        try:
            found = parse(value, notes)
        except Exception:  # noqa: BLE001 (total: a foreign object may raise anything when it is looked at)
            return (_marked(value),)
        # An element that is no text at all cannot be told from its absence, so the whole stands for itself.
        return (_marked(value),) if notes else found

    return elements


@lru_cache(maxsize=_FORMS)
def _set_normaliser(separator: str, *, fold: bool) -> Normaliser:
    elements = set_reader(separator)

    def normal(value: object) -> object:
        if value is None or value is MISSING:
            return value
        found = elements(value)
        return frozenset(element.casefold() for element in found) if fold and found else frozenset(found) or None

    return normal


@lru_cache(maxsize=_FORMS)
def _typed_normaliser(kind: FieldType, likeness: Likeness, blank: object) -> Normaliser:
    parse, unit = parser_of(kind, likeness.manner), likeness.unit
    as_it_is = _AS_THEY_ARE.get(kind)
    # A normal form is in the side's own words: what counts fractions there stays one.
    shrunk = kind is FieldType.PERCENT and likeness.manner.unit is Unit.FRACTION

    def normal(value: object) -> object:
        if value is MISSING or type(value) is as_it_is:
            return value
        if value is None:
            return blank
        notes: list[Note] = []
        try:
            parsed = parse(value, notes)
        except Exception:  # noqa: BLE001 (as above)
            return _unread(value)
        if not all(note.tolerated or note.kind in _IGNORED for note in notes):
            return _unread(value)
        if shrunk and isinstance(parsed, Decimal):
            parsed = parsed.scaleb(-2, _EXACT)
        return blank if parsed is None else _canonical(parsed, unit)

    return normal


def _canonical(value: object, unit: int) -> object:
    if isinstance(value, Decimal):
        return value.normalize(_EXACT)
    if isinstance(value, dt.datetime | dt.time):
        return value.replace(microsecond=value.microsecond - value.microsecond % unit)
    if isinstance(value, dt.timedelta):
        return duration_text(value)
    if isinstance(value, Mapping):
        return json_text({name: _part(part) for name, part in value.items() if part is not None})
    return value


def _part(value: object) -> object:
    return value.normalize(_EXACT) if isinstance(value, Decimal) else normal_text(str(value))


def _unread(value: object) -> str:
    """The form of a value that its type cannot read. A list is marked, as its text might be read the next time."""
    return normal_text(_marked(value) if isinstance(value, tuple | list | set | frozenset) else _as_text(value))


def _as_text(value: object) -> str:
    """A text for any object: its own, or one that marks it as unreadable and that no type reads."""
    try:
        return text_of(value)
    except Exception:  # noqa: BLE001 (as above)
        return _marked(value)


def _marked(value: object) -> str:
    try:
        shown = normal_text(repr(value))
    except Exception:  # noqa: BLE001 (as above)
        shown = ""
    return f"?{type(value).__qualname__}:{shown}"
