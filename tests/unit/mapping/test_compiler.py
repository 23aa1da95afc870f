"""What a mapping is refused for, warned of, and compiled to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from crmsync.errors import MappingError
from crmsync.mapping import CustomPolicy, MappingCode, compile_mapping
from crmsync.models.mappings import (
    ConflictPolicy,
    Enforcement,
    FieldMapping,
    MatchKeys,
    ObjectMapping,
    always_use_crm,
    dont_sync,
    prefer_crm_unless_blank,
    two_way,
)
from crmsync.models.problems import Problem
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import RecordRule

OPEN = ObjectSchema(name="subscribers", open=True)
LAST_NAME = two_way("last_name", "LastName")
CODE = MappingCode


def compiled(contact: ObjectSchema, *fields: FieldMapping, local: ObjectSchema = OPEN, **options: object) -> RecordRule:
    return compile_mapping(ObjectMapping.model_validate({"fields": (LAST_NAME, *fields), **options}), local, contact)


def faults(
    contact: ObjectSchema,
    *fields: FieldMapping,
    local: ObjectSchema = OPEN,
    custom: Mapping[str, CustomPolicy] | None = None,
    **options: object,
) -> list[tuple[str, str]]:
    return [(each.path, each.code) for each in problems(contact, *fields, local=local, custom=custom, **options)]


def problems(
    contact: ObjectSchema,
    *fields: FieldMapping,
    local: ObjectSchema = OPEN,
    custom: Mapping[str, CustomPolicy] | None = None,
    **options: object,
) -> tuple[Problem, ...]:
    mapping = ObjectMapping.model_validate({"fields": (LAST_NAME, *fields), **options})
    with pytest.raises(MappingError) as caught:
        compile_mapping(mapping, local, contact, custom=custom or {})
    assert all(problem.remedy for problem in caught.value.problems)
    return caught.value.problems


def test_every_fault_is_found_at_once_in_the_order_of_the_fields(contact: ObjectSchema) -> None:
    found = faults(
        contact,
        two_way("email", "Emial"),
        two_way("name", "Name"),
        two_way("first", "FirstName", policy="set_merge"),
        two_way("out", "HasOptedOutOfEmail", to_crm="mirror", sync_direction="from_crm"),
        two_way("born", "Birthdate", value_map={"a": "x", "b": "x"}),
        match=MatchKeys(remote_email="Mail"),
    )
    assert found == [
        ("fields[1].crm_field", CODE.UNKNOWN_FIELD),
        ("fields[2].crm_field", CODE.NOT_WRITABLE),
        ("fields[3].policy", CODE.POLICY_UNFIT),
        ("fields[4].to_crm", CODE.ENFORCEMENT_CONTRADICTS_DIRECTION),
        ("fields[5].value_map", CODE.VALUE_MAP_NOT_ONE_TO_ONE),
        ("match.remote_email", CODE.UNKNOWN_FIELD),
    ]


@pytest.mark.parametrize(
    "name,remedy",
    [
        ("first_name", "did you mean 'FirstName'?"),
        ("Interests", "did you mean 'Interests__c'?"),
        ("FirstNam", "did you mean 'FirstName' or 'LastName'?"),
    ],
)
def test_an_unknown_field_brings_the_closest_names(contact: ObjectSchema, name: str, remedy: str) -> None:
    (problem,) = problems(contact, two_way("first", name))
    assert problem.remedy == remedy


def test_a_name_like_no_other_brings_what_there_is(contact: ObjectSchema) -> None:
    (problem,) = problems(contact, two_way("x", "Zzzzzzzz"))
    assert "'Birthdate'" in problem.remedy
    assert "more" in problem.remedy


def test_a_closed_local_side_is_checked_like_the_crm(contact: ObjectSchema) -> None:
    local = ObjectSchema(name="subscribers", fields=(FieldSchema(name="last_name"), FieldSchema(name="email")))
    (problem,) = problems(contact, two_way("frist_name", "FirstName"), local=local)
    assert (problem.path, problem.code) == ("fields[1].markmail_field", CODE.UNKNOWN_FIELD)


def test_a_crm_field_that_is_only_readable_is_to_be_synced_from_there(contact: ObjectSchema) -> None:
    (problem,) = problems(contact, two_way("name", "Name"))
    assert problem.code == CODE.NOT_WRITABLE
    assert problem.remedy == 'set sync_direction = "from_crm"'
    rule = compiled(contact, two_way("name", "Name", sync_direction="from_crm")).rules[1]
    assert (rule.to_crm, rule.from_crm) == (Enforcement.OFF, Enforcement.PROPAGATE)


def test_a_local_field_that_is_only_readable_is_to_be_synced_from_there(contact: ObjectSchema) -> None:
    fields = (FieldSchema(name="last_name"), FieldSchema(name="x", createable=False, updateable=False))
    local = ObjectSchema(name="subscribers", fields=fields)
    match = MatchKeys(local_email="", remote_email="")
    (problem,) = problems(contact, two_way("x", "FirstName"), local=local, match=match)
    assert (problem.path, problem.remedy) == ("fields[1].markmail_field", 'set sync_direction = "to_crm"')


def test_a_field_that_is_given_at_creation_only_is_written_then(contact: ObjectSchema) -> None:
    rule = compiled(contact, two_way("source", "Source__c"))
    assert rule.rules[1].to_crm is Enforcement.CREATE_ONLY
    assert [(each.path, each.code) for each in rule.warnings] == [("fields[1].crm_field", CODE.CREATE_ONLY)]
    assert not compiled(contact, two_way("source", "Source__c", to_crm="create_only")).warnings


def test_a_field_that_cannot_be_given_at_creation_is_warned_of(contact: ObjectSchema) -> None:
    assert [each.code for each in compiled(contact, two_way("later", "Later__c")).warnings] == [CODE.NOT_CREATEABLE]
    assert not compiled(contact, two_way("later", "Later__c"), create_in_crm=False).warnings
    found = faults(contact, two_way("later", "Later__c", to_crm="create_only"))
    assert found == [("fields[1].crm_field", CODE.NOT_WRITABLE)]


def test_a_field_that_cannot_be_read_is_not_synced_from_there_nor_asked_for(contact: ObjectSchema) -> None:
    rule = compiled(contact, two_way("secret", "Secret__c"))
    assert (rule.rules[1].to_crm, rule.rules[1].from_crm) == (Enforcement.PROPAGATE, Enforcement.OFF)
    assert [each.code for each in rule.warnings] == [CODE.UNREADABLE]
    assert "Secret__c" not in rule.remote_fields
    one_way = compiled(contact, two_way("secret", "Secret__c", sync_direction="to_crm"))
    assert [each.code for each in one_way.warnings] == [CODE.UNREADABLE]


def test_one_field_is_written_by_one_mapping(contact: ObjectSchema) -> None:
    found = faults(contact, two_way("a", "FirstName"), two_way("b", "FirstName"), two_way("a", "Score__c"))
    assert found == [
        ("fields[2].crm_field", CODE.DUPLICATE_TARGET),
        ("fields[3].markmail_field", CODE.DUPLICATE_TARGET),
    ]


def test_one_field_may_be_read_by_two_mappings(contact: ObjectSchema) -> None:
    options = {"sync_direction": "to_crm"}
    rule = compiled(contact, two_way("a", "FirstName", **options), two_way("a", "Score__c", **options))
    assert [each.remote for each in rule.rules] == ["FirstName", "Score__c", "LastName"]


UNFIT = [
    ("FirstName", ConflictPolicy.SET_MERGE),
    ("FirstName", ConflictPolicy.MOST_RESTRICTIVE),
    ("Interests__c", ConflictPolicy.MAX),
    ("Interests__c", ConflictPolicy.MIN),
    ("HasOptedOutOfEmail", ConflictPolicy.MAX),
]


@pytest.mark.parametrize("field,policy", UNFIT)
def test_a_policy_fits_the_type(contact: ObjectSchema, field: str, policy: ConflictPolicy) -> None:
    assert faults(contact, two_way("x", field, policy=policy)) == [("fields[1].policy", CODE.POLICY_UNFIT)]


def test_a_default_policy_that_fits_no_field_is_reported_for_each(contact: ObjectSchema) -> None:
    assert faults(contact, policy="most_restrictive") == [("fields[0].policy", CODE.POLICY_UNFIT)]


def test_policies_without_a_word_are_the_mappings_or_set_merge(contact: ObjectSchema) -> None:
    rule = compiled(contact, two_way("x", "Interests__c"), prefer_crm_unless_blank("y", "FirstName"), policy="max")
    assert [(each.local, each.policy) for each in rule.rules] == [
        ("last_name", ConflictPolicy.MAX),
        ("x", ConflictPolicy.SET_MERGE),
        ("y", ConflictPolicy.PREFER_NONBLANK),
    ]
    assert [each.set_valued for each in rule.rules] == [False, True, False]


def test_policy_custom_needs_its_function(contact: ObjectSchema) -> None:
    field = two_way("first", "FirstName", policy="custom")
    assert faults(contact, field) == [("fields[1].policy", CODE.CUSTOM_MISSING)]

    def longest(ours: object, theirs: object) -> object:
        return max(str(ours), str(theirs), key=len)

    mapping = ObjectMapping(fields=(LAST_NAME, field))
    rule = compile_mapping(mapping, OPEN, contact, custom={"first": longest, "other": longest})
    assert rule.rules[0].custom is longest
    assert [each.code for each in rule.warnings] == [CODE.CUSTOM_UNUSED]


@pytest.mark.parametrize(
    "local,remote,declared",
    [
        (FieldType.EMAIL, "Birthdate", FieldType.TEXT),
        (FieldType.TAGS, "CleanStatus", FieldType.TEXT),
        (FieldType.TEXT, "FirstName", FieldType.TAGS),
        (FieldType.DATE, "Birthdate", FieldType.BOOLEAN),
    ],
)
def test_types_that_cannot_stand_for_each_other_are_refused(
    contact: ObjectSchema, local: FieldType, remote: str, declared: FieldType
) -> None:
    fields = (FieldSchema(name="last_name"), FieldSchema(name="email"), FieldSchema(name="x", type=local))
    side = ObjectSchema(name="subscribers", fields=fields)
    mapping = two_way("x", remote, field_type=declared)
    if declared is FieldType.TAGS:
        assert compiled(contact, mapping, local=side).rules[1].set_valued
    else:
        assert faults(contact, mapping, local=side) == [("fields[1].field_type", CODE.INCOMPATIBLE_TYPES)]


def test_types_matter_in_the_directions_that_flow(contact: ObjectSchema) -> None:
    side = ObjectSchema(name="subscribers", open=True, fields=(FieldSchema(name="x", type=FieldType.TIME),))
    assert compiled(contact, dont_sync("x", "Birthdate"), local=side).rules[1].to_crm is Enforcement.OFF


def test_a_value_map_names_options_that_exist(contact: ObjectSchema) -> None:
    (problem,) = problems(contact, two_way("x", "CleanStatus", value_map={"ok": "Matchd"}))
    assert (problem.path, problem.code) == ("fields[1].value_map", CODE.UNKNOWN_OPTION)
    assert problem.remedy == "did you mean 'Matched'?"


def test_a_value_map_one_way_need_not_be_one_to_one(contact: ObjectSchema) -> None:
    names = {"a": "Matched", "b": "Matched"}
    assert compiled(contact, two_way("x", "CleanStatus", value_map=names, sync_direction="to_crm"))


def test_archiving_needs_a_field_to_archive_in(contact: ObjectSchema) -> None:
    archive: dict[str, Any] = {"delete_in_crm": "archive", "delete_in_local": "archive"}
    paths = [("local_archive_field", CODE.ARCHIVE_FIELD_MISSING), ("remote_archive_field", CODE.ARCHIVE_FIELD_MISSING)]
    assert faults(contact, **archive) == paths
    named = {**archive, "local_archive_field": "archived", "remote_archive_field": "Archived__c"}
    assert compiled(contact, **named)
    unknown = {**named, "remote_archive_field": "Archive__c"}
    assert faults(contact, **unknown) == [("remote_archive_field", CODE.UNKNOWN_FIELD)]
    fixed = {**named, "remote_archive_field": "Name"}
    assert faults(contact, **fixed) == [("remote_archive_field", CODE.NOT_WRITABLE)]


def test_a_field_without_which_no_record_is_created_must_be_mapped(contact: ObjectSchema) -> None:
    mapping = ObjectMapping(fields=(two_way("first", "FirstName"),))
    with pytest.raises(MappingError) as caught:
        compile_mapping(mapping, OPEN, contact)
    (problem,) = caught.value.problems
    assert (problem.path, problem.code) == ("fields", CODE.REQUIRED_NOT_COVERED)
    assert "'LastName'" in problem.message
    assert compile_mapping(mapping.model_copy(update={"create_in_crm": False}), OPEN, contact)


def test_a_required_field_that_may_be_null_is_a_warning(contact: ObjectSchema) -> None:
    fields = (*contact.fields, FieldSchema(name="Company", required=True))
    rule = compiled(contact.model_copy(update={"fields": fields}))
    assert [(each.path, each.code) for each in rule.warnings] == [("fields", CODE.REQUIRED_NOT_COVERED)]


def test_a_local_field_without_which_no_record_is_created_must_be_mapped(contact: ObjectSchema) -> None:
    fields = (
        FieldSchema(name="id", type=FieldType.ID, required=True, nillable=False),
        FieldSchema(name="last_name"),
        FieldSchema(name="email", required=True, nillable=False),
    )
    local = ObjectSchema(name="subscribers", fields=fields)
    assert faults(contact, local=local) == [("fields", CODE.REQUIRED_NOT_COVERED)]
    assert compiled(contact, two_way("email", "Email"), local=local)
    assert compiled(contact, local=local, create_in_local=False)


def test_records_match_by_fields_that_exist_on_both_sides(contact: ObjectSchema) -> None:
    local = ObjectSchema(name="subscribers", fields=(FieldSchema(name="last_name"),))
    assert faults(contact, local=local) == [("match.local_email", CODE.UNKNOWN_FIELD)]
    one_sided = MatchKeys(local_email="", remote_email="Email")
    assert faults(contact, match=one_sided) == [("match.local_email", CODE.MATCH_INCOMPLETE)]
    hidden = MatchKeys(remote_email="Secret__c")
    assert faults(contact, match=hidden) == [("match.remote_email", CODE.UNREADABLE)]
    assert compiled(contact, local=local, match=MatchKeys(local_email="", remote_email=""))


def test_the_fields_to_read_are_those_that_flow_and_those_that_match(contact: ObjectSchema) -> None:
    match = MatchKeys(local_remote_id="crm_id")
    rule = compiled(contact, dont_sync("first", "FirstName"), always_use_crm("born", "Birthdate"), match=match)
    assert rule.local_fields == ("born", "crm_id", "email", "last_name")
    assert rule.remote_fields == ("Birthdate", "Email", "LastName")
    assert [each.local for each in rule.rules] == ["born", "first", "last_name"]


def test_a_default_is_a_value_that_can_be_written(contact: ObjectSchema) -> None:
    assert faults(contact, two_way("born", "Birthdate", default="soon")) == [
        ("fields[1].default", CODE.DEFAULT_UNUSABLE)
    ]
    assert compiled(contact, two_way("born", "Birthdate", default="1970-01-01")).rules[0].default == "1970-01-01"


def test_a_set_in_one_text_needs_a_separator(contact: ObjectSchema) -> None:
    side = ObjectSchema(name="subscribers", open=True, fields=(FieldSchema(name="x"),))
    found = faults(contact, two_way("x", "Interests__c", separator=""), local=side)
    assert found == [("fields[1].separator", CODE.NO_SEPARATOR)]


def test_a_namespace_for_a_field_that_is_no_set_is_warned_of(contact: ObjectSchema) -> None:
    rule = compiled(contact, two_way("first", "FirstName", namespace="mm:"))
    assert [each.code for each in rule.warnings] == [CODE.NAMESPACE_UNUSED]


@pytest.mark.parametrize("policy, codes", [(None, []), ("manual", [CODE.NAMESPACE_UNUSED])])
def test_a_namespace_under_a_policy_that_writes_whole_sets_is_warned_of(
    contact: ObjectSchema, policy: str | None, codes: list[str]
) -> None:
    field = two_way("interests", "Interests__c", namespace="mm:", policy=policy)
    assert [each.code for each in compiled(contact, field).warnings] == codes


def test_an_open_side_takes_values_of_the_type_that_is_meant(contact: ObjectSchema) -> None:
    rule = compiled(contact, two_way("tags", "Interests__c"), two_way("born", "Birthdate")).rules
    assert rule[2].to_local("a;b").value == ("a", "b")
    assert rule[2].to_remote(("a", "b")).value == "a;b"


class TestVersion:
    def test_it_is_short_and_stable(self, contact: ObjectSchema) -> None:
        version = compiled(contact).version
        assert version == compiled(contact).version
        assert len(version) == 32
        assert set(version) <= set("0123456789abcdef")

    @pytest.mark.parametrize(
        "options",
        [
            {"on_loss": "accept"},
            {"policy": "max"},
            {"tie": "local"},
            {"default": 1},
            {"default": "1"},
            {"value_map": {"a": "b"}},
            {"to_crm": "mirror"},
            {"required": True},
        ],
    )
    def test_it_changes_with_a_field_mapping(self, contact: ObjectSchema, options: Mapping[str, object]) -> None:
        plain, other = (two_way("score", "FirstName", **each) for each in ({}, options))
        assert compiled(contact, plain).version != compiled(contact, other).version

    def test_every_default_has_a_version_of_its_own(self, contact: ObjectSchema) -> None:
        defaults = (None, 1, "1", True, 1.0)
        rules = (compiled(contact, two_way("score", "FirstName", default=each)) for each in defaults)
        assert len({rule.version for rule in rules}) == len(defaults)

    def test_it_changes_with_the_mapping(self, contact: ObjectSchema) -> None:
        assert compiled(contact).version != compiled(contact, delete_in_crm="propagate").version

    @pytest.mark.parametrize("change", [{"length": 81}, {"type": FieldType.URL}, {"updateable": False}])
    def test_it_changes_with_a_mapped_fields_schema(self, contact: ObjectSchema, change: Mapping[str, object]) -> None:
        assert compiled(contact).version != compiled(_with(contact, "LastName", change)).version

    def test_it_does_not_change_with_what_is_not_mapped(self, contact: ObjectSchema) -> None:
        assert compiled(contact).version == compiled(_with(contact, "FirstName", {"length": 41})).version
        assert compiled(contact).version == compiled(_with(contact, "LastName", {"label": "Nachname"})).version

    def test_options_count_where_the_field_is_restricted(self, contact: ObjectSchema) -> None:
        field = two_way("x", "CleanStatus")
        reordered = _with(contact, "CleanStatus", {"options": ("Pending", "Matched")})
        added = _with(contact, "CleanStatus", {"options": ("Pending", "Matched", "New")})
        assert compiled(contact, field).version == compiled(reordered, field).version
        assert compiled(contact, field).version != compiled(added, field).version


def _with(schema: ObjectSchema, name: str, change: Mapping[str, object]) -> ObjectSchema:
    fields = tuple(each.model_copy(update=change) if each.name == name else each for each in schema.fields)
    return schema.model_copy(update={"fields": fields})
