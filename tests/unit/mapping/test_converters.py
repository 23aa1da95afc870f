"""Values through the converters of one field mapping, both ways."""

# ruff: noqa: FBT003 - truth values are record values here

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crmsync.models.mappings import OnLoss
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldSchema, FieldType
from crmsync.protocols.conversion import Conversion, LossKind
from crmsync.testing.strategies import NOTORIOUS
from tests.unit.mapping.conftest import CompileOne

T = FieldType
STORABLE = [v for v in NOTORIOUS if isinstance(v, str) and "\x00" not in v and "\ud83d" not in v]


class Hostile:
    """Raises whenever it is looked at."""

    def __repr__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("value", STORABLE)
def test_a_text_goes_there_and_back_untouched(rule_of: CompileOne, value: str) -> None:
    """Quotes, formulas, words for nothing, scripts of both directions and white space are nobody's business."""
    rule = rule_of(T.TEXT, FieldSchema(name="There__c", length=255))
    there = rule.to_remote(value)
    assert there == Conversion(value)
    assert rule.to_local(there.value) == Conversion(value)


TYPED = [
    (T.BOOLEAN, False),
    (T.BOOLEAN, True),
    (T.INTEGER, 0),
    (T.DECIMAL, Decimal(0)),
    (T.DECIMAL, Decimal("0.10")),
    (T.DATE, dt.date(1700, 1, 1)),
    (T.DATE, dt.date(4000, 12, 31)),
    (T.DATETIME, dt.datetime(1700, 1, 1, tzinfo=dt.UTC)),
    (T.DATETIME, dt.datetime(4000, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)),
    (T.TIME, dt.time()),
    (T.TAGS, ()),
    (T.TAGS, ("a", "b")),
    (T.ID, "003D000000QV9n2"),
    (T.REFERENCE, "003D000000QV9n2IAD"),
]


@pytest.mark.parametrize("kind,value", TYPED)
def test_a_value_goes_there_and_back_untouched(rule_of: CompileOne, kind: FieldType, value: object) -> None:
    rule = rule_of(kind, kind)
    assert rule.to_remote(value) == Conversion(value)
    assert rule.to_local(value) == Conversion(value)


@pytest.mark.parametrize("kind,value", TYPED)
def test_a_value_goes_into_a_text_column_and_back(rule_of: CompileOne, kind: FieldType, value: object) -> None:
    rule = rule_of(T.TEXT, kind)
    column = rule.to_local(value).value
    assert isinstance(column, str)
    assert rule.normal_remote(rule.to_remote(column).value) == rule.normal_remote(value)


@pytest.mark.parametrize("value", [0, False, ""])
def test_case_03_zero_false_and_empty_text_are_values(rule_of: CompileOne, value: object) -> None:
    kind = {int: T.INTEGER, bool: T.BOOLEAN, str: T.TEXT}[type(value)]
    rule = rule_of(kind, kind, default="instead" if kind is T.TEXT else None)
    for convert in (rule.to_remote, rule.to_local):
        converted = convert(value)
        assert converted == Conversion(value)
        assert type(converted.value) is type(value)


def test_case_15_an_over_long_value_is_not_cut_silently(rule_of: CompileOne) -> None:
    rule = rule_of(T.TEXT, FieldSchema(name="There__c", length=6))
    conversion = rule.to_remote("Featherstonehaugh")
    assert conversion.rejected
    assert [loss.kind for loss in conversion.losses] == [LossKind.TRUNCATED]


@pytest.mark.parametrize("kind", [T.TEXT, T.EMAIL, T.PICKLIST, T.TAGS])
def test_case_18_an_apostrophe_is_neither_doubled_nor_dropped(rule_of: CompileOne, kind: FieldType) -> None:
    value: object = {T.EMAIL: "o'brien@example.com", T.TAGS: ("O'Brien",)}.get(kind, "O'Brien")
    rule = rule_of(kind, kind)
    assert rule.to_remote(value).value == value
    assert rule.to_local(rule.to_remote(value).value).value == value


ON_LOSS = [
    (OnLoss.REJECT_FIELD, True, False, 1),
    (OnLoss.REJECT_RECORD, True, True, 1),
    (OnLoss.REPORT, False, False, 1),
    (OnLoss.ACCEPT, False, False, 0),
]


