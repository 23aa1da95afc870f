"""Hypothesis strategies for values, fields, schemas and mappings, for property tests of providers and record stores.

Importing this module needs nothing; calling a strategy needs hypothesis.
"""

from __future__ import annotations

import datetime as dt
import string
from collections.abc import Callable, Sequence
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Final

from crmsync.errors import MissingExtraError
from crmsync.mapping import Fit, fit_of
from crmsync.models.mappings import FieldMapping, MatchKeys, ObjectMapping, OnLoss, UnknownOption
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema, Unit

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

NOTORIOUS: Final[tuple[object, ...]] = (
    0,
    False,
    "",
    "O'Brien",
    "NA",
    "#N/A",
    "null",
    "None",
    "=1+1",
    "@SUM(A1)",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "e\u0301",
    "\u05e9\u05dc\u05d5\u05dd \u202e\u0645\u0631\u062d\u0628\u0627",
    "a\x00b",
    "half a character \ud83d",
    "line\r\nfeed",
    '"quoted", comma',
    "\ufeffbyte order mark",
    " trimmed ",
    "a;b",
    dt.date(1700, 1, 1),
    dt.date(4000, 12, 31),
    dt.datetime(1700, 1, 1, tzinfo=dt.UTC),
    dt.datetime(4000, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC),
    "003D000000QV9n2",
    "003D000000QV9n2IAD",
    Decimal("0.10"),
    "01/02/2024",
    "1,000",
)
"""Values that systems like this one are known to lose, double or take for others."""


_WITHOUT_FALLBACK: Final = [UnknownOption.ACCEPT, UnknownOption.REJECT]


def _st() -> ModuleType:
    try:
        from hypothesis import strategies  # noqa: PLC0415 (the module is importable without it)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise MissingExtraError("crmsync.testing.strategies", "testing") from error
    return strategies


def texts(length: int | None = None) -> SearchStrategy[str]:
    """Texts that any field of this length can hold: no NUL, no half characters, no white space around."""
    st = _st()
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r")
    limit = 60 if length is None else length
    found: SearchStrategy[str] = st.text(characters, max_size=limit).map(str.strip)
    return found


def hostile_texts() -> SearchStrategy[str]:
    """Any text at all, the notorious ones often, lone surrogates included."""
    st = _st()
    notorious = [value for value in NOTORIOUS if isinstance(value, str)]
    found: SearchStrategy[str] = st.sampled_from(notorious) | st.text(
        st.characters(exclude_categories=[]), max_size=300
    )
    return found


def values_of(field: FieldSchema) -> SearchStrategy[object]:
    """Values that a side can hand over for this field: of its type, within its limits, now and then None."""
    st = _st()
    found: SearchStrategy[object] = (st.none() if field.nillable else st.nothing()) | _held(st, field)
    return found


def anything() -> SearchStrategy[object]:
    """Any object: values of every type, notorious ones, nested containers, and objects that raise when looked at."""
    st = _st()
    moments = st.datetimes() | st.datetimes(timezones=st.just(dt.timezone(dt.timedelta(hours=14)))) | st.times()
    numbers = st.integers() | st.floats() | st.decimals() | st.just(10**2000)
    plain = (
        st.none()
        | st.booleans()
        | numbers
        | hostile_texts()
        | moments
        | st.dates()
        | st.timedeltas()
        | st.binary(max_size=8)
    )
    odd = st.builds(object) | st.builds(_Hostile) | st.builds(_HostileText, hostile_texts()) | st.just(dt.UTC)
    nested = st.recursive(
        plain | odd,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    )
    sets = st.frozensets(st.text(max_size=5) | st.integers(), max_size=4)
    found: SearchStrategy[object] = st.sampled_from(NOTORIOUS) | nested | nested.map(lambda value: (value,)) | sets
    return found


def field_schemas(types: Sequence[FieldType] = tuple(FieldType), *, name: str = "") -> SearchStrategy[FieldSchema]:
    """Fields of these types with limits that bite, writable and readable."""
    st = _st()
    names = st.just(name) if name else st.text(string.ascii_letters, min_size=1, max_size=12)
    found: SearchStrategy[FieldSchema] = st.sampled_from(list(types)).flatmap(
        lambda kind: st.builds(FieldSchema, name=names, type=st.just(kind), **_limits(st, kind))
    )
    return found


