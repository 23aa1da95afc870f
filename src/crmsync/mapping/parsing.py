"""Reading values: from whatever a side hands over to the one Python value that a field type stands for.

Every parser takes a value that is neither MISSING nor None and a list to note losses in, and answers the canonical
value, or None for a blank text that the type has no other word for, or raises `Refusal`:

=================================  ==============================================================
text, email, phone, url, id,       str
picklist, reference, json
integer                            int (never bool)
decimal, currency, percent         Decimal, finite
boolean                            bool
date                               date
datetime                           aware datetime in UTC
time                               naive time
multi_picklist, tags               tuple of str: stripped, without blanks and repetitions, in order
duration                           timedelta
address, name, geolocation         dict of part names to str or None (`crmsync.mapping.compounds`)
encrypted                          str that is no mask
=================================  ==============================================================

Choices that a reader may wonder about: a datetime without a zone is a ZONE loss (read as UTC where the mapping accepts
losses) unless the mapping names a zone, because guessing one moves every value; a date stands for its midnight there,
or in UTC, and back; numbers have a point and no thousands separators, because ``1,000`` is one thousand or one; JSON
travels as text.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Final, NoReturn, TypeAlias

from crmsync.mapping.durations import MICROSECONDS, amount_of, duration_text, read_duration, whole_microseconds
from crmsync.mapping.losses import Note, Refusal, invalid
from crmsync.mapping.manner import Manner
from crmsync.mapping.masks import is_masked
from crmsync.mapping.zones import day_of, moment_of, start_of
from crmsync.models.records import Unlinked
from crmsync.models.schema import Unit
from crmsync.protocols.conversion import LossKind

Parser: TypeAlias = Callable[[object, list[Note]], object]

TRUE_WORDS: Final = frozenset({"true", "yes", "y", "t", "1", "on"})
FALSE_WORDS: Final = frozenset({"false", "no", "n", "f", "0", "off"})

# No field of any CRM holds more; beyond, Python itself refuses (4,300 digits) or writes a text of a million characters.
MAX_DIGITS: Final = 1000
_MAX_INT: Final = 10**MAX_DIGITS

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK: Final = (
    r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,](?P<fraction>[0-9]+))?)? ?(?P<zone>[zZ]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_DATETIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]" + _CLOCK)
_TIME: Final = re.compile(_CLOCK)
_AMOUNT: Final = re.compile(r"(?:(?P<before>[A-Za-z]{3})\s*)?(?P<number>[-+0-9.eE]+)(?:\s*(?P<after>[A-Za-z]{3}))?")
_EXACT: Final = Context(prec=4 * MAX_DIGITS)
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_MICROSECOND_DIGITS: Final = 6


def is_email(text: str) -> bool:
    """Whether a text has an address's form: something, one ``@``, something, no white space within."""
    return _EMAIL.fullmatch(text) is not None


def parse_text(value: object, _notes: list[Note]) -> str:
    """Any scalar as text; a set joined by semicolons."""
    return text_of(value)


def parse_email(value: object, _notes: list[Note]) -> str:
    """An address as it is spelt; a blank stays what it is."""
    text = text_of(value)
    if text.strip() and not is_email(text.strip()):
        raise invalid("not an e-mail address")
    return text


def parse_json(value: object, _notes: list[Note]) -> str | None:
    """JSON as text: a text must be JSON already and keeps its spelling; objects and lists are written out."""
    if isinstance(value, str):
        text = text_of(value)
        if not text.strip():
            return None
        json.loads(text, parse_constant=_no_constant)
        return text
    return json_text(value)


def json_text(value: object) -> str:
    """An object, list or scalar written as JSON, each `Decimal` as the exact number.

    :raises TypeError: it has no JSON form. :raises ValueError: it is no finite number.
    """
    match value:
        case dict():
            if not all(isinstance(name, str) for name in value):
                raise TypeError("a name that is no text")
            entries = (f"{json.dumps(name, ensure_ascii=False)}:{json_text(each)}" for name, each in value.items())
            return f"{{{','.join(entries)}}}"
        case list() | tuple():
            return f"[{','.join(map(json_text, value))}]"
        case Decimal():
            return format(_checked(value), "f")
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def parse_integer(value: object, notes: list[Note]) -> int | None:
    """A whole number; a fraction is ROUNDED, half away from zero."""
    if type(value) is int and -_MAX_INT < value < _MAX_INT:
        return value
    number = parse_decimal(value, notes)
    if number is None:
        return None
    whole = number.to_integral_value("ROUND_HALF_UP")
    if whole != number:
        notes.append(Note(LossKind.ROUNDED, "a whole number is needed"))
    return int(whole)


