"""What the org does to a value on save, and how it refuses one: codes, messages and fields as Salesforce gives them."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.testing.salesforce import CallError, PicklistValue, RowError, SalesforceOrg, custom_field
from crmsync.testing.salesforce.values import parse


@pytest.mark.parametrize(
    "field,sent,kept",
    [
        ("FirstName", "  Zoë ", "Zoë"),
        ("FirstName", " \t\n ", None),
        ("FirstName", "", None),
        ("FirstName", "O'Brien 🙂", "O'Brien 🙂"),
        ("FirstName", "0", "0"),
        ("MarkMail_Tags__c", "b;a;b; c ;;", "b;a;c"),
        ("MarkMail_Tags__c", ";", None),
        ("Birthdate", "1700-01-01", "1700-01-01"),
        ("Birthdate", "2026-11-24T23:30:00-02:00", "2026-11-25"),
        ("Birthdate", "", None),
        ("EmailBouncedDate", "2026-11-24T20:34:26.789+01:00", "2026-11-24T19:34:26.000+0000"),
        ("EmailBouncedDate", "2026-11-24T20:34:26Z", "2026-11-24T20:34:26.000+0000"),
        ("HasOptedOutOfEmail", None, False),
        ("HasOptedOutOfEmail", "TRUE", True),
        ("MailingLatitude", 59.9127, 59.9127),
        ("Email", "Zoe.O'Brien+x@mail.example.co.uk", "Zoe.O'Brien+x@mail.example.co.uk"),
        ("LeadSource", "A value of our own", "A value of our own"),
        ("description", "any letter case of the name", None),
    ],
)
def test_a_value_is_kept_as_salesforce_keeps_it(org: SalesforceOrg, field: str, sent: Any, kept: Any) -> None:
    record_id = org.create("Contact", {"LastName": "Ng", field: sent})
    record = org.get("Contact", record_id)
    assert record is not None
    if field == "description":
        assert record["Description"] == sent
    else:
        assert record[field] == kept


NO_CONTACT = "003000000000001AAA"
REFUSED: list[tuple[dict[str, Any], str, str, tuple[str, ...]]] = [
    ({"Foo": 1}, "INVALID_FIELD", "No such column 'Foo' on sobject of type Contact", ()),
    (
        {"FirstName": "x" * 41},
        "STRING_TOO_LONG",
        f"First Name: data value too large: {'x' * 41} (max length=40)",
        ("FirstName",),
    ),
    ({"Email": "a@b"}, "INVALID_EMAIL_ADDRESS", "Email: invalid email address: a@b", ("Email",)),
    ({"Email": "a b@c.de"}, "INVALID_EMAIL_ADDRESS", "Email: invalid email address: a b@c.de", ("Email",)),
    (
        {"CleanStatus": "Clean"},
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "Clean Status: bad value for restricted picklist field: Clean",
        ("CleanStatus",),
    ),
    ({"Birthdate": "1699-12-31"}, "FIELD_INTEGRITY_EXCEPTION", "Birthdate: invalid date: 1699-12-31", ("Birthdate",)),
    ({"AccountId": "nope"}, "MALFORMED_ID", "Account ID: id value of incorrect type: nope", ("AccountId",)),
    (
        {"AccountId": NO_CONTACT},
        "FIELD_INTEGRITY_EXCEPTION",
        f"Account ID: id value of incorrect type: {NO_CONTACT}",
        ("AccountId",),
    ),
    ({"AccountId": "001000000000001AAA"}, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ()),
    ({"LastName": None}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ("LastName",)),
    ({"LastName": "  "}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ("LastName",)),
]


@pytest.mark.parametrize("values,code,message,fields", REFUSED)
def test_a_value_is_refused_with_salesforces_words(
    org: SalesforceOrg, values: dict[str, Any], code: str, message: str, fields: tuple[str, ...]
) -> None:
    record_id = org.create("Contact", {"LastName": "Ng"})
    for save in (
        lambda: org.create("Contact", {"LastName": "Ng", **values}),
        lambda: org.update("Contact", record_id, values),
    ):
        with pytest.raises(RowError) as caught:
            save()
        assert (caught.value.code, caught.value.message, caught.value.fields) == (code, message, fields)
    assert len(org.records("Contact")) == 1


@pytest.mark.parametrize("name", ["Id", "CreatedDate", "Name", "MailingAddress", "IsDeleted", "MasterRecordId"])
def test_fields_that_only_the_org_writes_are_refused(org: SalesforceOrg, name: str) -> None:
    with pytest.raises(RowError) as caught:
        org.create("Contact", {"LastName": "Ng", name: "x"})
    assert caught.value.code == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert caught.value.fields == (name,)
    assert caught.value.message.startswith(f"Unable to create/update fields: {name}. Please check the security")


@pytest.mark.parametrize(
    "name,value,kind",
    [
        ("Birthdate", "24.11.2026", "date from VALUE_STRING value 24.11.2026"),
        ("Birthdate", "2026-02-30", "date from VALUE_STRING value 2026-02-30"),
        ("EmailBouncedDate", "2017-10-17 00:00:00", "datetime from VALUE_STRING value 2017-10-17 00:00:00"),
        ("HasOptedOutOfEmail", "yes", "boolean from VALUE_STRING value yes"),
        ("MailingLatitude", "1", "double from VALUE_STRING value 1"),
        ("FirstName", 5, "string from VALUE_NUMBER_INT value 5"),
        ("FirstName", True, "string from VALUE_TRUE value True"),
    ],
)
def test_the_wrong_json_type_fails_the_whole_call(org: SalesforceOrg, name: str, value: Any, kind: str) -> None:
    with pytest.raises(CallError) as caught:
        org.create("Contact", {"LastName": "Ng", name: value})
    assert caught.value.code == "JSON_PARSER_ERROR"
    expected = f"Cannot deserialize instance of {kind} or request may be missing a required field at [line:1, column:1]"
    assert caught.value.message == expected


def test_an_array_for_a_multi_select_picklist_fails_as_recorded_of_a_real_org(org: SalesforceOrg) -> None:
    with pytest.raises(CallError) as caught:
        org.create("Contact", {"LastName": "Ng", "MarkMail_Tags__c": ["a", "b"]})
    assert (
        caught.value.message == "Cannot deserialize instance of multipicklist from START_ARRAY value [line:1, column:1]"
    )


def test_a_unique_external_id_is_refused_to_a_second_record_and_free_again_after_a_delete(org: SalesforceOrg) -> None:
    first = org.create("Contact", {"LastName": "Ng", "MarkMail_Id__c": "Key"})
    org.create("Contact", {"LastName": "Ng", "MarkMail_Id__c": "KEY"})
    with pytest.raises(RowError) as caught:
        org.create("Contact", {"LastName": "No", "MarkMail_Id__c": " Key "})
    assert caught.value.code == "DUPLICATE_VALUE"
    assert caught.value.message == (
        f"duplicate value found: MarkMail_Id__c duplicates value on record with id: {first}"
    )
    org.update("Contact", first, {"MarkMail_Id__c": "Key"})
    org.delete("Contact", first)
    org.create("Contact", {"LastName": "No", "MarkMail_Id__c": "Key"})
    with pytest.raises(RowError, match="DUPLICATE_VALUE"):
        org.undelete("Contact", first)


def test_a_unique_field_without_case_sensitivity_folds_case() -> None:
    org = SalesforceOrg(custom_fields={"Lead": [custom_field("Code__c", "Code", unique=True, external_id=True)]})
    org.create("Lead", {"LastName": "Ng", "Company": "C", "Code__c": "straße"})
    with pytest.raises(RowError, match="DUPLICATE_VALUE"):
        org.create("Lead", {"LastName": "Ng", "Company": "C", "Code__c": "STRASSE"})


def test_numbers_are_rounded_to_their_scale_and_bounded() -> None:
    org = SalesforceOrg(custom_fields={"Lead": [custom_field("Score__c", "Score", "double", scale=1)]})
    lead = {"LastName": "Ng", "Company": "C"}
    for sent, kept in ((0.25, 0.3), (-0.25, -0.3), (0, 0.0), (1e15, 1e15)):
        record = org.get("Lead", org.create("Lead", {**lead, "Score__c": sent}))
        assert record is not None
        assert record["Score__c"] == kept
    for values in ({"Score__c": 1e18}, {"NumberOfEmployees": 10**8}):
        with pytest.raises(RowError, match="NUMBER_OUTSIDE_VALID_RANGE"):
            org.create("Lead", {**lead, **values})
    with pytest.raises(CallError, match="JSON_PARSER_ERROR"):
        org.create("Lead", {**lead, "NumberOfEmployees": 1.5})


def test_a_restricted_multi_select_picklist_checks_each_value() -> None:
    values = tuple(PicklistValue(value=value, label=value) for value in ("a", "b"))
    field = custom_field("Plan__c", "Plan", "multipicklist", restricted=True, values=values)
    org = SalesforceOrg(custom_fields={"Contact": [field]})
    org.create("Contact", {"LastName": "Ng", "Plan__c": "b;a"})
    with pytest.raises(RowError, match="bad value for restricted picklist field: c"):
        org.create("Contact", {"LastName": "Ng", "Plan__c": "a;c"})


def test_a_lossy_trigger_rewrites_before_the_length_is_checked(org: SalesforceOrg) -> None:
    org.on_save("Contact", "FirstName", lambda value: value[:6].upper())
    record = org.get("Contact", org.create("Contact", {"LastName": "Ng", "FirstName": "maximilian" * 9}))
    assert record is not None
    assert record["FirstName"] == "MAXIMI"
    assert record["Name"] == "MAXIMI Ng"


def test_a_hidden_opt_out_field_is_unknown_to_the_api_user() -> None:
    org = SalesforceOrg(hide_opt_out=True)
    with pytest.raises(RowError, match="No such column 'HasOptedOutOfEmail' on sobject of type Contact"):
        org.create("Contact", {"LastName": "Ng", "HasOptedOutOfEmail": True})


def test_a_bounce_marks_the_contact_as_bounced(org: SalesforceOrg) -> None:
    record_id = org.create("Contact", {"LastName": "Ng", "EmailBouncedReason": "550 unknown user"})
    record = org.get("Contact", record_id)
    assert record is not None
    assert record["IsEmailBounced"] is True
    org.update("Contact", record_id, {"EmailBouncedReason": None})
    record = org.get("Contact", record_id)
    assert record is not None
    assert record["IsEmailBounced"] is False


def test_parsing_knows_every_type_of_the_shipped_objects(org: SalesforceOrg) -> None:
    for table in org.tables.values():
        for field in table.definition.fields.values():
            if field.type != "address":
                assert parse(field, None) in (None, False)
