"""Random expressions of a wanted type, made from the catalogue of functions itself, and records to run them on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from hypothesis import strategies as st

from crmsync.mapping.expressions import Call, Literal, Name, Node, Table, ValueType
from crmsync.mapping.expressions.catalogue import Function, Parameter
from crmsync.mapping.expressions.forms import FORMS, Form
from crmsync.mapping.expressions.functions import FUNCTIONS
from crmsync.mapping.expressions.reading import negated
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldType
from crmsync.testing.strategies import anything, texts

FIELDS: Final[Mapping[str, FieldType]] = {
    "name": FieldType.TEXT,
    "Account.Name": FieldType.TEXT,
    "Full ] Name": FieldType.EMAIL,
    "amount": FieldType.CURRENCY,
    "seats": FieldType.INTEGER,
    "flag": FieldType.BOOLEAN,
    "born": FieldType.DATE,
    "seen": FieldType.DATETIME,
    "opens": FieldType.TIME,
    "tags": FieldType.TAGS,
}
_OF_TYPE: Final[Mapping[ValueType, tuple[str, ...]]] = {
    ValueType.TEXT: ("name", "Account.Name", "Full ] Name"),
    ValueType.NUMBER: ("amount", "seats"),
    ValueType.BOOLEAN: ("flag",),
    ValueType.DATE: ("born",),
    ValueType.DATETIME: ("seen",),
    ValueType.TIME: ("opens",),
    ValueType.LIST: ("tags",),
}
_DATES: Final = ("dd.MM.yyyy", "yyyyMMdd", "yyyy-MM-dd 'at' ")
_CONSTANTS: Final[Mapping[str, tuple[str | int, ...]]] = {
    "separator": (" ", ";", ", ", "\n", "é"),
    "old": ("a", "  ", "x'y"),
    "decimals": (0, 1, 2, 20),
    "grouping": ("", ",", ".", " "),
    "point": (".", ","),
    "group": (0, 1, 9),
    "replacement": ("", "$1-$0", "$$", "x"),
}
_PATTERNS: Final = (r"\w+", r"(\d+)-(\d*)", r"(a*)*b", r"^$", r"[^@\s]+@(.*)", ".")
_MOST_DEEP: Final = 2

TYPES: Final = tuple(_OF_TYPE)


@st.composite
def programs(draw: st.DrawFn, kind: ValueType, depth: int = 0) -> Node:
    """An expression that gives this type."""
    ways = ["constant", "field", "field"] if depth >= _MOST_DEEP else ["constant", "field", "call", "form", "lookup"]
    match draw(st.sampled_from(ways)):
        case "call":
            return draw(_calls(kind, depth))
        case "form":
            return draw(_forms(kind, depth))
        case "lookup" if kind in (ValueType.TEXT, ValueType.NUMBER):
            return draw(_lookups(kind, depth))
        case "constant":
            return draw(_constants(kind))
        case _:
            return Name(draw(st.sampled_from(_OF_TYPE[kind])))


def _constants(kind: ValueType) -> st.SearchStrategy[Node]:
    whole = st.integers(0, 10**12).map(lambda digits: Decimal(digits).scaleb(-3))
    chosen: Mapping[ValueType, st.SearchStrategy[Node]] = {
        ValueType.TEXT: st.text(max_size=12).filter(_readable).map(Literal),
        ValueType.NUMBER: whole.flatmap(lambda n: st.sampled_from([Literal(n), negated(Literal(n))])),
        ValueType.BOOLEAN: st.booleans().map(Literal),
    }
    return chosen.get(kind, st.just(Literal(None)))


def _readable(value: str) -> bool:
    return all(not 0xD800 <= ord(char) < 0xE000 for char in value)


@st.composite
def _calls(draw: st.DrawFn, kind: ValueType, depth: int) -> Node:
    fit = [each for each in FUNCTIONS.values() if kind == each.gives or (each.gives is None and _keeps(each, kind))]
    function = draw(st.sampled_from(fit))
    count = draw(st.integers(function.least, len(function.parameters)))
    given_kind = kind if function.gives is None else None
    arguments = [
        draw(_arguments(function, parameter, depth, given_kind if not place else None))
        for place, parameter in enumerate(function.parameters[:count])
    ]
    if function.repeats:
        arguments += draw(st.lists(_arguments(function, function.parameters[-1], depth, None), max_size=2))
    if function.name == "-" and draw(st.booleans()):
        return negated(arguments[0])
    return Call(function.name, tuple(arguments))


def _keeps(function: Function, kind: ValueType) -> bool:
    return kind in function.parameters[0].types


def _arguments(function: Function, parameter: Parameter, depth: int, kind: ValueType | None) -> st.SearchStrategy[Node]:
    if parameter.prepare is None:
        return programs(kind or sorted(parameter.types)[depth % len(parameter.types)], depth + 1)
    if parameter.name == "pattern":
        known = _DATES if "date" in function.name else _PATTERNS
        return st.sampled_from(known[:2] if function.name == "parse_date" else known).map(Literal)
    return st.sampled_from(_CONSTANTS[parameter.name]).map(
        lambda value: Literal(value if isinstance(value, str) else Decimal(value))
    )


@st.composite
def _forms(draw: st.DrawFn, kind: ValueType, depth: int) -> Node:
    fit = [each for each in FORMS.values() if each.gives in (kind, None)]
    form = draw(st.sampled_from(fit))
    count = draw(st.integers(form.least, form.most or form.least + 2))
    alike = kind if form.gives is None else draw(st.sampled_from(_comparable(form)))
    arguments = []
    for place in range(count):
        wanted = form.types[min(place, len(form.types) - 1)]
        chosen = alike if wanted is None else draw(st.sampled_from(sorted(wanted)))
        arguments.append(draw(programs(chosen, depth + 1)))
    return Call(form.name, tuple(arguments))


def _comparable(form: Form) -> list[ValueType]:
    ordered: list[ValueType] = [kind for kind in TYPES if kind is not ValueType.LIST]
    return ordered if form.name in ("<", "<=", ">", ">=") else list(TYPES)


@st.composite
def _lookups(draw: st.DrawFn, kind: ValueType, depth: int) -> Node:
    keys = draw(st.lists(st.sampled_from("abcdé"), min_size=1, max_size=3, unique=True))
    values = st.sampled_from(["x", "y", ""]).map(Literal) if kind is ValueType.TEXT else _constants(kind)
    table = Table(tuple((Literal(key), _literal(draw(values))) for key in keys))
    rest = (draw(programs(kind, depth + 1)),) if draw(st.booleans()) else ()
    return Call("lookup", (draw(programs(ValueType.TEXT, depth + 1)), table, *rest))


def _literal(node: Node) -> Literal:
    assert isinstance(node, Literal)
    return node


def fitting(kind: FieldType) -> st.SearchStrategy[object]:
    """Values that a side holds in a field of this type."""
    found: Mapping[FieldType, st.SearchStrategy[object]] = {
        FieldType.CURRENCY: st.decimals(-(10**9), 10**9, places=2),
        FieldType.INTEGER: st.integers(-1000, 10**6),
        FieldType.BOOLEAN: st.booleans(),
        FieldType.DATE: st.dates(),
        FieldType.DATETIME: st.datetimes(timezones=st.just(dt.UTC)),
        FieldType.TIME: st.times(),
        FieldType.TAGS: st.lists(st.sampled_from(["a", "b c", "é"]), unique=True).map(tuple),
    }
    return found.get(kind, texts())


_FITTING: Final = st.fixed_dictionaries(
    {name: st.one_of(fitting(kind), st.just(MISSING), st.none()) for name, kind in FIELDS.items()}
)


@st.composite
def records(draw: st.DrawFn, *, hostile: bool = False) -> dict[str, object]:
    """A record: values that fit, blanks, fields that are not shown, and if ``hostile`` anything at all."""
    record = {name: value for name, value in draw(_FITTING).items() if value is not MISSING}
    if hostile:
        record |= dict.fromkeys(draw(st.lists(st.sampled_from(tuple(FIELDS)), max_size=4)), draw(anything()))
    return record
