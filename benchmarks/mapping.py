"""Whole records through a mapping of twenty direct fields, one way, in CPU time of one core, beside three peers.

    python benchmarks/mapping.py [--records 2000] [--rounds 60]

Every contender renames the same twenty fields, converts their values (text, e-mail, phone, URL, whole number, decimal,
truth value, date, date and time, an option by a value map), refuses what the target cannot hold (longer texts, more
digits, what is no address or no option), and gives the dictionary that would be written. Before anything is timed the
dictionaries are compared, and each contender is shown records to refuse. ``bare`` peers convert, and refuse nothing for
its length or form: that is less than a mapping has to do.

At last crmsync alone, with five computed fields beside the twenty: joined, split, cut, compared and looked up.

The contenders take turns, so that whatever else the machine does meets all of them; the best round of each counts.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any

import attrs
import cattrs
import glom
from attrs import validators
from cattrs.gen import make_dict_structure_fn, override
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from crmsync.mapping import RecordConverter, compile_mapping
from crmsync.models.mappings import ComputedField, FieldMapping, ObjectMapping, SyncDirection, two_way
from crmsync.models.records import Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema

#: what the local side says of its fields that are not text
LOCAL = {
    "clicks": FieldType.INTEGER,
    "balance": FieldType.CURRENCY,
    "vip": FieldType.BOOLEAN,
    "status": FieldType.PICKLIST,
    "email": FieldType.EMAIL,
}
Convert = Callable[[Any], Mapping[str, Any]]

STATUSES = {"subscribed": "Active", "unsubscribed": "Opted Out", "cleaned": "Bounced", "pending": "New"}
TRUTH = {"true": True, "false": False, True: True, False: False}
ADDRESS = r"[^@\s]+@[^@\s]+"
DIGITS, CENT = 12, Decimal("0.01")
WHOLE = 10**9

#: local name, CRM name, type on the CRM's side, what the CRM's field can hold
FIELDS: list[tuple[str, str, FieldType, dict[str, Any]]] = [
    ("email", "Email", FieldType.EMAIL, {"length": 80}),
    ("first_name", "FirstName", FieldType.TEXT, {"length": 40}),
    ("last_name", "LastName", FieldType.TEXT, {"length": 80}),
    ("company", "Company__c", FieldType.TEXT, {"length": 255}),
    ("job_title", "Title", FieldType.TEXT, {"length": 128}),
    ("department", "Department", FieldType.TEXT, {"length": 80}),
    ("street", "MailingStreet", FieldType.TEXT, {"length": 255}),
    ("city", "MailingCity", FieldType.TEXT, {"length": 40}),
    ("postcode", "MailingPostalCode", FieldType.TEXT, {"length": 20}),
    ("phone", "Phone", FieldType.PHONE, {"length": 40}),
    ("website", "Website__c", FieldType.URL, {"length": 255}),
    ("opens", "Opens__c", FieldType.INTEGER, {"precision": 9}),
    ("clicks", "Clicks__c", FieldType.INTEGER, {"precision": 9}),
    ("spent", "Spent__c", FieldType.DECIMAL, {"precision": DIGITS, "scale": 2}),
    ("balance", "Balance__c", FieldType.CURRENCY, {"precision": DIGITS, "scale": 2}),
    ("opted_out", "HasOptedOutOfEmail", FieldType.BOOLEAN, {}),
    ("vip", "Vip__c", FieldType.BOOLEAN, {}),
    ("birthday", "Birthdate", FieldType.DATE, {}),
    ("subscribed_at", "Subscribed__c", FieldType.DATETIME, {"scale": 0}),
    ("status", "Status__c", FieldType.PICKLIST, {"options": tuple(STATUSES.values()), "restricted": True}),
]
PYTHON: dict[FieldType, type] = {
    FieldType.INTEGER: int,
    FieldType.DECIMAL: Decimal,
    FieldType.CURRENCY: Decimal,
    FieldType.BOOLEAN: bool,
    FieldType.DATE: dt.date,
    FieldType.DATETIME: dt.datetime,
}
#: name, expression, CRM name: worked out of a subscriber's own fields
COMPUTED = [
    ("full_name", 'concat_with(" ", first_name, last_name)', "Name__c"),
    ("domain", 'lower(after(email, "@"))', "Domain__c"),
    ("initial", "upper(left(last_name, 1))", "Initial__c"),
    ("tier", 'if(clicks > 50, "keen", "calm")', "Tier__c"),
    ("region", 'lookup(city, {"Leeds": "North", "York": "North", "Bath": "South"}, "Abroad")', "Region__c"),
]
REFUSED: list[dict[str, object]] = [
    {"last_name": "x" * 81},
    {"postcode": "x" * 21},
    {"email": "nobody"},
    {"opens": str(WHOLE)},
    {"spent": "1.234"},
    {"birthday": "2024-02-30"},
    {"status": "asleep"},
]


def subscriber(number: int) -> dict[str, object]:
    """A subscriber as a CSV or a web form leaves one: mostly text, and some values that have their type already."""
    return {
        "email": f"ann.smith{number}@example.org",
        "first_name": ("Ann", "Zoë", "Bob", "José")[number % 4],
        "last_name": ("Smith", "O'Brien", "Müller", "Jones")[number // 4 % 4],
        "company": f"Company {number % 97} Ltd.",
        "job_title": "Head of Marketing",
        "department": "Marketing",
        "street": f"{number % 200} High Street",
        "city": ("Leeds", "Zürich", "York", "Bath")[number % 4],
        "postcode": f"LS{number % 9} 4QP",
        "phone": f"+44 113 496 {number % 10000:04d}",
        "website": f"https://example.org/{number}",
        "opens": str(number % 1000),
        "clicks": number % 100,
        "spent": f"{number % 5000}.{number % 90 + 10}",
        "balance": Decimal(number % 100_000 + 1).scaleb(-2),
        "opted_out": ("false", "true")[number % 5 == 0],
        "vip": number % 7 == 0,
        "birthday": f"19{number % 50 + 50}-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
        "subscribed_at": f"2024-{number % 12 + 1:02d}-{number % 28 + 1:02d}T08:30:{number % 60:02d}Z",
        "status": list(STATUSES)[number % 4],
    }


def crmsync(*, computed: bool) -> RecordConverter:
    """The mapping, compiled as a sync does it."""
    direct = [
        FieldMapping(
            markmail_field=local,
            crm_field=remote,
            field_type=kind,
            value_map=STATUSES if kind is FieldType.PICKLIST else {},
            sync_direction=SyncDirection.TO_CRM,
        )
        for local, remote, kind, _ in FIELDS
    ]
    more = [two_way(name, crm_field, sync_direction=SyncDirection.TO_CRM) for name, _, crm_field in COMPUTED]
    mapping = ObjectMapping(
        fields=(*direct, *more) if computed else tuple(direct),
        computed=[ComputedField(side=Side.LOCAL, name=name, expression=text) for name, text, _ in COMPUTED if computed],
    )
    holds = [FieldSchema(name=name, type=kind, **limits) for _, name, kind, limits in FIELDS]
    holds += [FieldSchema(name=crm_field, length=255) for _, _, crm_field in COMPUTED]
    ours = ObjectSchema(
        name="subscribers",
        fields=tuple(FieldSchema(name=name, type=LOCAL.get(name, FieldType.TEXT)) for name, *_ in FIELDS),
    )
    theirs = ObjectSchema(name="Contact", fields=tuple(holds))
    return RecordConverter(compile_mapping(mapping, ours, theirs), Side.REMOTE)


def by_pydantic(*, checks: bool, from_model: bool) -> Convert:
    """A target model whose fields have the sources' names as aliases; from dictionaries, or from a source model."""

    def kind_of(local: str, kind: FieldType, holds: Mapping[str, Any]) -> Any:
        plain = PYTHON.get(kind, str)
        if local == "status":
            return Annotated[str, BeforeValidator(STATUSES.__getitem__)]
        if not checks or plain in (bool, dt.date, dt.datetime):
            return plain
        if plain is int:
            return Annotated[int, Field(gt=-WHOLE, lt=WHOLE)]
        if plain is Decimal:
            return Annotated[Decimal, Field(max_digits=DIGITS, decimal_places=2)]
        pattern = f"^{ADDRESS}$" if kind is FieldType.EMAIL else None
        return Annotated[str, StringConstraints(max_length=holds["length"], pattern=pattern)]

    model = type(
        "Contact",
        (BaseModel,),
        {
            "__annotations__": {remote: kind_of(local, kind, holds) for local, remote, kind, holds in FIELDS},
            **{remote: Field(validation_alias=local) for local, remote, *_ in FIELDS},
            "model_config": ConfigDict(from_attributes=from_model),
        },
    )
    validate = model.__pydantic_validator__.validate_python
    return lambda record: vars(validate(record))