@pytest.mark.parametrize("on_loss,rejected,whole_record,losses", ON_LOSS)
def test_on_loss_decides_what_becomes_of_a_cut_value(
    rule_of: CompileOne, on_loss: OnLoss, rejected: bool, whole_record: bool, losses: int
) -> None:
    rule = rule_of(T.TEXT, FieldSchema(name="There__c", length=3), on_loss=on_loss)
    conversion = rule.to_remote("abcdef")
    assert (conversion.value, conversion.rejected, conversion.whole_record) == ("abc", rejected, whole_record)
    assert len(conversion.losses) == losses


@pytest.mark.parametrize("on_loss", OnLoss)
def test_a_value_without_a_nearest_one_is_rejected_whatever_is_accepted(rule_of: CompileOne, on_loss: OnLoss) -> None:
    conversion = rule_of(T.TEXT, T.DATE, on_loss=on_loss).to_remote("soon")
    assert conversion.rejected
    assert conversion.value is None
    assert [loss.kind for loss in conversion.losses] == [LossKind.INVALID]
    assert conversion.whole_record == (on_loss is OnLoss.REJECT_RECORD)


def test_a_loss_holds_both_values_and_shows_neither(rule_of: CompileOne) -> None:
    rule = rule_of(T.TEXT, FieldSchema(name="There__c", length=3))
    conversion = rule.to_remote("secret")
    loss = conversion.losses[0]
    assert (loss.field, loss.before, loss.after) == ("There__c", "secret", "sec")
    assert "sec" not in repr(conversion)


def test_a_fraction_of_a_second_is_reported_and_written(rule_of: CompileOne) -> None:
    """The normal forms ignore it, so rejecting would keep nearly every timestamp from being synced."""
    rule = rule_of(T.DATETIME, FieldSchema(name="There__c", type=T.DATETIME, scale=0))
    conversion = rule.to_remote(dt.datetime(2024, 1, 31, 8, 0, 0, 5, tzinfo=dt.UTC))
    assert not conversion.rejected
    assert conversion.value == dt.datetime(2024, 1, 31, 8, tzinfo=dt.UTC)
    assert [loss.kind for loss in conversion.losses] == [LossKind.PRECISION]


def test_a_time_without_a_zone_is_rejected_unless_losses_are_accepted(rule_of: CompileOne) -> None:
    assert rule_of(T.TEXT, T.DATETIME).to_remote("2024-01-31T08:00:00").rejected
    accepted = rule_of(T.TEXT, T.DATETIME, on_loss="accept").to_remote("2024-01-31T08:00:00")
    assert accepted == Conversion(dt.datetime(2024, 1, 31, 8, tzinfo=dt.UTC))


@pytest.mark.parametrize("blank", [None, MISSING])
def test_the_two_blanks_pass_as_they_are(rule_of: CompileOne, blank: object) -> None:
    rule = rule_of(T.TEXT, T.DATE)
    assert rule.to_remote(blank).value is blank
    assert rule.to_local(blank).value is blank


def test_a_blank_cell_clears_a_field_that_holds_no_text(rule_of: CompileOne) -> None:
    assert rule_of(T.TEXT, T.DATE).to_remote("  ") == Conversion(None)
    assert rule_of(T.TEXT, T.MULTI_PICKLIST).to_remote("") == Conversion(())


@pytest.mark.parametrize("kind", FieldType)
@pytest.mark.parametrize("value", [Hostile(), [Hostile()], {1: Hostile()}], ids=["itself", "in a list", "in a dict"])
def test_an_object_that_raises_is_an_invalid_value(rule_of: CompileOne, kind: FieldType, value: object) -> None:
    rule = rule_of(kind, kind)
    conversion = rule.to_remote(value)
    assert conversion.losses
    assert conversion.rejected
    hash(rule.normal_local(value))


def test_a_number_too_long_for_python_to_write_is_invalid(rule_of: CompileOne) -> None:
    for kind in (T.TEXT, T.INTEGER, T.DECIMAL, T.JSON, T.TAGS):
        rule = rule_of(kind, kind)
        assert rule.to_remote(10**5000).rejected
        hash(rule.normal_local(10**5000))


