"""The generated code of a mapping does what its steps do, one by one, for any record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.diff import Digester, FieldDecision, Merger, merge_new
from crmsync.errors import MappingError
from crmsync.mapping import RecordConversion, RecordConverter, compile_mapping
from crmsync.mapping.codecs import FieldConverter
from crmsync.models.mappings import FieldMapping, MatchKeys, ObjectMapping
from crmsync.models.records import MISSING, Record, Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import FieldRule, RecordRule
from crmsync.testing.strategies import anything, object_mappings, values_of

ZONE: Final = dt.timezone(dt.timedelta(hours=2))
NEARLY: Final[list[object]] = [
    *("2024-02-29", "2024-02-30", "2024-W01-1", "20240229", "2024-2-29", "0000-01-01", "-024-01-01", "٢٠٢٤-01-01"),
    *("2024-01-31T08:30:00Z", "2024-01-31 08:30:00Z", "2024-01-31T08:30:60Z", "2024-01-31T24:00:00Z"),
    *("2024-01-31T083000.1Z", "2024-W05-3T08:30:00Z", "2024-01-31T08:30:00+", "2024-01-31t08:30:00z"),
    *("1", "007", "-1", "+1", "1_0", "\u0661", "²", "9" * 18, "9" * 19, "1e3", " 1", "1 ", "", " ", "0", "-0", "1.0"),
    *("1.00", "0.00", "-0.00", ".50", "1.", "1..0", "1_0.00", "1.5e", "1.e5", "1e1.00", "²³.00", "NaN", "Infinity"),
    *("12345678901.00", "999999999999999999.99", "1.23", "1.234", "1.2", "$1.00", "1,000.00", "50%", "1.00%"),
    *("true", "TRUE", "True", "tRuE", "yes", "NO", "t", "on", "1", "truth", "ja"),
    *("a@b", "@", "a@", "@b", "a@b@c", "a b@c", " a@b", "a@b ", "a@b\n", "a\x85@b", "a\u2003@b", "a\u200b@b", "ä@ö"),
    *("a\0b", "\ud800", "\udfff@b", "\ud83d\ude00", "😀", "a\r\nb", "x" * 41, "é" * 40, "a\0@b"),
    *(0, 1, -1, True, False, 10**9, 10**1000, 1.5, float("nan"), float("inf"), -0.0, 1e300),
    *map(Decimal, ("1.00", "0.00", "-0.00", "1", "1.234", "NaN", "sNaN", "Infinity", "1E+5", "1E-2", "99999.99")),
    *(dt.date(2024, 2, 29), dt.datetime(2024, 1, 31, tzinfo=dt.UTC).replace(tzinfo=None)),
    *(
        dt.datetime(2024, 1, 31, 8, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 31, 8, microsecond=1, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 31, 8, tzinfo=ZONE),
    ),
    *(None, MISSING, (), ("a",), ["a", None], {"a"}, {}, b"a", object),
]
"""Values that a shortcut takes, and their near misses."""

SCALARS: Final = tuple(kind for kind in FieldType if not kind.set_valued)


def step_by_step(rule: RecordRule, side: Side, record: Mapping[str, object]) -> RecordConversion:
    """The conversion without any generated code: each field by the steps of its converter."""

    def plain(converter: object) -> FieldConverter:
        assert isinstance(converter, FieldConverter)
        return attrs.evolve(converter, cases=())

    def without(each: FieldRule) -> FieldRule:
        return attrs.evolve(each, to_remote=plain(each.to_remote), to_local=plain(each.to_local))

    rules = tuple(without(each) for each in rule.rules)
    return RecordConverter(attrs.evolve(rule, rules=rules), side, every_field=True).step_by_step(record)


def told(conversion: RecordConversion) -> tuple[object, ...]:
    """A conversion in a form that two equal ones share, NaN and the kinds of numbers included."""
    values = [(name, type(value), repr(value)) for name, value in conversion.values.items()]
    losses = [(loss.kind, loss.field, loss.message, repr(loss.after)) for loss in conversion.losses]
    return values, losses, conversion.problems


@settings(max_examples=25)
@given(object_mappings(), st.data())
def test_a_record_is_converted_as_its_fields_are_step_by_step(
    drawn: tuple[ObjectMapping, ObjectSchema, ObjectSchema], data: st.DataObject
) -> None:
    mapping, local, remote = drawn
    rule = compile_mapping(mapping, local, remote)
    for side, source in ((Side.REMOTE, local), (Side.LOCAL, remote)):
        record = {
            field.name: data.draw(values_of(field) | st.sampled_from(NEARLY) | anything()) for field in source.fields
        }
        convert = RecordConverter(rule, side, every_field=True)
        expected = told(step_by_step(rule, side, record))
        assert told(convert(record)) == expected
        assert told(convert(MappingProxyType(record))) == expected
        absent = data.draw(st.sampled_from(source.fields)).name
        partial = {name: value for name, value in record.items() if name != absent}
        assert told(convert(partial)) == told(step_by_step(rule, side, partial))


@settings(max_examples=25)
@given(object_mappings(), st.data())
def test_a_new_record_gets_what_each_of_its_fields_is_converted_to_by_itself(
    drawn: tuple[ObjectMapping, ObjectSchema, ObjectSchema], data: st.DataObject
) -> None:
    """All at once where every value is ordinary, one by one where one of them is lost, lacking or no plain value."""
    mapping, local, remote = drawn
    rule = compile_mapping(mapping, local, remote)
    whole, single = (Merger(each, Digester(b"k" * 16)) for each in (rule, attrs.evolve(rule, whole=None)))
    for side, source in ((Side.LOCAL, local), (Side.REMOTE, remote)):
        values = {field.name: data.draw(values_of(field)) for field in source.fields}
        odd = data.draw(st.dictionaries(st.sampled_from(sorted(values)), st.sampled_from(NEARLY), max_size=2))
        absent = data.draw(st.sampled_from(sorted(values)))
        partial = {name: value for name, value in values.items() if name != absent}
        for record in (values, {**values, **odd}, partial, MappingProxyType(values)):
            found, expected = (merge_new(each, side, Record("1", record)).decisions for each in (whole, single))
            assert [*map(shown, found.items())] == [*map(shown, expected.items())]


def shown(decided: tuple[str, FieldDecision]) -> tuple[object, ...]:
    """A decision in a form that two equal ones share, NaN and the kinds of numbers included."""
    key, decision = decided
    writes = [(type(value), repr(value)) for value in (decision.local_write, decision.remote_write)]
    return key, writes, decision.hold, decision.rejects_record, decision.problem


SETTINGS: Final[list[dict[str, Any]]] = [
    {},
    {"value_map": {"true": "1", "a@b": "true"}},
    {"value_map": {"true": "1", "A@B": "true"}, "case_fold": True},
    {"case_fold": True, "unknown_option": "fallback", "fallback_option": "1"},
    {"zone": "Europe/Berlin"},
    {"unit": "fraction"},
    {"crm_unit": "fraction"},
    {"currency": "EUR"},
    {"on_loss": "accept"},
]
"""What a mapping may say of its values."""


def compiled(target: FieldSchema, said: dict[str, Any]) -> RecordRule | None:
    """The rule of a text field that goes to another one; None where a setting does not fit the type."""
    mapping = FieldMapping(markmail_field="here", crm_field="There__c", **said)
    keys = MatchKeys(local_email="", remote_email="")
    sides = ObjectSchema(name="a", fields=(FieldSchema(name="here"),)), ObjectSchema(name="B", fields=(target,))
    try:
        return compile_mapping(ObjectMapping(fields=(mapping,), match=keys), *sides)
    except MappingError:
        return None


def test_every_near_miss_of_a_shortcut_is_converted_step_by_step() -> None:
    """A text field to every scalar type, under every setting that fits, with every value of the list above."""
    small = {"length": 40, "precision": 11, "scale": 2}
    chosen = {"options": ("true", "a@b", "1"), "restricted": True}
    rules = 0
    for target in SCALARS:
        for holds in ({}, {**small, **chosen} if target is FieldType.PICKLIST else small):
            for said in SETTINGS if holds else SETTINGS[:1]:
                rule = compiled(FieldSchema(name="There__c", type=target, **holds), said)
                if rule is None:
                    continue
                rules += 1
                convert = RecordConverter(rule, Side.REMOTE)
                for value in NEARLY:
                    expected = told(step_by_step(rule, Side.REMOTE, {"here": value}))
                    assert told(convert({"here": value})) == expected, (target, holds, said, value)
                    assert told(convert.step_by_step({"here": value})) == expected, (target, holds, said, value)
    assert rules > 60
