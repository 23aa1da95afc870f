"""The local side's own rules: what they demand, what is wrong with them, and what they let through."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from crmsync.errors import MappingError
from crmsync.mapping import RecordConverter, compile_mapping
from crmsync.mapping.previews import preview_record
from crmsync.models.mappings import ComputedField, MatchKeys, ObjectMapping, ValidationRule, two_way
from crmsync.models.previews import FieldFate
from crmsync.models.records import Record, Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import RecordRule

FIELDS = {
    "email": FieldType.EMAIL,
    "name": FieldType.TEXT,
    "plan": FieldType.PICKLIST,
    "seats": FieldType.INTEGER,
    "since": FieldType.DATE,
    "until": FieldType.DATE,
    "seen": FieldType.DATETIME,
    "tags": FieldType.TAGS,
}
LOCAL = ObjectSchema(name="subscribers", fields=tuple(FieldSchema(name=n, type=t) for n, t in FIELDS.items()))
REMOTE = ObjectSchema(name="Contact", fields=tuple(FieldSchema(name=n.title(), type=t) for n, t in FIELDS.items()))
NOW = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)


def compiled(
    *rules: dict[str, Any], computed: tuple[ComputedField, ...] = (), local: ObjectSchema = LOCAL
) -> RecordRule:
    mapping = ObjectMapping(
        fields=tuple(two_way(name, name.title()) for name in FIELDS),
        computed=computed,
        validation=tuple(ValidationRule.model_validate(rule) for rule in rules),
        match=MatchKeys(local_email="", remote_email=""),
    )
    return compile_mapping(mapping, local, REMOTE)


def refused(rule: dict[str, Any], **values: object) -> list[str]:
    """The codes of what a rule refuses in a record that is created with these values."""
    convert = RecordConverter(compiled(rule), Side.LOCAL)
    found = convert({name.title(): value for name, value in values.items()})
    assert all(problem.remedy for problem in found.problems)
    return [problem.code for problem in found.problems]


@pytest.mark.parametrize(
    "rule,good,bad",
    [
        ({"field": "email", "pattern": r"@example\.org$"}, "a@example.org", "a@example.com"),
        ({"field": "plan", "allowed": ["gold", "free"]}, "gold", "Gold"),
        ({"field": "tags", "allowed": ["a", "b"]}, ("b", "a"), ("a", "c")),
        ({"field": "tags", "pattern": "^[a-z]+$"}, ("a", "b"), ("a", "B")),
        ({"field": "name", "max_length": 3}, "Ada", "Adam"),
        ({"field": "name", "min_length": 3}, "Ada", "A"),
        ({"field": "tags", "max_length": 1}, ("long name",), ("a", "b")),
        ({"field": "seats", "minimum": 1, "maximum": 10}, 10, 11),
        ({"field": "seats", "minimum": 1}, 1, 0),
        ({"field": "since", "minimum": "2020-01-01"}, dt.date(2020, 1, 1), dt.date(2019, 12, 31)),
        ({"field": "seen", "maximum": "2026-01-31T00:00:00Z"}, NOW, NOW + dt.timedelta(seconds=1)),
        ({"field": "seats", "condition": "mod(seats, 2) = 0"}, 4, 5),
    ],
)
def test_a_rule_lets_the_one_through_and_refuses_the_other(rule: dict[str, Any], good: object, bad: object) -> None:
    name = rule["field"]
    assert refused(rule, **{name: good}) == []
    [code] = refused(rule, **{name: bad})
    assert code.startswith("validation_")
    assert refused(rule, **{name: None}) == []
    assert refused(rule) == []


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_required_field_must_not_be_blank(value: object) -> None:
    assert refused({"field": "name", "required": True}, name=value) == ["validation_required"]
    assert refused({"field": "name", "required": True}) == ["validation_required"]
    assert refused({"field": "name", "required": True}, name="Ada") == []


def test_a_condition_over_several_fields_holds_them_all_back() -> None:
    rule = compiled({"condition": "since <= until", "message": "a subscription ends after it began"})
    convert = RecordConverter(rule, Side.LOCAL)
    found = convert({"Since": dt.date(2026, 2, 1), "Until": dt.date(2026, 1, 1), "Name": "Ada"})
    assert found.values == {"name": "Ada"}
    [problem] = found.problems
    assert (problem.path, problem.message) == ("since", "a subscription ends after it began")
    held = {"since": dt.date(2026, 2, 1), "until": dt.date(2026, 3, 1)}
    assert convert({"Until": dt.date(2026, 1, 1)}, held).values == {}
    assert convert({"Until": dt.date(2026, 2, 1)}, held).values == {"until": dt.date(2026, 2, 1)}
    assert convert({"Until": None}, held).values == {"until": None}


def test_a_rule_is_asked_only_about_what_is_written() -> None:
    convert = RecordConverter(compiled({"field": "plan", "allowed": ["gold"]}), Side.LOCAL)
    assert convert({"Name": "Ada"}, {"plan": "old"}).problems == ()


def test_a_rule_may_reject_the_record_as_a_whole() -> None:
    rule = {"field": "plan", "allowed": ["gold"], "on_failure": "reject_record"}
    assert RecordConverter(compiled(rule), Side.LOCAL)({"Plan": "x", "Name": "Ada"}).values == {}


def test_no_message_holds_the_value() -> None:
    secret = "s3cret-value"
    for rule in (
        {"field": "name", "pattern": "^x"},
        {"field": "name", "allowed": ["x"]},
        {"field": "name", "max_length": 2},
        {"field": "name", "condition": 'name = "x"'},
        {"field": "name", "condition": "number(name) > 1"},
    ):
        [problem] = RecordConverter(compiled(rule), Side.LOCAL)({"Name": secret}).problems
        assert secret not in str(problem)


def test_rules_see_what_a_computed_field_changes() -> None:
    trimmed = ComputedField(side=Side.LOCAL, name="shout", expression="upper(name)")
    mapping = ObjectMapping(
        fields=(two_way("shout", "Name"),),
        computed=(trimmed,),
        validation=(ValidationRule(field="name", max_length=3), ValidationRule(condition='shout != "EVE"')),
        match=MatchKeys(local_email="", remote_email=""),
    )
    rule = compile_mapping(mapping, LOCAL, REMOTE)
    convert = RecordConverter(rule, Side.LOCAL)
    assert convert({"Name": "Ada"}).values == {"name": "Ada"}
    assert [problem.code for problem in convert({"Name": "Adam"}).problems] == ["validation_length"]
    assert convert({"Name": "eve"}).problems[0].code == "validation_condition"


@pytest.mark.parametrize(
    "rule,path,code",
    [
        ({"field": "nmae", "required": True}, "field", "unknown_field"),
        ({"field": "name"}, "field", "rule_unfit"),
        ({"required": True}, "field", "rule_unfit"),
        ({"field": "name", "pattern": "("}, "pattern", "rule_unfit"),
        ({"field": "name", "minimum": 3}, "minimum", "rule_unfit"),
        ({"field": "seats", "maximum": "2026-01-01"}, "maximum", "rule_unfit"),
        ({"field": "since", "maximum": "2026-01-01T10:00:00Z"}, "maximum", "rule_unfit"),
        ({"field": "seen", "maximum": "2026-01-01T10:00:00"}, "maximum", "rule_unfit"),
        ({"condition": "seats"}, "condition", "rule_unfit"),
        ({"condition": "true"}, "condition", "rule_unfit"),
        ({"condition": "seets > 1"}, "condition", "unknown_name"),
    ],
)
def test_a_rule_that_cannot_work_is_a_fault_with_its_place(rule: dict[str, Any], path: str, code: str) -> None:
    with pytest.raises(MappingError) as caught:
        compiled(rule)
    assert [(each.path, each.code) for each in caught.value.problems] == [(f"validation[0].{path}", code)]


def test_a_rule_of_what_is_never_written_is_a_warning() -> None:
    fields = (*LOCAL.fields, FieldSchema(name="score", type=FieldType.DECIMAL))
    rule = compiled({"field": "score", "minimum": 1}, local=LOCAL.model_copy(update={"fields": fields}))
    assert [each.code for each in rule.warnings] == ["rule_unused"]
    assert "score" in rule.local_fields


def test_the_version_depends_on_the_rules() -> None:
    versions = {compiled().version, compiled({"field": "name", "required": True}).version}
    assert len({*versions, compiled({"field": "name", "max_length": 3}).version}) == 3


def test_an_open_side_is_asked_for_what_a_rule_looks_at() -> None:
    rule = compiled({"field": "Employees", "minimum": 1}, local=ObjectSchema(name="rows", open=True))
    assert "Employees" in rule.local_fields
    convert = RecordConverter(rule, Side.LOCAL)
    assert convert({}, {"Employees": "0"}).problems == ()


def test_a_preview_shows_what_the_rules_refuse() -> None:
    rule = compiled({"field": "plan", "allowed": ["gold"], "message": "gold only"})
    remote = Record("1", {"Plan": "silver", "Name": "Ada"})
    shown = {each.target: (each.fate, each.why) for each in preview_record(rule, "Contact", None, remote).to_local}
    assert shown["plan"] == (FieldFate.REJECTED, "gold only")
    assert shown["name"] == (FieldFate.WRITTEN, "")
    local = Record("a", {"plan": "silver", "name": "Eve"})
    shown = {each.target: (each.fate, each.why) for each in preview_record(rule, "Contact", local, remote).to_local}
    assert (shown["plan"][0], shown["name"][0]) == (FieldFate.SAME, FieldFate.WRITTEN)


@pytest.mark.parametrize(
    "end",
    [
        Decimal("2.50"),
        dt.date(2026, 1, 1),
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        dt.datetime(2026, 1, 1, 10, tzinfo=dt.UTC),
    ],
)
def test_the_end_of_a_range_is_the_same_when_it_is_stored_and_read(end: object) -> None:
    rule = ValidationRule.model_validate({"field": "x", "minimum": end})
    again = ValidationRule.model_validate_json(rule.model_dump_json())
    assert again == rule
    assert type(again.minimum) is type(end)