def test_a_truth_value_becomes_one_or_zero_in_a_column_of_integers(rule_of: CompileOne) -> None:
    """SQLite keeps flags as integers."""
    rule = rule_of(T.INTEGER, T.BOOLEAN)
    assert rule.to_local(True) == Conversion(1)
    assert rule.to_remote(0) == Conversion(False)
    assert rule.to_remote(2).rejected


def test_a_date_stands_for_its_midnight_in_utc(rule_of: CompileOne) -> None:
    rule = rule_of(T.DATE, T.DATETIME)
    assert rule.to_remote(dt.date(2024, 1, 31)) == Conversion(dt.datetime(2024, 1, 31, tzinfo=dt.UTC))
    assert rule.to_local(dt.datetime(2024, 1, 31, tzinfo=dt.UTC)) == Conversion(dt.date(2024, 1, 31))
    assert rule.to_local(dt.datetime(2024, 1, 31, 8, tzinfo=dt.UTC)).rejected


class TestValueMap:
    """Local values that have other names in the CRM."""

    NAMES = {"Web": "Internet", "Tel": "Phone"}  # noqa: RUF012 (constant)

    def test_values_are_renamed_both_ways(self, rule_of: CompileOne) -> None:
        rule = rule_of(T.TEXT, T.PICKLIST, value_map=self.NAMES)
        assert rule.to_remote("Web") == Conversion("Internet")
        assert rule.to_local("Internet") == Conversion("Web")
        assert rule.to_remote("Fair") == rule.to_local("Fair") == Conversion("Fair")

    def test_a_value_that_would_come_back_as_another_is_a_loss(self, rule_of: CompileOne) -> None:
        rule = rule_of(T.TEXT, T.PICKLIST, value_map=self.NAMES)
        for conversion in (rule.to_remote("Phone"), rule.to_local("Tel")):
            assert conversion.rejected
            assert [loss.kind for loss in conversion.losses] == [LossKind.UNKNOWN_OPTION]

    def test_one_way_the_crm_names_may_be_used_already(self, rule_of: CompileOne) -> None:
        names = {"Web": "Internet", "WWW": "Internet"}
        rule = rule_of(T.TEXT, T.PICKLIST, value_map=names, sync_direction="to_crm")
        assert [rule.to_remote(name).value for name in ("Web", "WWW", "Internet")] == ["Internet"] * 3

    def test_a_flag_can_be_a_picklist_in_the_crm(self, rule_of: CompileOne) -> None:
        names = {"true": "Opted In", "false": "Opted Out"}
        rule = rule_of(T.BOOLEAN, T.PICKLIST, field_type=T.BOOLEAN, value_map=names)
        assert rule.to_remote(True) == Conversion("Opted In")
        assert rule.to_local("Opted Out") == Conversion(False)
        assert rule.to_local("Undecided").rejected
        assert rule.normal_remote("Opted In") == "Opted In"

    def test_the_elements_of_sets_are_renamed(self, rule_of: CompileOne) -> None:
        rule = rule_of(T.TEXT, T.MULTI_PICKLIST, value_map=self.NAMES)
        assert rule.to_remote("Web;Fair") == Conversion(("Internet", "Fair"))
        assert rule.to_local(("Phone", "Fair")) == Conversion("Tel;Fair")


def test_each_element_of_a_set_converts_by_itself(rule_of: CompileOne) -> None:
    """As the merge of sets does it, whatever form its side has."""
    rule = rule_of(T.TEXT, FieldSchema(name="There__c", type=T.MULTI_PICKLIST, separator=";"), separator=",")
    assert rule.to_remote(("a",)) == Conversion("a")
    assert rule.to_local(("a",)) == Conversion("a")
    assert rule.normal_remote(("a",)) == rule.normal_remote("a") == frozenset({"a"})
    assert rule.to_remote("a,b") == Conversion("a;b")
    assert rule.to_remote("a,b;c").rejected


def test_only_elements_in_the_namespace_are_ours(rule_of: CompileOne) -> None:
    rule = rule_of(T.TAGS, T.TAGS, namespace="mm:")
    assert rule.owns("mm:vip")
    assert not rule.owns("vip")
    assert rule_of(T.TAGS, T.TAGS).owns("vip")