def source_model() -> type[BaseModel]:
    """The source as a model, its values as they came."""
    return type("Subscriber", (BaseModel,), {"__annotations__": {local: Any for local, *_ in FIELDS}})


def money(value: Any) -> Decimal:
    number = Decimal(value)
    if not number.same_quantum(CENT) or number.adjusted() >= DIGITS - 2:
        msg = "too many digits"
        raise ValueError(msg)
    return number


def by_cattrs(*, checks: bool) -> Convert:
    """An attrs class made by a generated function, without the detailed messages that cost time."""

    def validator_of(kind: FieldType, holds: Mapping[str, Any]) -> Any:
        if not checks or (kind in PYTHON and kind is not FieldType.INTEGER):
            return None
        if kind is FieldType.INTEGER:
            return [validators.gt(-WHOLE), validators.lt(WHOLE)]
        longest = validators.max_len(holds["length"])
        return [longest, validators.matches_re(ADDRESS)] if kind is FieldType.EMAIL else longest

    converter = cattrs.Converter(detailed_validation=False, prefer_attrib_converters=True)
    made = attrs.make_class(
        "Contact",
        {
            remote: attrs.field(
                type=PYTHON.get(kind, str),
                converter=STATUSES.__getitem__ if local == "status" else None,
                validator=None if local == "status" else validator_of(kind, holds),
            )
            for local, remote, kind, holds in FIELDS
        },
        slots=False,
    )
    hooks: dict[type, Callable[[Any], Any]] = {
        Decimal: money if checks else Decimal,
        bool: TRUTH.__getitem__,
        dt.date: dt.date.fromisoformat,
        dt.datetime: dt.datetime.fromisoformat,
    }
    for kind, hook in hooks.items():
        converter.register_structure_hook(kind, lambda value, _, hook=hook: hook(value))
    structure = make_dict_structure_fn(
        made,
        converter,
        _cattrs_detailed_validation=False,
        **{remote: override(rename=local) for local, remote, *_ in FIELDS},
    )
    return lambda record: vars(structure(record, made))


