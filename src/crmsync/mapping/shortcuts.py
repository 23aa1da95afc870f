"""What tells a value that converts in one step: a few tests of its type and its form, as lines of code.

Each `Case` says when it may be taken and what comes out, in expressions that `crmsync.mapping.generated` puts together
to one function for a field or for a whole record. A case only ever covers values that the steps of the conversion turn
into the very same thing without a note; whatever no case covers goes through the steps.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import attrs

from crmsync.mapping.fitting import second_unit
from crmsync.mapping.losses import Flawed
from crmsync.mapping.parsing import FALSE_WORDS, MAX_DIGITS, TRUE_WORDS
from crmsync.models.schema import FieldSchema, FieldType

_STRINGS: Final = frozenset(
    {FieldType.TEXT, FieldType.PHONE, FieldType.URL, FieldType.PICKLIST, FieldType.REFERENCE, FieldType.ID}
)
_DECIMALS: Final = frozenset({FieldType.DECIMAL, FieldType.CURRENCY, FieldType.PERCENT})
_NO_LIMIT: Final = 2**62
_SHORT: Final = 18
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


@attrs.frozen(slots=True)
class Case:
    """When a value takes a shortcut, and to what.

    ``test`` and ``result`` are Python expressions in which ``{v}`` stands for the value and each name of ``bound`` for
    what it is bound to: they are written here and nowhere else, so no word of a user's is ever in the code. A result
    may raise ValueError or ArithmeticError for a value that its test was too coarse for. ``text``: the value passes as
    it is if it also holds none of the characters that cannot be stored, which is tested for a whole record at once.
    """

    test: str
    result: str = "{v}"
    bound: Mapping[str, object] = attrs.field(default=_NOTHING, repr=False)
    text: bool = False


def cases_of(
    kind: FieldType,
    target: FieldSchema,
    names: Mapping[str, str] | None,
    slow: Callable[[object], object],
    *,
    listed: bool = False,
) -> tuple[Case, ...]:
    """The shortcuts of a conversion of values that mean ``kind``. ``slow`` is the conversion step by step.

    ``listed``: the mapping looks every value up in the target's list of options.
    """
    if kind.set_valued or target.type.set_valued:
        return ()
    options = target.options if target.restricted or listed else ()
    if names is not None:
        return _table((*names, *options), slow)
    if kind is FieldType.BOOLEAN:
        itself = (Case("{v} is True or {v} is False"),) if target.type is kind else ()
        return (*itself, *_table(_spellings(TRUE_WORDS | FALSE_WORDS), slow))
    if kind in (FieldType.EMAIL, *_STRINGS):
        return _texts(kind, target, options, slow)
    if kind in _DECIMALS and target.type in _DECIMALS:
        return _decimals(target)
    if kind is not target.type:
        return ()
    if kind is FieldType.INTEGER:
        return _integers(target)
    if kind is FieldType.DATE:
        return _DATES
    return _datetimes(target) if kind is FieldType.DATETIME else ()


def _spellings(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({spelt for word in words for spelt in (word, word.upper(), word.title())}))


def _table(words: Iterable[str], slow: Callable[[object], object]) -> tuple[Case, ...]:
    """Words that are known beforehand are converted beforehand."""
    converted = {word: slow(word) for word in words}
    table = {word: result for word, result in converted.items() if type(result) is not Flawed}
    return (Case("type({v}) is str and {v} in {table}", "{table}[{v}]", {"table": table}),) if table else ()


def _texts(
    kind: FieldType, target: FieldSchema, options: tuple[str, ...], slow: Callable[[object], object]
) -> tuple[Case, ...]:
    if target.type not in (kind, FieldType.TEXT):
        return ()
    if options:
        return _table(options, slow)
    limit = {"limit": target.length or _NO_LIMIT}
    if kind is not FieldType.EMAIL:
        return (Case("type({v}) is str and len({v}) <= {limit}", bound=limit, text=True),)
    # White space within is refused: all of it but the plain space is not printable.
    form = '{v}.count("@") == 1 and {v}[0] != "@" != {v}[-1] and " " not in {v} and {v}.isprintable()'
    return (Case(f"type({{v}}) is str and len({{v}}) <= {{limit}} and {form}", bound=limit),)


def _integers(target: FieldSchema) -> tuple[Case, ...]:
    digits = target.precision or MAX_DIGITS
    return (
        Case("type({v}) is int and {least} < {v} < {limit}", bound={"least": -(10**digits), "limit": 10**digits}),
        Case(
            "type({v}) is str and len({v}) <= {digits} and {v}.isdigit() and {v}.isascii()",
            "int({v})",
            {"digits": min(digits, _SHORT)},
        ),
    )


def _decimals(target: FieldSchema) -> tuple[Case, ...]:
    """Numbers with just the digits after the point that the field keeps, as money is mostly written."""
    scale = target.scale
    if scale is None or scale < 1:
        return ()
    digits = min((target.precision or MAX_DIGITS) - scale, MAX_DIGITS - scale)
    if digits < 1:
        return ()
    bound = {"step": Decimal(1).scaleb(-scale), "digits": digits}
    longest = min(digits, _SHORT) + scale + 1
    text = {"scale": scale, "longest": longest, "point": -scale - 1, "Decimal": Decimal, "zero": Decimal(0)}
    # `replace` takes one point away, so that only digits are left of a plain number.
    form = '{v}[{point}] == "." and {v}.replace(".", "", 1).isdigit() and {v}.isascii()'
    return (
        Case(
            "type({v}) is {Decimal} and {v}.same_quantum({step}) and {v} and {v}.adjusted() < {digits}",
            bound={**bound, "Decimal": Decimal},
        ),
        Case(
            f"type({{v}}) is str and {{scale}} < len({{v}}) <= {{longest}} and {form}", "{Decimal}({v}) or {zero}", text
        ),
    )


_DATES: Final = (
    Case("type({v}) is {date}", bound={"date": dt.date}),
    Case(
        'type({v}) is str and len({v}) == 10 and {v}[4] == "-" == {v}[7]',
        "{read}({v})",
        {"read": dt.date.fromisoformat},
    ),
)


def _datetimes(target: FieldSchema) -> tuple[Case, ...]:
    """Instants in UTC. In ``YYYY-MM-DDTHH:MM:SSZ`` each third character from the fifth on is punctuation."""
    bound = {"datetime": dt.datetime, "utc": dt.UTC, "unit": second_unit(target)}
    return (
        Case("type({v}) is {datetime} and {v}.tzinfo is {utc} and not {v}.microsecond % {unit}", bound=bound),
        Case(
            'type({v}) is str and len({v}) == 20 and {v}[4::3] == "--T::Z"',
            "{read}({v})",
            {"read": dt.datetime.fromisoformat},
        ),
    )


SAFE: Final = Case('"\\0" not in {v} and ({v}.isascii() or {v}.encode())')
"""The test of a text for characters that cannot be stored: half a character cannot be encoded (a ValueError)."""
