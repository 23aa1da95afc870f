"""Functions on texts and lists."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from crmsync.mapping.expressions.catalogue import Function, constant, function, number, of, text
from crmsync.mapping.expressions.values import MAX_TEXT, TOO_LONG, Failed, ValueType, bounded_text

_APOSTROPHES: Final = "'\N{RIGHT SINGLE QUOTATION MARK}"
_WORD: Final = re.compile(rf"[^\W\d_]+(?:[{_APOSTROPHES}][^\W\d_]+)*")
_APOSTROPHE: Final = re.compile(f"([{_APOSTROPHES}])")
_SPACE: Final = re.compile(r"\s+")
_NOT_WHOLE: Final = Failed("a count or a position must be a whole number")


def nonempty(value: str) -> str:
    """A constant that separates or is looked for.

    :raises ValueError: it is empty.
    """
    if not value:
        raise ValueError("the text must not be empty")
    return value


def _whole(value: Decimal) -> int | None:
    if value != value.to_integral_value():
        return None
    # Beyond any text there is nothing to tell apart.
    return int(value) if abs(value) <= MAX_TEXT else (MAX_TEXT + 1) * (1 if value > 0 else -1)


def title(value: str) -> str:
    """Each word with a capital, and one after ``O'`` and its like; the rest small."""

    def one(match: re.Match[str]) -> str:
        first, *rest = _APOSTROPHE.split(match[0])
        short = len(first) == 1
        return first.capitalize() + "".join(part.capitalize() if short else part.lower() for part in rest)

    return _WORD.sub(one, value)


def _left(value: str, count: Decimal) -> object:
    whole = _whole(count)
    return _NOT_WHOLE if whole is None else value[: max(whole, 0)]


def _right(value: str, count: Decimal) -> object:
    whole = _whole(count)
    return _NOT_WHOLE if whole is None else value[max(len(value) - max(whole, 0), 0) :]


def _substring(value: str, start: Decimal, length: Decimal | None = None) -> object:
    first, count = _whole(start), None if length is None else _whole(length)
    if first is None or (length is not None and count is None):
        return _NOT_WHOLE
    begin = max(first - 1, 0)
    return value[begin:] if count is None else value[begin : begin + max(count, 0)]


def _replace(value: str, old: str, new: str) -> object:
    if len(new) > len(old) and len(value) + value.count(old) * (len(new) - len(old)) > MAX_TEXT:
        return TOO_LONG
    return value.replace(old, new)


def _before(value: str, separator: str) -> object:
    return value.partition(separator)[0]


def _after(value: str, separator: str) -> object:
    _, found, rest = value.partition(separator)
    return rest if found else None


def _at(parts: tuple[str, ...] | list[str], position: Decimal) -> object:
    whole = _whole(position)
    if whole is None:
        return _NOT_WHOLE
    if not 0 < abs(whole) <= len(parts):
        return None
    return parts[whole - 1 if whole > 0 else whole]


def _part(value: str, separator: str, position: Decimal) -> object:
    return _at(value.split(separator), position)


def _split(value: str, separator: str) -> object:
    return tuple(dict.fromkeys(part for each in value.split(separator) if (part := each.strip())))


def _join(values: tuple[str, ...], separator: str) -> object:
    if sum(map(len, values)) + len(separator) * len(values) > MAX_TEXT:
        return TOO_LONG
    return separator.join(values)


def _contains(value: str | tuple[str, ...], part: str) -> object:
    return part in value


def _upper(value: str) -> object:
    return bounded_text(value.upper())


def _lower(value: str) -> object:
    return bounded_text(value.lower())


_TEXT, _NUMBER, _BOOLEAN, _LIST = ValueType.TEXT, ValueType.NUMBER, ValueType.BOOLEAN, ValueType.LIST
_SEPARATOR: Final = constant("separator", _TEXT, nonempty)

TEXT_FUNCTIONS: Final[tuple[Function, ...]] = (
    function("upper", (text(),), _TEXT, _upper, "In capitals."),
    function("lower", (text(),), _TEXT, _lower, "In small letters."),
    function("title", (text(),), _TEXT, lambda value: bounded_text(title(value)), "Each word with a capital."),
    function("trim", (text(),), _TEXT, str.strip, "Without white space at both ends."),
    function(
        "squeeze",
        (text(),),
        _TEXT,
        lambda value: _SPACE.sub(" ", value).strip(),
        "Trimmed, and every run of white space within made one space.",
    ),
    function(
        "length",
        (of(_TEXT, _LIST, name="value"),),
        _NUMBER,
        lambda value: Decimal(len(value)),
        "How many characters a text has, or elements a list.",
    ),
    function("left", (text(), number("count")), _TEXT, _left, "The first characters."),
    function("right", (text(), number("count")), _TEXT, _right, "The last characters."),
    function(
        "substring",
        (text(), number("start"), number("length")),
        _TEXT,
        _substring,
        "Characters from a position on, which counts from 1.",
        optional=1,
    ),
    function(
        "replace",
        (text(), constant("old", _TEXT, nonempty), text("new")),
        _TEXT,
        _replace,
        "Every occurrence of a text replaced by another.",
    ),
    function("before", (text(), _SEPARATOR), _TEXT, _before, "What stands before a separator; all of it without one."),
    function("after", (text(), _SEPARATOR), _TEXT, _after, "What stands after a separator; null without one."),
    function(
        "part",
        (text(), _SEPARATOR, number("position")),
        _TEXT,
        _part,
        "One of the parts between separators, counted from 1, or from the end by -1; null if there is none.",
    ),
    function("starts_with", (text(), text("part")), _BOOLEAN, str.startswith, "Whether a text begins with another."),
    function("ends_with", (text(), text("part")), _BOOLEAN, str.endswith, "Whether a text ends with another."),
    function(
        "contains",
        (of(_TEXT, _LIST, name="value"), text("part")),
        _BOOLEAN,
        _contains,
        "Whether a text holds another, or a list an element.",
    ),
    function(
        "split",
        (text(), _SEPARATOR),
        _LIST,
        _split,
        "The parts between separators as a list, trimmed, without blanks and repetitions.",
    ),
    function("join", (of(_LIST, name="list"), _SEPARATOR), _TEXT, _join, "The elements of a list as one text."),
    function(
        "element",
        (of(_LIST, name="list"), number("position")),
        _TEXT,
        _at,
        "One element of a list, counted from 1, or from the end by -1; null if there is none.",
    ),
)
