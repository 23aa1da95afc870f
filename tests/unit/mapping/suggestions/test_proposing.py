"""Suggestions from two described objects."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from crmsync.mapping.suggestions import plain_ratio, propose
from crmsync.models.mappings import ConflictPolicy, SyncDirection
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.models.suggestions import MappingSuggestion, Samples

CONTACT = ObjectSchema(
    name="Contact",
    fields=(
        FieldSchema(name="Id", type=FieldType.ID),
        FieldSchema(name="FirstName", label="First Name"),
        FieldSchema(name="LastName", label="Last Name"),
        FieldSchema(name="Email", type=FieldType.EMAIL),
        FieldSchema(name="Phone", label="Business Phone", type=FieldType.PHONE),
        FieldSchema(name="MobilePhone", label="Mobile Phone", type=FieldType.PHONE),
        FieldSchema(name="MailingCity", label="Mailing City"),
        FieldSchema(name="OtherCity", label="Other City"),
        FieldSchema(
            name="CreatedDate", label="Created Date", type=FieldType.DATETIME, createable=False, updateable=False
        ),
        FieldSchema(name="Tier__c", label="Tier", type=FieldType.PICKLIST, options=("Gold", "Silver"), restricted=True),
        FieldSchema(name="Secret__c", label="Secret", readable=False),
    ),
)


def proposed(
    *columns: str | FieldSchema, samples: dict[str, tuple[object, ...]] | None = None, held: tuple[object, ...] = ()
) -> MappingSuggestion:
    fields = tuple(column if isinstance(column, FieldSchema) else FieldSchema(name=column) for column in columns)
    local = ObjectSchema(name="subscribers", fields=fields)
    return propose(local, CONTACT, plain_ratio, samples=Samples(samples or {}, {"Email": held}))


def pairs(found: MappingSuggestion) -> dict[str, str]:
    return {one.local_field: one.crm_field for one in found.fields}


def test_columns_of_any_language_are_given_to_the_crms_fields() -> None:
    found = proposed("Vorname", "Nachname", "E-Mail", "Telefon", "Handy", "Ort")
    assert pairs(found) == {
        "Vorname": "FirstName",
        "Nachname": "LastName",
        "E-Mail": "Email",
        "Telefon": "Phone",
        "Handy": "MobilePhone",
        "Ort": "MailingCity",
    }
    assert found.left_over == ("OtherCity", "Tier__c")


def test_each_field_is_suggested_once_and_the_rest_are_alternatives() -> None:
    found = proposed("City", "Home City", "Town")
    assert pairs(found) == {"City": "MailingCity"}
    assert found.fields[0].alternatives[0].crm_field == "OtherCity"
    assert found.unmatched["Town"][0].crm_field == "MailingCity"


def test_what_corresponds_to_nothing_is_left_alone() -> None:
    found = proposed("Shoe size", "Loyalty points", "Phone")
    assert pairs(found) == {"Phone": "Phone"}
    assert set(found.unmatched) == {"Shoe size", "Loyalty points"}


def test_ids_and_hidden_fields_are_never_suggested() -> None:
    found = proposed(FieldSchema(name="id", type=FieldType.ID), "Id", "Secret")
    assert pairs(found) == {}
    assert set(found.unmatched) == {"Id", "Secret"}


def test_a_field_that_cannot_be_written_flows_from_the_crm() -> None:
    [one] = proposed("created_at").fields
    assert (one.crm_field, one.direction) == ("CreatedDate", SyncDirection.FROM_CRM)
    assert one.mapping().sync_direction is SyncDirection.FROM_CRM


def test_an_opt_out_is_only_ever_made_stricter_by_itself() -> None:
    flag = FieldSchema(name="HasOptedOutOfEmail", label="Email Opt Out", type=FieldType.BOOLEAN)
    local = ObjectSchema(name="subscribers", fields=(FieldSchema(name="abgemeldet"),))
    [one] = propose(local, ObjectSchema(name="Contact", fields=(flag,)), plain_ratio).fields
    assert one.meaning == "e-mail opt-out"
    assert one.mapping().policy is ConflictPolicy.MOST_RESTRICTIVE


def test_the_reasons_say_what_both_mean_and_hold_in_words() -> None:
    [one] = proposed(FieldSchema(name="courriel", type=FieldType.EMAIL)).fields
    assert one.reasons == ("'courriel' and 'Email' both mean e-mail address", "both hold e-mail addresses")
    assert one.score > 0.95


def test_options_in_common_speak_for_a_pair_and_none_against_it() -> None:
    level = FieldSchema(name="Tier level", type=FieldType.PICKLIST, options=("gold", "silver", "bronze"))
    [one] = proposed(level).fields
    assert "2 of 2 options are the same" in one.reasons
    assert pairs(proposed(level.model_copy(update={"options": ("1", "2")}))) == {}


def test_sample_values_find_what_the_name_does_not_tell() -> None:
    addresses = tuple(f"p{n}@example.org" for n in range(20))
    assert pairs(proposed("Spalte 1")) == {}
    found = proposed("Spalte 1", samples={"Spalte 1": addresses}, held=addresses[5:])
    assert pairs(found) == {"Spalte 1": "Email"}
    assert found.fields[0].reasons == (
        "the values of 'Spalte 1' look like e-mail addresses",
        "the values of both look like e-mail addresses",
        "100% of the values occur on both sides",
    )


def test_values_that_contradict_the_type_speak_against_a_pair() -> None:
    plain = proposed("Telefon")
    contradicted = proposed("Telefon", samples={"Telefon": ("ann@example.org", "bob@example.org")})
    assert pairs(plain) == {"Telefon": "Phone"}
    assert not contradicted.fields or contradicted.fields[0].score < plain.fields[0].score
    assert all("ann@" not in reason for one in contradicted.fields for reason in one.reasons)


def test_a_further_scorer_tips_the_scales_but_never_outweighs_the_types() -> None:
    flag = FieldSchema(name="flag", type=FieldType.BOOLEAN)
    local = ObjectSchema(name="subscribers", fields=(FieldSchema(name="Rank"), flag))

    def sure(asked: Sequence[tuple[FieldSchema, FieldSchema]]) -> list[list[tuple[str, float]]]:
        liked = {("Rank", "Tier__c"), ("flag", "CreatedDate")}
        return [[("oracle", 1.0)] if (one.name, other.name) in liked else [] for one, other in asked]

    found = propose(local, CONTACT, plain_ratio, opinions=sure)
    assert pairs(found) == {"Rank": "Tier__c"}
    assert "oracle finds them alike (1.00)" in found.fields[0].reasons
    assert pairs(propose(local, CONTACT, plain_ratio)) == {}


def test_a_plain_field_is_given_to_a_part_of_an_address_rather_than_to_all_of_it() -> None:
    crm = ObjectSchema(
        name="Contact",
        fields=(FieldSchema(name="MailingAddress", type=FieldType.ADDRESS), FieldSchema(name="MailingStreet")),
    )
    local = ObjectSchema(name="subscribers", fields=(FieldSchema(name="address"),))
    assert pairs(propose(local, crm, plain_ratio)) == {"address": "MailingStreet"}


@pytest.mark.parametrize("fields", [(), (FieldSchema(name="x"),)])
def test_nothing_is_suggested_for_an_object_without_fields(fields: tuple[FieldSchema, ...]) -> None:
    empty = ObjectSchema(name="empty")
    some = ObjectSchema(name="some", fields=fields)
    assert propose(empty, some, plain_ratio).fields == propose(some, empty, plain_ratio).fields == ()


def test_the_same_fields_in_another_order_are_suggested_alike() -> None:
    columns = ("City", "Town", "Ort", "Phone", "Telefon", "Mail")
    one, other = proposed(*columns), proposed(*reversed(columns))
    assert {field.crm_field: field.score for field in one.fields} == {
        field.crm_field: field.score for field in other.fields
    }
    assert pairs(one) == pairs(other)
