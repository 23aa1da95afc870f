"""What the CRM's administrator changed under a mapping, and what is left of the mapping."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crmsync.errors import MappingError
from crmsync.mapping import MappingCode, schema_drift
from crmsync.mapping.drift import compile_in_spite, kept_for, mapping_digest, remember
from crmsync.models.checks import Fix, SchemaMemory
from crmsync.models.mappings import Enforcement, MatchKeys, ObjectMapping, two_way
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import RecordRule

CODE = MappingCode
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LOCAL = ObjectSchema(name="subscribers", open=True)
MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("tier", "Tier__c", value_map={"gold": "Gold"}),
        two_way("score", "Score__c"),
    )
)
FIELDS = {
    "Email": FieldSchema(name="Email", label="E-mail", type=FieldType.EMAIL, length=80),
    "Tier__c": FieldSchema(
        name="Tier__c", label="Tier", type=FieldType.PICKLIST, options=("Gold", "Silver"), restricted=True
    ),
    "Score__c": FieldSchema(name="Score__c", label="Score", type=FieldType.DECIMAL, precision=8, scale=2),
    "Other__c": FieldSchema(name="Other__c", label="Other"),
}


def contact(**changes: dict[str, Any] | None) -> ObjectSchema:
    """The CRM's object with some fields changed, or taken away."""
    fields = {**FIELDS, **{name: FIELDS.get(name, FieldSchema(name=name)) for name in changes}}
    kept = {name: field for name, field in fields.items() if changes.get(name, {}) is not None}
    return ObjectSchema(
        name="Contact",
        fields=tuple(field.model_copy(update=changes.get(name) or {}) for name, field in kept.items()),
    )


def memory(mapping: ObjectMapping = MAPPING) -> SchemaMemory:
    return remember(mapping, contact(), None, key=mapping_digest(mapping), now=NOW)


def drift(**changes: dict[str, Any] | None) -> list[tuple[str, str]]:
    found = schema_drift(MAPPING, contact(**changes), memory())
    assert all(each.remedy and each.message for each in found)
    return [(each.path, each.code) for each in found]


def compiled(mapping: ObjectMapping = MAPPING, **changes: dict[str, Any] | None) -> RecordRule:
    return compile_in_spite(mapping, (LOCAL, contact(**changes)), memory(mapping), custom={})


@pytest.mark.parametrize(
    "change,code",
    [
        (None, CODE.FIELD_GONE),
        ({"type": FieldType.TEXT, "precision": None, "scale": None}, CODE.TYPE_CHANGED),
        ({"type": FieldType.DATE, "precision": None, "scale": None}, CODE.TYPE_CHANGED),
        ({"scale": 1}, CODE.SCALE_SHRUNK),
        ({"precision": 4}, CODE.SCALE_SHRUNK),
        ({"updateable": False}, CODE.PERMISSION_LOST),
        ({"readable": False}, CODE.PERMISSION_LOST),
        ({"unique": True}, CODE.NOW_UNIQUE),
    ],
)
def test_a_field_that_became_worse_is_told(change: dict[str, Any] | None, code: MappingCode) -> None:
    assert drift(Score__c=change) == [("fields[2].crm_field", code)]


def test_a_field_that_holds_less_text_or_fewer_options_is_told() -> None:
    assert drift(Email={"length": 40}) == [("fields[0].crm_field", CODE.LENGTH_SHRUNK)]
    assert drift(Tier__c={"options": ("Silver",)}) == [("fields[1].crm_field", CODE.OPTIONS_REMOVED)]


def test_a_field_that_became_better_or_is_not_mapped_is_no_news() -> None:
    assert drift(Email={"length": 120}, Score__c={"scale": 4, "precision": 12}, Other__c=None, New__c={}) == []
    assert drift(Tier__c={"options": ("Gold", "Silver", "Iron"), "label": "Level"}) == []


def test_a_new_field_that_every_record_needs_is_told_unless_it_is_mapped() -> None:
    assert drift(Region__c={"required": True, "nillable": False}) == [("fields", CODE.NOW_REQUIRED)]
    assert drift(Score__c={"required": True}) == []


