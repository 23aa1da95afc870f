"""Functions on numbers. They are decimal, to 50 digits; what has no result (a division by zero) fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, DecimalException
from typing import Final

from crmsync.mapping.expressions.catalogue import Function, Parameter, constant, function, number, text
from crmsync.mapping.expressions.values import NUMBERS, Failed, ValueType, checked_number
from crmsync.mapping.losses import Refusal
from crmsync.mapping.parsing import parse_decimal

_MOST_DECIMALS: Final = 20
_GROUPS: Final = re.compile(r"[0-9]{1,3}(?:_[0-9]{3})+")
_POINTS: Final = ".,"
_MARKS: Final = (
    ",",
    ".",
    " ",
    "'",
    "\N{RIGHT SINGLE QUOTATION MARK}",
    "\N{NO-BREAK SPACE}",
    "\N{NARROW NO-BREAK SPACE}",
    "",
)
_NO_NUMBER: Final = Failed("not a number")
_NO_RESULT: Final = Failed("the numbers have no such result (a division by zero, or one too large)")


def computed(compute: Callable[..., Decimal]) -> Callable[..., object]:
    """A function on numbers that fails where there is no result."""

    def run(*numbers: Decimal) -> object:
        try:
            return checked_number(compute(*numbers))
        except DecimalException:
            return _NO_RESULT

    return run


def decimals(value: Decimal) -> int:
    """A constant number of places after the point.

    :raises ValueError: it is none.
    """
    if value != value.to_integral_value() or not 0 <= value <= _MOST_DECIMALS:
        msg = f"the decimals must be a whole number from 0 to {_MOST_DECIMALS}"
        raise ValueError(msg)
    return int(value)


def grouping(value: str) -> str:
    """A constant that stands between groups of three digits.

    :raises ValueError: it is none.
    """
    if value not in _MARKS:
        raise ValueError('groups of digits are separated by ",", ".", " ", an apostrophe, or "" for none')
    return value


def point(value: str) -> str:
    """A constant that stands before the decimals.

    :raises ValueError: it is none.
    """
    if len(value) != 1 or value not in _POINTS:
        raise ValueError('the decimal point is "." or ","')
    return value


def _round(value: Decimal, places: int = 0) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, NUMBERS)


def _floored(value: Decimal, divisor: Decimal) -> Decimal:
    return NUMBERS.divide(value, divisor).to_integral_value(ROUND_FLOOR)


def _format(value: Decimal, places: int, group: str = "", mark: str = ".") -> object:
    try:
        rounded = _round(value, places)
    except DecimalException:
        return _NO_RESULT
    # A zero has no sign.
    shown = format(rounded or abs(rounded), ",f" if group else "f")
    return shown.replace(".", "\0").replace(",", group).replace("\0", mark)


def _parse(value: str, group: str = "", mark: str = ".") -> object:
    given = value.strip()
    if not given:
        return None
    whole, found, fraction = given.partition(mark)
    if group and group in whole:
        sign = whole[:1] if whole[:1] in ("+", "-") else ""
        digits = whole.removeprefix(sign).replace(group, "_")
        if not _GROUPS.fullmatch(digits):
            return _NO_NUMBER
        whole = sign + digits.replace("_", "")
    plain = f"{whole}.{fraction}" if found else whole
    try:
        parsed = parse_decimal(plain, []) if plain.count(".") <= 1 else None
    except Refusal:
        return _NO_NUMBER
    return _NO_NUMBER if parsed is None else checked_number(parsed)


def parsed_number(value: object) -> object:
    """A number of what has one: a text that is one, a truth value as 1 or 0."""
    if isinstance(value, bool):
        return Decimal(int(value))
    if isinstance(value, str):
        return _parse(value)
    return value if isinstance(value, Decimal) else _NO_NUMBER


_NUMBER, _TEXT = ValueType.NUMBER, ValueType.TEXT
_PLACES: Final = constant("decimals", _NUMBER, decimals)
_GROUP: Final = constant("grouping", _TEXT, grouping)
_POINT: Final = constant("point", _TEXT, point)
_NUMERIC: Final = Parameter("value", frozenset({_NUMBER, _TEXT, ValueType.BOOLEAN}))

NUMBER_FUNCTIONS: Final[tuple[Function, ...]] = (
    function("+", (number("left"), number("right")), _NUMBER, computed(NUMBERS.add), "The sum."),
    function("-", (number("left"), number("right")), _NUMBER, computed(NUMBERS.subtract), "The difference."),
    function("*", (number("left"), number("right")), _NUMBER, computed(NUMBERS.multiply), "The product."),
    function("/", (number("left"), number("right")), _NUMBER, computed(NUMBERS.divide), "The quotient."),
    function(
        "mod",
        (number(), number("divisor")),
        _NUMBER,
        computed(lambda left, right: NUMBERS.subtract(left, NUMBERS.multiply(right, _floored(left, right)))),
        "The remainder, with the sign of the divisor.",
    ),
    function("abs", (number(),), _NUMBER, computed(NUMBERS.abs), "Without its sign."),
    function("round", (number(), _PLACES), _NUMBER, computed(_round), "Rounded, half away from zero.", optional=1),
    function(
        "floor",
        (number(),),
        _NUMBER,
        computed(lambda value: value.to_integral_value(ROUND_FLOOR)),
        "The whole number at or below.",
    ),
    function(
        "ceiling",
        (number(),),
        _NUMBER,
        computed(lambda value: value.to_integral_value(ROUND_CEILING)),
        "The whole number at or above.",
    ),
    function("min", (number(),), _NUMBER, lambda *numbers: min(numbers), "The least of its arguments.", repeats=True),
    function(
        "max", (number(),), _NUMBER, lambda *numbers: max(numbers), "The greatest of its arguments.", repeats=True
    ),
    function(
        "number",
        (_NUMERIC,),
        _NUMBER,
        parsed_number,
        "The number that a text says (1234.5, no thousands separators); 1 and 0 for true and false.",
    ),
    function(
        "parse_number",
        (text(), _GROUP, _POINT),
        _NUMBER,
        _parse,
        "The number that a text says with these marks, as format_number writes it.",
        optional=2,
    ),
    function(
        "format_number",
        (number(), _PLACES, _GROUP, _POINT),
        _TEXT,
        _format,
        "A number as text, rounded to so many decimals.",
        optional=2,
    ),
)