def parse_decimal(value: object, _notes: list[Note]) -> Decimal | None:
    """A finite number; floats by their shortest spelling, a length of time in seconds."""
    match value:
        case bool():
            raise invalid("a truth value is not a number")
        case int():
            number = Decimal(int.__add__(value, 0)) if -_MAX_INT < value < _MAX_INT else Decimal("Infinity")
        case float():
            number = Decimal(float.__repr__(value))
        case Decimal():
            number = Decimal(value)
        case dt.timedelta():
            number = amount_of(value, Unit.SECONDS)
        case str():
            text = text_of(value).strip()
            if not text:
                return None
            if len(text) > MAX_DIGITS or not _NUMBER.fullmatch(text):
                raise invalid("not a number (digits with a decimal point, no thousands separators)")
            number = Decimal(text)
        case _:
            raise invalid("not a number")
    return _checked(number)


def parse_percent(value: object, notes: list[Note], manner: Manner) -> Decimal | None:
    """As a decimal, in percents; a text may end with a per cent sign, and then always means percents."""
    if isinstance(value, str):
        text = text_of(value).strip()
        if text.endswith("%"):
            return parse_decimal(text[:-1].strip() or text, notes)
    number = parse_decimal(value, notes)
    return number if number is None or manner.unit is not Unit.FRACTION else _checked(number.scaleb(2, _EXACT))


def parse_currency(value: object, notes: list[Note], manner: Manner) -> Decimal | None:
    """As a decimal; a text may give the currency's code before or after it, if it is the one that amounts are in."""
    found = _AMOUNT.fullmatch(text_of(value).strip()) if isinstance(value, str) else None
    code = found and (found["before"] or found["after"])
    if not found or not code:
        return parse_decimal(value, notes)
    if not manner.currency:
        raise invalid("an amount with a currency's code, and the field mapping names no currency")
    if {found["before"], found["after"]} - {None, code} or code.upper() != manner.currency:
        raise invalid(f"an amount in another currency than {manner.currency}")
    return parse_decimal(found["number"], notes)


def parse_duration(value: object, notes: list[Note], manner: Manner) -> dt.timedelta | None:
    """A length of time; a number counts units, seconds if nothing says which. A text that is a number needs a unit."""
    if isinstance(value, dt.timedelta):
        return dt.timedelta(value.days, value.seconds, value.microseconds)
    if isinstance(value, dt.time) and value.tzinfo is None:
        # A database without a type for it keeps a length of time as a time of day.
        return dt.timedelta(0, value.hour * 3600 + value.minute * 60 + value.second, value.microsecond)
    unit = manner.unit
    if isinstance(value, str):
        text = text_of(value).strip()
        if text and not _NUMBER.fullmatch(text):
            return read_duration(text, notes)
        if text and unit is None:
            raise invalid("a number, and the field mapping does not say of which unit")
    number = parse_decimal(value, notes)
    return None if number is None else whole_microseconds(number * MICROSECONDS[unit or Unit.SECONDS], notes)


def parse_reference(value: object, _notes: list[Note]) -> str:
    """An id as it is spelt, unless it is one that means nothing on the other side."""
    if isinstance(value, Unlinked):
        raise invalid("the record that it leads to is not linked yet; it is tried again in every run")
    return text_of(value)


def parse_encrypted(value: object, _notes: list[Note]) -> str:
    """A text that is no mask: what is shown in a value's place is not the value."""
    text = text_of(value)
    if is_masked(text):
        raise invalid("a masked value: this user may not see the real one")
    return text


def parse_boolean(value: object, _notes: list[Note]) -> bool | None:
    """A truth value; the numbers 0 and 1; or one of a closed list of words in any case."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = text_of(value).strip().lower()
        if not word:
            return None
        if word in TRUE_WORDS or word in FALSE_WORDS:
            return word in TRUE_WORDS
    elif isinstance(value, int | float | Decimal) and value in (0, 1):
        return value == 1
    raise invalid("not a truth value (true or false, yes or no, 1 or 0)")


def parse_date(value: object, notes: list[Note], manner: Manner) -> dt.date | None:
    """A calendar date; of a moment its date in the zone, with a PRECISION loss unless the day begins with it."""
    if isinstance(value, dt.datetime):
        return _date_of(value, notes, manner)
    if isinstance(value, dt.date):
        return dt.date(value.year, value.month, value.day)
    if not isinstance(value, str):
        raise invalid("not a date")
    text = text_of(value).strip()
    if not text:
        return None
    if _DATE.fullmatch(text):
        return dt.date.fromisoformat(text)
    if _DATETIME.fullmatch(text):
        return _date_of(dt.datetime.fromisoformat(_iso(text)), notes, manner)
    raise invalid("not a date (YYYY-MM-DD)")


def parse_datetime(value: object, notes: list[Note], manner: Manner) -> dt.datetime | None:
    """A moment in UTC; of a date its first one in the zone. What has no zone is read in the mapping's (`moment_of`)."""
    if isinstance(value, dt.datetime):
        return _instant(value, notes, manner)
    if isinstance(value, dt.date):
        return start_of(value, manner.zone)
    if not isinstance(value, str):
        raise invalid("not a date and time")
    text = text_of(value).strip()
    if not text:
        return None
    if _DATE.fullmatch(text):
        return start_of(dt.date.fromisoformat(text), manner.zone)
    match = _DATETIME.fullmatch(text)
    if match is None:
        raise invalid("not a date and time (YYYY-MM-DDTHH:MM:SS with Z or an offset)")
    _note_fraction(match, notes)
    return _instant(dt.datetime.fromisoformat(_iso(text)), notes, manner)


