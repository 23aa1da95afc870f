"""Computed fields in a mapping: what is found wrong with them, what is read for them, and how records are converted."""

from __future__ import annotations

import datetime as dt

import pytest

from crmsync.errors import MappingError
from crmsync.mapping import RecordConverter, compile_mapping
from crmsync.mapping.drift import compile_in_spite, mapping_digest, remember
from crmsync.models.mappings import ComputedField, FieldMapping, MatchKeys, ObjectMapping, SyncDirection, two_way
from crmsync.models.records import Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import RecordRule

LOCAL = ObjectSchema(
    name="subscribers",
    fields=(
        FieldSchema(name="email", type=FieldType.EMAIL),
        FieldSchema(name="first", length=10),
        FieldSchema(name="last"),
        FieldSchema(name="born"),
        FieldSchema(name="plan", type=FieldType.PICKLIST, options=("gold", "free"), restricted=True),
        FieldSchema(name="seats", type=FieldType.INTEGER),
        FieldSchema(name="hidden", readable=False),
        FieldSchema(name="fixed", updateable=False, createable=False),
    ),
)
FULL = {
    "name": "full",
    "expression": 'concat_with(" ", first, last)',
    "inverse": {"first": 'before(value, " ")', "last": 'after(value, " ")'},
}


def local(name: str, expression: str, **options: object) -> ComputedField:
    return ComputedField.model_validate({"side": "local", "name": name, "expression": expression, **options})


def compiled(
    contact: ObjectSchema, computed: tuple[ComputedField, ...], *fields: FieldMapping, **options: object
) -> RecordRule:
    match = options.pop("match", MatchKeys(local_email="", remote_email=""))
    mapping = ObjectMapping.model_validate(
        {"computed": computed, "fields": fields, "match": match, "create_in_crm": False, **options}
    )
    return compile_mapping(mapping, LOCAL, contact)


def faults(
    contact: ObjectSchema, computed: tuple[ComputedField, ...], *fields: FieldMapping, **options: object
) -> list[tuple[str, str]]:
    with pytest.raises(MappingError) as caught:
        compiled(contact, computed, *fields, **options)
    assert all(problem.remedy for problem in caught.value.problems)
    return [(problem.path, problem.code) for problem in caught.value.problems]


def test_a_side_is_asked_for_what_a_computed_field_is_made_of(contact: ObjectSchema) -> None:
    rule = compiled(contact, (local("full", "first & last"), local("big", "upper(full)")), one_way("big", "LastName"))
    assert rule.local_fields == ("first", "last")
    assert rule.reads(Side.LOCAL, "big") == ("first", "last")
    assert rule.reads(Side.LOCAL, "email") == ("email",)


def one_way(name: str, crm_field: str) -> FieldMapping:
    return FieldMapping(markmail_field=name, crm_field=crm_field, sync_direction=SyncDirection.TO_CRM)


def test_a_record_is_converted_with_its_computed_fields(contact: ObjectSchema) -> None:
    rule = compiled(
        contact,
        (local("full", "first & ' ' & last"), local("birthday", "parse_date(born, 'dd.MM.yyyy')")),
        one_way("full", "LastName"),
        one_way("birthday", "Birthdate"),
    )
    convert = RecordConverter(rule, Side.REMOTE)
    found = convert({"first": "Ada", "last": "Lovelace", "born": "10.12.1815"})
    assert found.values == {"LastName": "Ada Lovelace", "Birthdate": dt.date(1815, 12, 10)}
    broken = convert({"first": "Ada", "last": "Lovelace", "born": "10 Dec"})
    assert broken.values == {"LastName": "Ada Lovelace"}
    assert [(problem.path, problem.code) for problem in broken.problems] == [("Birthdate", "invalid")]
    assert convert({"first": "Ada"}).values == {}