def field_pairs(name: str = "field") -> SearchStrategy[tuple[FieldMapping, FieldSchema, FieldSchema]]:
    """A two-way field mapping with fields of both sides that can stand for each other."""
    st = _st()
    losses = st.sampled_from(list(OnLoss))

    def paired(kind: FieldType) -> SearchStrategy[tuple[FieldMapping, FieldSchema, FieldSchema]]:
        alike = [other for other in FieldType if Fit.REFUSED not in (fit_of(kind, other), fit_of(other, kind))]
        found: SearchStrategy[tuple[FieldMapping, FieldSchema, FieldSchema]] = st.tuples(
            st.builds(
                FieldMapping,
                markmail_field=st.just(name),
                crm_field=st.just(name.title()),
                field_type=st.just(kind),
                on_loss=losses,
                **_meanings(st, kind),
            ),
            field_schemas(alike, name=name),
            field_schemas(alike, name=name.title()),
        )
        return found.filter(_agree)

    pairs: SearchStrategy[tuple[FieldMapping, FieldSchema, FieldSchema]] = st.sampled_from(list(FieldType)).flatmap(
        paired
    )
    return pairs


def _meanings(st: ModuleType, kind: FieldType) -> dict[str, SearchStrategy[object]]:
    """Settings that say how the values of a type are meant."""
    if kind in (FieldType.DATE, FieldType.DATETIME):
        return {"zone": st.sampled_from(["", "Europe/Berlin", "Asia/Beirut", "America/Sao_Paulo"])}
    if kind is FieldType.PERCENT:
        units = st.sampled_from([None, Unit.PERCENT, Unit.FRACTION])
        return {"unit": units, "crm_unit": units}
    if kind is FieldType.DURATION:
        units = st.sampled_from([None, *(unit for unit in Unit if unit.of_time)])
        return {"unit": units, "crm_unit": units}
    if kind in (FieldType.TEXT, FieldType.PICKLIST) or kind.set_valued:
        return {"case_fold": st.booleans(), "unknown_option": st.sampled_from(_WITHOUT_FALLBACK)}
    return {"currency": st.sampled_from(["", "EUR"])} if kind is FieldType.CURRENCY else {}


def object_mappings(max_fields: int = 6) -> SearchStrategy[tuple[ObjectMapping, ObjectSchema, ObjectSchema]]:
    """A mapping that compiles, with the schemas of both sides. Nothing matches by e-mail."""
    st = _st()

    def assembled(
        pairs: Sequence[tuple[FieldMapping, FieldSchema, FieldSchema]],
    ) -> tuple[ObjectMapping, ObjectSchema, ObjectSchema]:
        fields, locals_, remotes = [], [], []
        for index, (mapping, local, remote) in enumerate(pairs):
            names = f"field_{index}", f"Field{index}__c"
            fields.append(mapping.model_copy(update={"markmail_field": names[0], "crm_field": names[1]}))
            locals_.append(local.model_copy(update={"name": names[0]}))
            remotes.append(remote.model_copy(update={"name": names[1]}))
        return (
            ObjectMapping(fields=tuple(fields), match=MatchKeys(local_email="", remote_email="")),
            ObjectSchema(name="subscribers", fields=tuple(locals_)),
            ObjectSchema(name="Contact", fields=tuple(remotes)),
        )

    found: SearchStrategy[tuple[ObjectMapping, ObjectSchema, ObjectSchema]] = st.lists(
        field_pairs(), min_size=1, max_size=max_fields
    ).map(assembled)
    return found


def _agree(pair: tuple[FieldMapping, FieldSchema, FieldSchema]) -> bool:
    """Text means the type of its fields, and JSON the compound among them: of two, the mapping must say which."""
    mapping, local, remote = pair
    types = {local.type, remote.type}
    if mapping.field_type is FieldType.JSON:
        return sum(kind.compound for kind in types) <= 1
    return mapping.field_type is not FieldType.TEXT or len(types - {FieldType.TEXT}) <= 1


