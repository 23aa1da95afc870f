"""Every type of value as every other that it may stand for, with values that are known to go wrong, one by one."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import pytest

from crmsync.mapping import Fit, compile_mapping, fit_of
from crmsync.models.mappings import FieldMapping, MatchKeys, ObjectMapping, OnLoss
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import Conversion, FieldRule
from crmsync.testing.strategies import NOTORIOUS
from tests.fuzz.targets import PAIRS


class Word(enum.StrEnum):
    RED = "red"


VALUES: Final[tuple[object, ...]] = (
    *NOTORIOUS,
    *(1, -1, 50, 10**30, 0.1, float("nan"), Decimal("1.005"), Decimal("-0"), Decimal("1E+400"), True),
    dt.datetime(2024, 3, 31, 2, 30),  # noqa: DTZ001 (one of those that go wrong)
    *(dt.time(8, 30), dt.timedelta(minutes=90), dt.timedelta(microseconds=-1)),
    *((), ("a", "b"), ["a", None], {"b", "a"}, ("a;b",), b"bytes", object(), Word.RED),
    *("red", "Ann <ann@example.org>", "ann@example.org", "+49 30 123456", "https://Example.org", "50 %", "EUR 1.50"),
    *(
        "PT1H30M",
        "1:30:00",
        "52.52,13.405",
        "Ada Lovelace",
        "Augusta Ada King",
        "*****",
        "yes",
        "{}",
        "[1,2]",
        "{broken",
    ),
    *({"first_name": "Ada", "last_name": "Lovelace", "suffix": None}, {"zip": "10117", "city": "Berlin"}),
    *({"latitude": Decimal("52.52"), "longitude": Decimal("13.405")}, {"floor": "2"}, '{"street": "Main St"}'),
    *("2024-02-29", "2023-02-29", "2024-06-01T09:00:00+02:00", "2024-06-01 09:00:00", "12:00", "1e3", "\u0663"),
)


def rules_of(source: FieldType, target: FieldType) -> Iterator[FieldRule]:
    """The rule of two plain fields, and that of two whose limits bite."""
    tight = {"length": 12, "precision": 6, "scale": 1}
    for limits in ({}, tight):
        fields = [FieldSchema(name=name, type=kind, **limits) for name, kind in (("a", source), ("B", target))]
        kind = target if source is FieldType.TEXT else source
        mapping = FieldMapping(markmail_field="a", crm_field="B", field_type=kind, on_loss=OnLoss.REPORT)
        whole = ObjectMapping(fields=(mapping,), match=MatchKeys(local_email="", remote_email=""))
        sides = (ObjectSchema(name=field.name, fields=(field,)) for field in fields)
        yield compile_mapping(whole, *sides).rules[0]


@pytest.mark.parametrize("source,target", PAIRS, ids=str)
def test_a_value_comes_back_or_its_loss_is_reported(source: FieldType, target: FieldType) -> None:
    for rule in rules_of(source, target):
        for value in VALUES:
            there = rule.to_remote(value)
            assert there.losses or not there.rejected
            if there.losses:
                continue
            back = rule.to_local(there.value)
            assert back.losses or rule.normal_local(back.value) == rule.normal_local(value), value
            again = rule.to_remote(back.value)
            assert back.losses or rule.normal_remote(again.value) == rule.normal_remote(there.value), value


@pytest.mark.parametrize("source,target", PAIRS, ids=str)
def test_a_normal_form_is_its_own_and_blanks_are_kept_apart(source: FieldType, target: FieldType) -> None:
    for rule in rules_of(source, target):
        for normal in (rule.normal_local, rule.normal_remote):
            assert normal(MISSING) is MISSING
            for value in VALUES:
                assert normal(normal(value)) == normal(value), value
        for convert in (rule.to_remote, rule.to_local):
            assert convert(MISSING) == Conversion(MISSING)
            assert convert(None) == Conversion(None)


def test_a_pair_that_is_refused_one_way_is_refused_both_ways() -> None:
    """A two-way mapping is the rule; a pair for one way only would have to be checked by its direction."""
    one_way = {
        (source, target)
        for source in FieldType
        for target in FieldType
        if fit_of(source, target) is not Fit.REFUSED and fit_of(target, source) is Fit.REFUSED
    }
    assert one_way == {
        (FieldType.PICKLIST, FieldType.TAGS),
        (FieldType.PICKLIST, FieldType.MULTI_PICKLIST),
    }