def parse_time(value: object, notes: list[Note]) -> dt.time | None:
    """A time of day. A zone other than UTC is a ZONE loss; a UTC mark is dropped."""
    if isinstance(value, dt.time):
        clock = value
    elif isinstance(value, str):
        text = text_of(value).strip()
        if not text:
            return None
        match = _TIME.fullmatch(text)
        if match is None:
            raise invalid("not a time of day (HH:MM:SS)")
        _note_fraction(match, notes)
        clock = dt.time.fromisoformat(_iso(text))
    else:
        raise invalid("not a time of day")
    if clock.tzinfo is not None and clock.utcoffset() != dt.timedelta(0):
        notes.append(Note(LossKind.ZONE, "a time of day has no zone"))
    return dt.time(clock.hour, clock.minute, clock.second, clock.microsecond)


def set_parser(separator: str) -> Callable[[object, list[Note]], tuple[str, ...]]:
    """A parser of sets whose text form joins elements by ``separator``."""

    def parse(value: object, notes: list[Note]) -> tuple[str, ...]:
        if isinstance(value, str):
            text = text_of(value)
            parts = text.split(separator) if separator else [text]
        else:
            parts = [part for element in _elements(value) if (part := _element(element, notes)) is not None]
        stripped = (part.strip() for part in parts)
        return tuple(dict.fromkeys(part for part in stripped if part))

    return parse


def text_of(value: object, separator: str = ";") -> str:
    """The text of a scalar, as every text-valued side writes it: ``true``, ``1.5``, ``2024-01-31T08:00:00Z``.

    :raises Refusal: the value is of no kind that a field holds.
    """
    match value:
        case str():
            return str.__str__(value)
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            number = parse_decimal(value, [])
            return format(number, "f") if number is not None else ""
        case dt.datetime():
            return _instant_text(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return duration_text(dt.timedelta(value.days, value.seconds, value.microseconds))
        case tuple() | list() | set() | frozenset():
            return separator.join(text_of(element, separator) for element in _elements(value))
    raise invalid("the value is of no kind that a field holds")


def _elements(value: object) -> list[object]:
    match value:
        case tuple() | list():
            return list(value)
        case set() | frozenset():
            # A set has no order of its own; a fixed one keeps conversion a function of the value.
            return sorted(value, key=lambda element: (type(element).__name__, text_of(element)))
        case str() | bool() | int() | float() | Decimal():
            return [value]
    raise invalid("not a set of texts")


def _element(element: object, notes: list[Note]) -> str | None:
    try:
        if element is not None and not isinstance(element, tuple | list | set | frozenset):
            return text_of(element)
    except Refusal:
        pass
    notes.append(Note(LossKind.DROPPED_ELEMENT, "an element is not a text"))
    return None


def _checked(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise invalid("not a finite number")
    if number and (abs(number.adjusted()) > MAX_DIGITS or len(number.as_tuple().digits) > MAX_DIGITS):
        raise invalid(f"a number of more than {MAX_DIGITS} digits")
    if not number:
        return Decimal(0)
    return number


def _date_of(moment: dt.datetime, notes: list[Note], manner: Manner) -> dt.date:
    if moment.utcoffset() is not None:
        return day_of(moment, manner.zone, notes)
    if moment.time() != dt.time():
        notes.append(Note(LossKind.PRECISION, "a date has no time of day"))
    return moment.date()


def _instant(moment: dt.datetime, notes: list[Note], manner: Manner) -> dt.datetime:
    if moment.utcoffset() is None:
        moment = moment_of(moment, manner.zone, notes)
    moment = moment.astimezone(dt.UTC)
    return dt.datetime.combine(dt.date(moment.year, moment.month, moment.day), moment.time(), dt.UTC)


def _instant_text(moment: dt.datetime) -> str:
    if moment.utcoffset() is None:
        return moment.isoformat()
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"


def _iso(text: str) -> str:
    # The standard library reads neither a small z nor a space before the zone.
    upper = text.upper()
    return upper.replace(" Z", "Z").replace(" +", "+").replace(" -", "-")


def _note_fraction(match: re.Match[str], notes: list[Note]) -> None:
    fraction = match["fraction"] or ""
    if fraction[_MICROSECOND_DIGITS:].strip("0"):
        notes.append(Note(LossKind.PRECISION, "a fraction of a second finer than a microsecond", tolerated=True))


def _no_constant(_word: str) -> NoReturn:
    raise invalid("not JSON")