def by_glom(*, checks: bool) -> Convert:
    """A spec: target names, each with the path of its source, what to do with the value, and a check."""
    hooks: dict[type, Callable[[Any], Any]] = {
        int: int,
        Decimal: money if checks else Decimal,
        bool: TRUTH.__getitem__,
        dt.date: dt.date.fromisoformat,
        dt.datetime: dt.datetime.fromisoformat,
    }

    def check_of(kind: FieldType, holds: Mapping[str, Any]) -> tuple[Any, ...]:
        if not checks or kind is FieldType.PICKLIST or (kind in PYTHON and kind is not FieldType.INTEGER):
            return ()
        if kind is FieldType.INTEGER:
            return (glom.Check(validate=lambda number: -WHOLE < number < WHOLE),)
        longest = glom.Check(validate=lambda text: len(text) <= holds["length"])
        return (longest, glom.Match(glom.Regex(ADDRESS))) if kind is FieldType.EMAIL else (longest,)

    spec = {
        remote: (
            local,
            STATUSES.__getitem__ if local == "status" else hooks.get(PYTHON.get(kind, str), str),
            *check_of(kind, holds),
        )
        for local, remote, kind, holds in FIELDS
    }
    return lambda record: glom.glom(record, spec)


def verify(name: str, work: Convert, given: list[Any], expected: list[dict[str, object]]) -> None:
    """The very same values of the very same types."""
    for record, want in zip(given, expected, strict=True):
        got = work(record)
        assert got == want, (name, got, want)
        assert {key: type(got[key]) for key in got} == {key: type(value) for key, value in want.items()}, name


def refuses(work: Convert, record: Any) -> bool:
    try:
        work(record)
    except (ValueError, KeyError, ArithmeticError, glom.GlomError):
        return True
    return False


def timed(work: Callable[[Any], Any], given: list[Any]) -> float:
    """Records a second of CPU time."""
    began = time.process_time()
    for record in given:
        work(record)
    return len(given) / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    records = [subscriber(number) for number in range(options.records)]
    make = source_model().model_construct
    models = [make(**record) for record in records]
    ours, more = crmsync(computed=False), crmsync(computed=True)
    converted = [ours(record) for record in records]
    expected = [one.values for one in converted]
    assert not any(one.losses or one.problems for one in converted)
    assert all(ours({**records[0], **bad}).problems for bad in REFUSED)
    assert more(records[0]).values.items() >= {
        ("Name__c", "Ann Smith"),
        ("Domain__c", "example.org"),
        ("Tier__c", "calm"),
    }
    peers: dict[str, tuple[Convert, list[Any]]] = {}
    for checks in (True, False):
        note = "" if checks else ", bare"
        contenders: dict[str, tuple[Convert, list[Any]]] = {
            f"pydantic, model to model{note}": (by_pydantic(checks=checks, from_model=True), models),
            f"pydantic, dictionary to model{note}": (by_pydantic(checks=checks, from_model=False), records),
            f"cattrs{note}": (by_cattrs(checks=checks), records),
            f"glom{note}": (by_glom(checks=checks), records[: options.records // 10]),
        }
        for name, (work, given) in contenders.items():
            verify(name, work, given, expected[: len(given)])
            for bad in REFUSED if checks else ():
                record = {**records[0], **bad}
                assert refuses(work, make(**record) if given is models else record), (name, bad)
        peers |= contenders
    runs: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {"crmsync": (ours.convert, records), **peers}
    runs[f"crmsync, with {len(COMPUTED)} computed fields"] = (more.convert, records)
    rates = dict.fromkeys(runs, 0.0)
    for _ in range(options.rounds):
        for name, (run, given) in runs.items():
            rates[name] = max(rates[name], timed(run, given))
    print(
        f"{len(FIELDS)} fields, one way, one core, CPU time: the best of {options.rounds} x {options.records} records"
    )
    for name, rate in rates.items():
        print(f"  {name:<36} {rate:12,.0f} records/s   crmsync: {rates['crmsync'] / rate:6.2f} x", flush=True)


if __name__ == "__main__":
    main()