def test_a_write_of_a_computed_field_changes_what_it_is_made_of(contact: ObjectSchema) -> None:
    rule = compiled(contact, (ComputedField.model_validate({"side": "local", **FULL}),), two_way("full", "LastName"))
    convert = RecordConverter(rule, Side.LOCAL)
    assert convert({"LastName": "Ada Lovelace"}, {}).values == {"first": "Ada", "last": "Lovelace"}
    assert convert({"LastName": "Ada"}, {}).values == {"first": "Ada", "last": None}
    assert convert({"LastName": None}, {}).values == {"first": None, "last": None}
    refused = convert({"LastName": "Wolfgangus Theophilus"}, {"first": "W.", "last": "M."})
    assert refused.values == {"first": "Wolfgangus", "last": "Theophilus"}
    [problem] = convert({"LastName": "Wolfgangius Mozart"}, {}).problems
    assert "10 characters" in problem.message or "hold" in problem.message


def test_a_value_that_would_not_come_back_is_refused(contact: ObjectSchema) -> None:
    initial = local("initial", "left(first, 1)", inverse={"first": "value"})
    rule = compiled(contact, (initial,), two_way("initial", "LastName"))
    convert = RecordConverter(rule, Side.LOCAL)
    assert convert({"LastName": "A"}, {}).values == {"first": "A"}
    refused = convert({"LastName": "Ada"}, {})
    assert refused.values == {}
    assert "does not give this value back" in refused.problems[0].message


def test_one_field_is_split_into_two_that_each_change_their_part(contact: ObjectSchema) -> None:
    parts = (
        ComputedField(
            side=Side.REMOTE,
            name="first_part",
            expression='before(LastName, " ")',
            inverse={"LastName": 'concat_with(" ", value, after(LastName, " "))'},
        ),
        ComputedField(
            side=Side.REMOTE,
            name="last_part",
            expression='after(LastName, " ")',
            inverse={"LastName": 'concat_with(" ", before(LastName, " "), value)'},
        ),
    )
    rule = compiled(contact, parts, two_way("first", "first_part"), two_way("last", "last_part"))
    assert RecordConverter(rule, Side.LOCAL)({"LastName": "Ada Lovelace"}).values == {
        "first": "Ada",
        "last": "Lovelace",
    }
    convert = RecordConverter(rule, Side.REMOTE)
    assert convert({"last": "King"}, {"LastName": "Ada Lovelace"}).values == {"LastName": "Ada King"}
    assert convert({"first": "A.", "last": "King"}, {"LastName": "Ada Lovelace"}).values == {"LastName": "A. King"}
    assert convert({"first": "Ada", "last": "Lovelace"}).values == {"LastName": "Ada Lovelace"}
    assert convert({"last": "King"}, {}).problems[0].code == "invalid"


def test_every_fault_is_told_at_once_with_its_path(contact: ObjectSchema) -> None:
    computed = (
        local("first", "last"),
        local("twice", "upper(first"),
        local("loop", "pool & 'x'"),
        local("pool", "loop"),
        local("typed", "first", field_type="date"),
        local("typo", "frist & nope(1)"),
        local("wrong", "first", inverse={"nobody": "value", "seats": "value", "last": "upper(1)"}),
    )
    assert set(faults(contact, computed, one_way("last", "LastName"))) == {
        ("computed[0].name", "computed_name"),
        ("computed[1].expression", "syntax"),
        ("computed[2].expression", "computed_cycle"),
        ("computed[3].expression", "computed_cycle"),
        ("computed[4].field_type", "computed_type"),
        ("computed[5].expression", "unknown_name"),
        ("computed[5].expression", "unknown_function"),
        ("computed[6].inverse.nobody", "unknown_field"),
        ("computed[6].inverse.seats", "computed_type"),
        ("computed[6].inverse.last", "argument_type"),
    }


def test_a_given_inverse_is_tried_on_samples(contact: ObjectSchema) -> None:
    wrong = local("x", "upper(first) & '!'", inverse={"first": "value"})
    assert faults(contact, (wrong,), two_way("x", "LastName")) == [("computed[0].inverse", "inverse_wrong")]
    partly = local("x", "upper(squeeze(first))", inverse={"first": 'before(value, " ")'})
    assert [each.code for each in compiled(contact, (partly,), two_way("x", "LastName")).warnings] == ["inverse_wrong"]
    plan = local("x", 'lookup(plan, {"gold": "G", "free": "F"})', inverse={"plan": 'if(value = "G", "gold", "free")'})
    good = (ComputedField.model_validate({"side": "local", **FULL}), plan)
    assert compiled(contact, good, two_way("full", "LastName"), two_way("x", "FirstName")).warnings == ()