def _held(st: ModuleType, field: FieldSchema) -> SearchStrategy[object]:
    kind = field.type
    if field.restricted and field.options and not kind.set_valued:
        chosen: SearchStrategy[object] = st.sampled_from(field.options)
        return chosen
    if kind.set_valued:
        return _sets(st, field)
    makers: dict[FieldType, Callable[[], SearchStrategy[object]]] = {
        FieldType.EMAIL: lambda: st.from_regex(r"[a-zA-Z0-9.+']{1,8}@[a-z]{1,6}\.[a-z]{2}", fullmatch=True),
        FieldType.PHONE: lambda: st.from_regex(r"\+?[0-9 ()/-]{5,16}", fullmatch=True),
        FieldType.URL: lambda: st.from_regex(r"https://[a-z]{1,8}\.org/[a-z?=&%]{0,8}", fullmatch=True),
        FieldType.ID: lambda: st.from_regex(r"[0-9A-Za-z]{15}", fullmatch=True),
        FieldType.REFERENCE: lambda: st.from_regex(r"[0-9A-Za-z]{15}", fullmatch=True),
        FieldType.INTEGER: lambda: st.integers(-(10**8), 10**8),
        FieldType.DECIMAL: lambda: _decimals(st, field),
        FieldType.CURRENCY: lambda: _decimals(st, field),
        FieldType.PERCENT: lambda: _decimals(st, field),
        FieldType.BOOLEAN: st.booleans,
        FieldType.DATE: lambda: st.dates(dt.date(1700, 1, 1), dt.date(4000, 12, 31)),
        FieldType.DATETIME: lambda: _instants(st, field),
        FieldType.TIME: lambda: st.times().map(lambda clock: clock.replace(microsecond=0)),
        FieldType.JSON: lambda: st.sampled_from(['{"a":1}', "[1,2]", '"text"', "{}", "true"]),
        FieldType.DURATION: lambda: st.timedeltas(dt.timedelta(days=-400), dt.timedelta(days=400)),
        FieldType.ADDRESS: lambda: _compounds(st, ("street", "city", "state", "postal_code", "country")),
        FieldType.NAME: lambda: _compounds(st, ("salutation", "first_name", "middle_name", "last_name", "suffix")),
        FieldType.GEOLOCATION: lambda: _places(st, field),
    }
    return makers.get(kind, lambda: texts(field.length))()


def _sets(st: ModuleType, field: FieldSchema) -> SearchStrategy[object]:
    elements = (
        st.sampled_from(field.options) if field.options else st.text(string.ascii_letters, min_size=1, max_size=6)
    )
    tuples: SearchStrategy[object] = st.lists(elements, max_size=4, unique=True).map(tuple)
    return tuples if field.separator is None else tuples.map(lambda found: str(field.separator).join(found))  # type: ignore[arg-type]


def _decimals(st: ModuleType, field: FieldSchema) -> SearchStrategy[object]:
    places = 6 if field.scale is None else field.scale
    found: SearchStrategy[object] = st.decimals(-(10**9), 10**9, allow_nan=False, places=places)
    return found


def _compounds(st: ModuleType, parts: Sequence[str]) -> SearchStrategy[object]:
    found: SearchStrategy[object] = st.fixed_dictionaries({part: st.none() | texts(20) for part in parts})
    return found


def _places(st: ModuleType, field: FieldSchema) -> SearchStrategy[object]:
    places = 6 if field.scale is None else field.scale
    ends = {"latitude": 90, "longitude": 180}
    found: SearchStrategy[object] = st.fixed_dictionaries(
        {part: st.decimals(-end, end, allow_nan=False, places=places) for part, end in ends.items()}
    )
    return found


def _instants(st: ModuleType, field: FieldSchema) -> SearchStrategy[object]:
    unit = 10 ** (6 - (6 if field.scale is None else field.scale))
    moments = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(4000, 12, 31), timezones=st.just(dt.UTC))  # noqa: DTZ001 (hypothesis adds the zone)
    found: SearchStrategy[object] = moments.map(lambda at: at.replace(microsecond=at.microsecond // unit * unit))
    return found


def _limits(st: ModuleType, kind: FieldType) -> dict[str, SearchStrategy[object]]:
    lengths = st.none() | st.integers(1, 40)
    if kind in (FieldType.DECIMAL, FieldType.CURRENCY, FieldType.PERCENT):
        return {"scale": st.none() | st.integers(0, 4), "precision": st.none() | st.just(18)}
    if kind is FieldType.GEOLOCATION:
        return {"scale": st.none() | st.integers(0, 4)}
    if kind in (FieldType.DATETIME, FieldType.TIME):
        return {"scale": st.sampled_from([None, 0, 3])}
    if kind is FieldType.PICKLIST:
        return {"options": st.just(("Web", "Phone", "Other")), "restricted": st.booleans()}
    if kind.set_valued:
        options = st.sampled_from([(), ("red", "green", "blue")])
        return {"options": options, "separator": st.sampled_from([None, ";", ","])}
    if kind is FieldType.BOOLEAN:
        return {"nillable": st.booleans()}
    return {"length": lengths} if kind is FieldType.TEXT else {}


class _Hostile:
    """Raises whatever is asked of it, but for the name that a failing test prints."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __repr__(self) -> str:
        return "<hostile>"

    def __bool__(self) -> bool:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


class _HostileText(str):
    """A text that raises when it is shown or trimmed."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError

    def strip(self, chars: str | None = None, /) -> str:
        raise RuntimeError
