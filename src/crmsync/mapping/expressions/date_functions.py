"""Functions on dates, times and instants. There is no "today": a computed field changes only when its record does."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import attrs

from crmsync.mapping.expressions.catalogue import Function, constant, function, number, of, text
from crmsync.mapping.expressions.values import Failed, ValueType
from crmsync.mapping.losses import Note, Refusal
from crmsync.mapping.manner import PLAIN
from crmsync.mapping.parsing import Parser
from crmsync.mapping.readers import parser_of
from crmsync.models.schema import FieldType

_TOKEN: Final = re.compile(r"yyyy|MM|dd|HH|mm|ss|'(?P<quoted>[^']*)'|(?P<letter>[A-Za-z])|(?P<other>.)", re.DOTALL)
_WIDTHS: Final = {"yyyy": 4, "MM": 2, "dd": 2, "HH": 2, "mm": 2, "ss": 2}
_ATTRIBUTES: Final = {"yyyy": "year", "MM": "month", "dd": "day", "HH": "hour", "mm": "minute", "ss": "second"}
_DATE_PARTS: Final = frozenset({"yyyy", "MM", "dd"})
_CLOCK_PARTS: Final = frozenset({"HH", "mm", "ss"})
_LONGEST: Final = 100
_OUT_OF_RANGE: Final = Failed("the date is not in the years 1 to 9999")
_OTHER_FORM: Final = Failed("the text does not have the form of the pattern")
_MOST_DAYS: Final = 4_000_000
_YEAR: Final = 12


@attrs.frozen(slots=True)
class DatePattern:
    """A form of dates: the parts that it names, such as ``yyyy``, how one is written by it, and how it is read."""

    parts: frozenset[str]
    form: str
    expression: re.Pattern[str]

    def write(self, value: dt.date) -> str:
        """A date or instant in this form; a date's time of day is midnight."""
        if not isinstance(value, dt.datetime) and self.parts & _CLOCK_PARTS:
            value = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
        return self.form.format(value)

    def read(self, value: str) -> dt.datetime | None:
        """The instant that a text in this form says; None if it says none."""
        match = self.expression.fullmatch(value.strip())
        if match is None:
            return None
        found = {name: int(match[name]) for name in self.parts}
        try:
            return dt.datetime(
                found["yyyy"],
                found["MM"],
                found["dd"],
                found.get("HH", 0),
                found.get("mm", 0),
                found.get("ss", 0),
                tzinfo=dt.UTC,
            )
        except ValueError:
            return None


def date_pattern(value: str) -> DatePattern:
    """A constant that says how dates are written.

    :raises ValueError: it says nothing, or has letters that stand for nothing.
    """
    if len(value) > _LONGEST:
        msg = f"the pattern has more than {_LONGEST} characters"
        raise ValueError(msg)
    parts: set[str] = set()
    form = expression = ""
    for match in _TOKEN.finditer(value):
        if match["letter"]:
            msg = f"{match['letter']!r} stands for nothing; there are {', '.join(_WIDTHS)}, and 'text in single quotes'"
            raise ValueError(msg)
        part = match[0]
        if part in parts:
            msg = f"{part} stands there twice"
            raise ValueError(msg)
        if part in _WIDTHS:
            parts.add(part)
            form += f"{{0.{_ATTRIBUTES[part]}:0{_WIDTHS[part]}}}"
            expression += f"(?P<{part}>[0-9]{{{_WIDTHS[part]}}})"
            continue
        between = match["other"] if match["quoted"] is None else match["quoted"]
        form += between.replace("{", "{{").replace("}", "}}")
        expression += re.escape(between)
    if not parts:
        msg = f"the pattern names no part of a date: {', '.join(_WIDTHS)}"
        raise ValueError(msg)
    return DatePattern(frozenset(parts), form, re.compile(expression))


def _whole_date(value: str) -> DatePattern:
    pattern = date_pattern(value)
    if not pattern.parts >= _DATE_PARTS:
        raise ValueError("to read a date the pattern needs yyyy, MM and dd")
    return pattern


def _date_only(value: str) -> DatePattern:
    pattern = _whole_date(value)
    if pattern.parts & _CLOCK_PARTS:
        raise ValueError("a date has no HH, mm and ss; use parse_datetime")
    return pattern


def _parse_date(value: str, pattern: DatePattern) -> object:
    if not value.strip():
        return None
    moment = pattern.read(value)
    return _OTHER_FORM if moment is None else moment.date()


def _parse_datetime(value: str, pattern: DatePattern) -> object:
    if not value.strip():
        return None
    return pattern.read(value) or _OTHER_FORM