def test_a_renamed_field_is_recognised_by_its_label_or_its_name_among_the_new_ones() -> None:
    by_label = schema_drift(
        MAPPING, contact(Score__c=None, Points__c={"label": "Score", "type": FieldType.DECIMAL}), memory()
    )
    by_name = schema_drift(MAPPING, contact(Score__c=None, Score1__c={"type": FieldType.DECIMAL}), memory())
    for [found], name in ((by_label, "Points__c"), (by_name, "Score1__c")):
        assert (found.code, found.fix) == (CODE.FIELD_RENAMED, Fix(index=2, settings={"crm_field": name}))
    [gone] = schema_drift(MAPPING, contact(Score__c=None, Other__c={"label": "Score"}), memory())
    assert gone.code == CODE.FIELD_GONE, "a field that was always there is not the renamed one"


@pytest.mark.parametrize("change", [None, {"type": FieldType.DATE}, {"updateable": False, "createable": False}])
def test_a_broken_field_is_left_out_with_the_reason_and_the_others_go_on(change: dict[str, Any] | None) -> None:
    mapping = MAPPING.model_copy(update={"fields": (*MAPPING.fields[:2], two_way("score", "Score__c", policy="max"))})
    if change and "type" in change:
        mapping = mapping.model_copy(
            update={"fields": (*MAPPING.fields[:2], two_way("score", "Score__c", field_type=FieldType.DECIMAL))}
        )
    rule = compiled(mapping, Score__c=change)
    by_name = {each.remote: each for each in rule.rules}
    assert rule.suspended == ("Score__c",)
    assert (by_name["Score__c"].to_crm, by_name["Score__c"].from_crm) == (Enforcement.OFF, Enforcement.OFF)
    assert by_name["Email"].to_crm is Enforcement.PROPAGATE
    assert "Score__c" not in rule.remote_fields
    assert [each.path for each in rule.warnings] == ["fields[2].crm_field"], "told once"


def test_a_removed_option_only_concerns_the_records_that_hold_it() -> None:
    rule = compiled(Tier__c={"options": ("Silver",)})
    tier = next(each for each in rule.rules if each.remote == "Tier__c")
    assert rule.suspended == ()
    assert tier.to_remote("gold").rejected
    assert tier.to_remote("Silver").value == "Silver"
    assert [each.code for each in rule.warnings] == [CODE.OPTIONS_REMOVED]


def test_a_newly_required_field_stops_no_updates() -> None:
    rule = compiled(Region__c={"required": True, "nillable": False})
    assert [each.code for each in rule.warnings] == [CODE.NOW_REQUIRED]


def test_a_field_by_which_records_are_told_stops_everything() -> None:
    with pytest.raises(MappingError) as caught:
        compiled(Email=None)
    assert {problem.path for problem in caught.value.problems} >= {"match.remote_email"}


def test_a_fault_that_was_there_before_is_nothing_of_the_schema() -> None:
    with pytest.raises(MappingError):
        compile_in_spite(MAPPING, (LOCAL, contact(Score__c=None)), None, custom={})


def test_another_mapping_is_held_against_the_schema_as_it_is_now() -> None:
    other = ObjectMapping(fields=MAPPING.fields[1:], match=MatchKeys(local_email="", remote_email=""))
    assert kept_for(memory(), other) is None
    assert kept_for(memory(), MAPPING) == memory()


def test_what_is_kept_stays_as_it_was_while_something_is_wrong_and_moves_on_with_the_rest() -> None:
    key = mapping_digest(MAPPING)
    first = memory()
    assert remember(MAPPING, contact(), first, key=key, now=NOW) is first
    worse = contact(Score__c=None, Email={"length": 120})
    second = remember(MAPPING, worse, first, key=key, now=NOW)
    assert second.field("Score__c") == FIELDS["Score__c"]
    email = second.field("Email")
    assert email is not None
    assert email.length == 120
    assert [each.code for each in second.drift] == [CODE.FIELD_GONE]
    assert remember(MAPPING, worse, second, key=key, now=NOW) is second, "nothing new is not stored again"
    third = remember(MAPPING, contact(Email={"length": 120}), second, key=key, now=NOW)
    assert third.drift == ()
    assert third.digest not in (first.digest, second.digest)


def test_what_is_kept_survives_its_storage() -> None:
    held = memory().model_dump(mode="json", exclude_defaults=True)
    assert SchemaMemory.model_validate(held) == memory()
