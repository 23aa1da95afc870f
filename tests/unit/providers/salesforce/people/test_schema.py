"""The fields of people: what a value must be to fit both objects."""

from __future__ import annotations

from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.providers.salesforce.people.schema import person_schema


def merged(one: FieldSchema, other: FieldSchema) -> FieldSchema:
    schema = person_schema(ObjectSchema(name="Contact", fields=(one,)), ObjectSchema(name="Lead", fields=(other,)))
    [field] = schema.fields
    return field


def field(**given: object) -> FieldSchema:
    return FieldSchema.model_validate({"name": "Field__c", **given})


def test_only_fields_of_both_are_there_and_a_leads_company() -> None:
    contact = ObjectSchema(name="Contact", fields=(field(), field(name="Birthdate", type="date"), field(name="Odd__c")))
    company = field(name="Company", required=True, nillable=False)
    lead = ObjectSchema(name="Lead", fields=(field(), field(name="Odd__c", type="date"), field(name="Rating"), company))
    schema = person_schema(contact, lead)
    assert (schema.name, [each.name for each in schema.fields]) == ("Person", ["Field__c", "Company"])
    assert schema.fields[1] == company.model_copy(update={"required": False, "nillable": True})


def test_a_value_must_be_as_short_as_both_want_it() -> None:
    assert merged(field(length=40), field(length=80)).length == 40
    assert merged(field(length=None), field(length=80)).length == 80
    both = merged(field(type="decimal", precision=18, scale=2), field(type="decimal", precision=10, scale=4))
    assert (both.precision, both.scale) == (10, 2)


def test_what_one_forbids_is_forbidden() -> None:
    for trait in ("readable", "createable", "updateable", "nillable", "unique", "external_id"):
        assert getattr(merged(field(**{trait: True}), field(**{trait: False})), trait) is False
        assert getattr(merged(field(**{trait: True}), field(**{trait: True})), trait) is True
    assert merged(field(required=False), field(required=True)).required is True


def test_options_are_those_that_both_take() -> None:
    kind = FieldType.PICKLIST
    strict, other = field(type=kind, options=("a", "b"), restricted=True), field(type=kind, options=("b", "c"))
    assert merged(strict, other.model_copy(update={"restricted": True})).options == ("b",)
    assert merged(other, strict).options == ("a", "b")
    loose = merged(other, strict.model_copy(update={"restricted": False}))
    assert (loose.options, loose.restricted) == (("b", "c", "a"), False)
