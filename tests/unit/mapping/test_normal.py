"""Which values of one side count as the same."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crmsync.models.records import MISSING
from crmsync.models.schema import FieldSchema, FieldType
from tests.unit.mapping.conftest import CompileOne

T = FieldType
ALIKE = [
    (T.TEXT, " a\r\nb ", "a\nb"),
    (T.TEXT, "", None),
    (T.TEXT, "  ", None),
    (T.EMAIL, "Ann@Example.COM", " ann@example.com"),
    (T.EMAIL, "STRASSE@example.com", "straße@example.com"),
    (T.PHONE, "+49 (30) 123-45", "+493012345"),
    (T.ID, "003D000000QV9n2", "003D000000QV9n2IAD"),
    (T.REFERENCE, "003D000000QV9n2IAD", "003D000000QV9N2IAD".lower()),
    (T.INTEGER, 5, "5"),
    (T.DECIMAL, Decimal("1.0"), 1),
    (T.DECIMAL, Decimal("1E+2"), "100.00"),
    (T.CURRENCY, 0.1, Decimal("0.10")),
    (T.BOOLEAN, True, "yes"),
    (T.DATE, dt.date(2024, 1, 31), "2024-01-31"),
    (T.DATETIME, "2024-01-31T09:00:00+01:00", dt.datetime(2024, 1, 31, 8, tzinfo=dt.UTC)),
    (T.TAGS, ("b", "a", "a"), "a; b"),
    (T.TAGS, (), None),
    (T.JSON, '{"b": 1, "a": 2}', '{"a":2,"b":1}'),
]
APART = [
    (T.TEXT, "a", "A"),
    (T.TEXT, "0", None),
    (T.TEXT, "NA", None),
    (T.TEXT, "#N/A", None),
    (T.TEXT, "O'Brien", "O''Brien"),
    (T.INTEGER, 0, None),
    (T.INTEGER, "1.5", "2"),
    (T.INTEGER, 1, True),
    (T.BOOLEAN, False, None),
    (T.BOOLEAN, "maybe", None),
    (T.DATE, "2024-01-31T08:00:00Z", "2024-01-31"),
    (T.PHONE, "call me", "do not call"),
    (T.PHONE, "+49 30", "49 30"),
    (T.ID, "003D000000QV9n2", "003D000000QV9N2"),
    (T.TAGS, ("a",), ("A",)),
]


@pytest.mark.parametrize("kind,one,other", ALIKE)
def test_two_spellings_of_one_value_are_equal(rule_of: CompileOne, kind: FieldType, one: object, other: object) -> None:
    normal = rule_of(kind, kind, field_type=kind).normal_remote
    assert normal(one) == normal(other)


@pytest.mark.parametrize("kind,one,other", APART)
def test_two_values_are_not_equal(rule_of: CompileOne, kind: FieldType, one: object, other: object) -> None:
    normal = rule_of(kind, kind, field_type=kind).normal_remote
    assert normal(one) != normal(other)


@pytest.mark.parametrize("kind", FieldType)
def test_missing_is_not_blank(rule_of: CompileOne, kind: FieldType) -> None:
    normal = rule_of(kind, kind, field_type=kind).normal_local
    assert normal(MISSING) is MISSING
    assert normal(None) is None


def test_a_flag_that_cannot_be_blank_is_false(rule_of: CompileOne) -> None:
    """Salesforce stores null in a checkbox as false; a cleared flag must not look edited when it is read back."""
    rule = rule_of(T.BOOLEAN, FieldSchema(name="There__c", type=T.BOOLEAN, nillable=False))
    assert rule.normal_remote(None) is False
    assert rule.normal_local(None) is None


def test_times_are_compared_in_the_coarser_precision_of_both_sides(rule_of: CompileOne) -> None:
    rule = rule_of(T.DATETIME, FieldSchema(name="There__c", type=T.DATETIME, scale=0))
    fine, coarse = (dt.datetime(2024, 1, 31, 8, 0, 0, micro, tzinfo=dt.UTC) for micro in (987_654, 0))
    assert rule.normal_local(fine) == rule.normal_local(coarse) == coarse


def test_a_text_column_is_compared_as_what_it_means(rule_of: CompileOne) -> None:
    rule = rule_of(T.TEXT, T.DATE)
    assert rule.normal_local("2024-01-31") == dt.date(2024, 1, 31)
    rule = rule_of(T.TEXT, T.BOOLEAN)
    assert rule.normal_local("Yes") is True


def test_a_value_that_cannot_be_read_keeps_its_text(rule_of: CompileOne) -> None:
    normal = rule_of(T.TEXT, T.DATE).normal_local
    assert normal(" soon ") == "soon"
    assert normal("soon") != normal("later")


def test_the_elements_of_a_text_column_are_those_between_its_separators(rule_of: CompileOne) -> None:
    rule = rule_of(T.TEXT, T.MULTI_PICKLIST, separator="|")
    assert rule.elements_local("a| b;c |a") == ("a", "b;c")
    assert rule.join_local(("a", "b;c")) == "a|b;c"
    assert rule.elements_remote(("x", "y")) == ("x", "y")
    assert rule.join_remote(("x", "y")) == ("x", "y")
    assert rule.elements_local(None) == rule.elements_local(MISSING) == rule.elements_local("") == ()