def test_a_two_way_field_without_an_inverse_is_refused_with_the_reason(contact: ObjectSchema) -> None:
    with pytest.raises(MappingError) as caught:
        compiled(contact, (local("full", "first & ' ' & last"),), two_way("full", "LastName"))
    [problem] = caught.value.problems
    assert (problem.path, problem.code) == ("fields[0].markmail_field", "no_inverse")
    assert "' ' may stand within 'first'" in problem.message
    assert 'sync_direction = "to_crm"' in problem.remedy


@pytest.mark.parametrize(
    "computed,code",
    [
        (local("x", "upper(fixed)"), "not_writable"),
        (local("x", "first", inverse={"fixed": "value"}), "not_writable"),
    ],
)
def test_the_fields_that_it_changes_must_be_writable(computed: ComputedField, code: str, contact: ObjectSchema) -> None:
    assert faults(contact, (computed,), two_way("x", "LastName")) == [("fields[0].markmail_field", code)]


def test_a_field_made_of_a_hidden_one_is_hidden(contact: ObjectSchema) -> None:
    rule = compiled(contact, (local("x", "first & hidden"),), one_way("x", "LastName"), one_way("last", "FirstName"))
    assert [each.code for each in rule.warnings] == ["unreadable"]


def test_two_field_mappings_cannot_write_one_field_even_by_a_computed_one(contact: ObjectSchema) -> None:
    shout = local("shout", "upper(first)")
    assert faults(contact, (shout,), two_way("first", "FirstName"), two_way("shout", "LastName")) == [
        ("fields[1].markmail_field", "duplicate_target")
    ]


def test_records_are_not_found_by_a_computed_field(contact: ObjectSchema) -> None:
    match = MatchKeys(local_email="mail", remote_email="Email")
    found = faults(contact, (local("mail", "lower(email)"),), one_way("first", "LastName"), match=match)
    assert found == [("match.local_email", "computed_key")]


def test_a_required_field_is_covered_by_a_computed_one_that_changes_it(contact: ObjectSchema) -> None:
    name = ComputedField(side=Side.REMOTE, name="shout", expression="upper(LastName)")
    assert compiled(contact, (name,), two_way("last", "shout"), create_in_crm=True).rules


def test_the_version_depends_on_expressions_and_their_order_alone(contact: ObjectSchema) -> None:
    def version(*computed: ComputedField) -> str:
        return compiled(contact, computed, one_way("last", "LastName")).version

    one, two = local("a", "first"), local("b", "last")
    assert len({version(), version(one), version(local("a", "last")), version(one, two), version(two, one)}) == 5
    assert version(one) == version(local("a", "first"))


def test_an_open_side_has_the_fields_that_an_expression_names(contact: ObjectSchema) -> None:
    mapping = ObjectMapping(
        computed=(local("full", "[First Name] & last"),),
        fields=(one_way("full", "LastName"),),
        match=MatchKeys(local_email="", remote_email=""),
    )
    rule = compile_mapping(mapping, ObjectSchema(name="rows", open=True), contact)
    assert rule.local_fields == ("First Name", "last")


def test_what_the_crm_takes_from_under_an_expression_is_left_out_with_the_reason(contact: ObjectSchema) -> None:
    mapping = ObjectMapping(
        computed=(ComputedField(side=Side.REMOTE, name="shout", expression="upper(Source__c) & Name"),),
        fields=(
            two_way("last", "LastName"),
            FieldMapping(markmail_field="first", crm_field="shout", sync_direction=SyncDirection.FROM_CRM),
        ),
        match=MatchKeys(local_email="", remote_email=""),
    )
    before = remember(mapping, contact, None, key=mapping_digest(mapping), now=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    less = contact.model_copy(update={"fields": tuple(each for each in contact.fields if each.name != "Source__c")})
    rule = compile_in_spite(mapping, (LOCAL, less), before, custom={})
    assert rule.remote_fields == ("LastName",)
    assert ("computed[0].Source__c", "field_gone") in [(each.path, each.code) for each in rule.warnings]
    assert rule.suspended == ("Source__c",)