def _moved(value: dt.date, count: Decimal, unit: dt.timedelta) -> object:
    if count != count.to_integral_value():
        return Failed("a number of days, hours or minutes must be whole")
    if abs(count) * Decimal(unit.total_seconds()) > _MOST_DAYS * 86_400:
        return _OUT_OF_RANGE
    try:
        return value + int(count) * unit
    except OverflowError:
        return _OUT_OF_RANGE


def _add_months(value: dt.date, count: Decimal) -> object:
    if count != count.to_integral_value():
        return Failed("a number of months must be whole")
    if abs(count) > _MOST_DAYS:
        return _OUT_OF_RANGE
    years, month = divmod(value.year * _YEAR + value.month - 1 + int(count), _YEAR)
    if not dt.MINYEAR <= years <= dt.MAXYEAR:
        return _OUT_OF_RANGE
    return value.replace(year=years, month=month + 1, day=min(value.day, calendar.monthrange(years, month + 1)[1]))


def _days_between(first: dt.date, second: dt.date) -> object:
    ends = [each.date() if isinstance(each, dt.datetime) else each for each in (first, second)]
    return Decimal((ends[1] - ends[0]).days)


def _reading(kind: FieldType) -> Callable[[object], object]:
    parse: Parser = parser_of(kind, PLAIN)

    def read(value: object) -> object:
        notes: list[Note] = []
        try:
            parsed = parse(value, notes)
        except Refusal as refusal:
            return Failed(refusal.note.message)
        except (ValueError, OverflowError):
            return _OUT_OF_RANGE
        # That a date leaves the time of day behind is what was asked for.
        return parsed if kind is FieldType.DATE or all(note.tolerated for note in notes) else Failed(notes[0].message)

    return read


_TEXT, _NUMBER, _DATE, _DATETIME = ValueType.TEXT, ValueType.NUMBER, ValueType.DATE, ValueType.DATETIME
_DAY: Final = of(_DATE, _DATETIME, name="date")
_INSTANT: Final = of(_DATETIME, name="datetime")

DATE_FUNCTIONS: Final[tuple[Function, ...]] = (
    function(
        "date",
        (of(_TEXT, _DATE, _DATETIME, name="value"),),
        _DATE,
        _reading(FieldType.DATE),
        "The date that a text (YYYY-MM-DD) says, or of an instant in UTC.",
    ),
    function(
        "datetime",
        (of(_TEXT, _DATE, _DATETIME, name="value"),),
        _DATETIME,
        _reading(FieldType.DATETIME),
        "The instant that a text with a zone says; midnight UTC of a date.",
    ),
    function(
        "time",
        (of(_TEXT, ValueType.TIME, name="value"),),
        ValueType.TIME,
        _reading(FieldType.TIME),
        "The time of day that a text (HH:MM:SS) says.",
    ),
    function(
        "parse_date",
        (text(), constant("pattern", _TEXT, _date_only)),
        _DATE,
        _parse_date,
        "The date that a text in this form says.",
    ),
    function(
        "parse_datetime",
        (text(), constant("pattern", _TEXT, _whole_date)),
        _DATETIME,
        _parse_datetime,
        "The instant in UTC that a text in this form says.",
    ),
    function(
        "format_date",
        (_DAY, constant("pattern", _TEXT, date_pattern)),
        _TEXT,
        lambda value, pattern: pattern.write(value),
        "A date or an instant in UTC as text, by yyyy, MM, dd, HH, mm, ss.",
    ),
    function(
        "add_days",
        (_DAY, number("count")),
        None,
        lambda value, count: _moved(value, count, dt.timedelta(days=1)),
        "So many days later. An instant stays one.",
    ),
    function("add_months", (_DAY, number("count")), None, _add_months, "So many months later, at most at their end."),
    function(
        "add_hours",
        (_INSTANT, number("count")),
        _DATETIME,
        lambda value, count: _moved(value, count, dt.timedelta(hours=1)),
        "So many hours later.",
    ),
    function(
        "add_minutes",
        (_INSTANT, number("count")),
        _DATETIME,
        lambda value, count: _moved(value, count, dt.timedelta(minutes=1)),
        "So many minutes later.",
    ),
    function(
        "days_between",
        (_DAY, of(_DATE, _DATETIME, name="later")),
        _NUMBER,
        _days_between,
        "How many days the second date is after the first.",
    ),
    function("year", (_DAY,), _NUMBER, lambda value: Decimal(value.year), "The year."),
    function("month", (_DAY,), _NUMBER, lambda value: Decimal(value.month), "The month, 1 to 12."),
    function("day", (_DAY,), _NUMBER, lambda value: Decimal(value.day), "The day of the month."),
    function("weekday", (_DAY,), _NUMBER, lambda value: Decimal(value.isoweekday()), "1 on Monday to 7 on Sunday."),
)
