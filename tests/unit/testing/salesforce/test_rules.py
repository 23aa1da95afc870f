"""Validation rules, duplicate rules and triggers of an org, in every channel."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import (
    DuplicateRule,
    DuplicatesError,
    RowError,
    Rules,
    SalesforceOrg,
    ValidationRule,
    matches,
    named_trigger,
    required_when,
)

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
CONTACT = f"{DATA}/sobjects/Contact"
COLLECTION = f"{DATA}/composite/sobjects"
ALLOW = {"Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=true"}


def contact(**values: Any) -> dict[str, Any]:
    """A contact for a collection."""
    return {"attributes": {"type": "Contact"}, "LastName": "Ada", **values}


def test_rules_are_given_to_a_new_org() -> None:
    rule = ValidationRule(
        object_name="Lead", fails=lambda row: row["Company"] == "Evil", message="No.", field="Company"
    )
    org = SalesforceOrg(rules=Rules(validation=[rule]))
    with pytest.raises(RowError) as caught:
        org.create("Lead", {"LastName": "Bo", "Company": "Evil"})
    assert caught.value.as_body() == [
        {"message": "No.", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "fields": ["Company"]}
    ]
    org.create("Contact", {"LastName": "Bo"})


@pytest.mark.parametrize(
    "rule,good,bad",
    [
        (required_when("Contact", "Email"), {"Email": "a@b.example"}, {}),
        (
            required_when("Contact", "Phone", when="LeadSource", equals="Web", message="Call whom?"),
            {"LeadSource": "Other"},
            {"LeadSource": "Web"},
        ),
        (matches("Contact", "MailingPostalCode", r"\d{5}"), {"MailingPostalCode": "53111"}, {"MailingPostalCode": "5"}),
        (matches("Contact", "MailingPostalCode", r"\d{5}"), {}, {"MailingPostalCode": "53111x"}),
    ],
)
def test_common_validation_rules(
    org: SalesforceOrg, rule: ValidationRule, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    org.rules.validation.append(rule)
    saved = org.create("Contact", {"LastName": "Ada", **good})
    with pytest.raises(RowError, match="FIELD_CUSTOM_VALIDATION_EXCEPTION"):
        org.create("Contact", {"LastName": "Ada", **bad})
    org.update("Contact", saved, {"Title": "Dr"})


async def test_a_duplicate_is_told_with_its_matches(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    twin = org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com"})
    org.rules.duplicates.append(DuplicateRule(object_name="Contact", name="Same_Mail"))
    refused = await client.post(CONTACT, json={"LastName": "Ida", "Email": "ADA@example.com"})
    assert refused.status_code == 400
    (error,) = refused.json()
    assert (error["errorCode"], error["message"]) == ("DUPLICATES_DETECTED", "Use one of these records?")
    result = error["duplicateResult"]
    assert (result["allowSave"], result["duplicateRule"], result["duplicateRuleEntityType"]) == (
        (True, "Same_Mail", "Contact")
    )
    (match,) = result["matchResults"]
    assert (match["entityType"], match["size"], match["success"]) == ("Contact", 1, True)
    assert match["matchRecords"][0]["record"] == {
        "attributes": {"type": "Contact", "url": f"{CONTACT}/{twin}"},
        "Id": twin,
    }
    await client.post(CONTACT, json={"LastName": "Bo"})
    saved = await client.post(CONTACT, json={"LastName": "Ida", "Email": "ada@example.com"}, headers=ALLOW)
    assert saved.status_code == 201
    changed = await client.patch(f"{CONTACT}/{saved.json()['id']}", json={"LastName": "Eda"})
    assert changed.json()[0]["errorCode"] == "DUPLICATES_DETECTED"


async def test_a_blocking_rule_blocks_whatever_the_header(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.create("Contact", {"LastName": "Ada", "Title": "Dr"})
    rule = DuplicateRule(object_name="Contact", fields=("LastName", "Title"), allow=False, on_update=False)
    org.rules.duplicates.append(rule)
    refused = await client.post(CONTACT, json={"LastName": "ADA", "Title": "dr"}, headers=ALLOW)
    result = refused.json()[0]["duplicateResult"]
    assert result["allowSave"] is False
    record = result["matchResults"][0]["matchRecords"][0]["record"]
    assert (record["LastName"], record["Title"]) == ("Ada", "Dr")
    other = (await client.post(CONTACT, json={"LastName": "Ada", "Title": "Prof"})).json()["id"]
    assert (await client.patch(f"{CONTACT}/{other}", json={"Title": "Dr"})).status_code == 204


async def test_collections_and_upserts_tell_of_duplicates_too(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.rules.duplicates.append(DuplicateRule(object_name="Contact"))
    records = [contact(Email="ada@example.com", MarkMail_Id__c=f"m-{n}") for n in range(2)]
    url = f"{COLLECTION}/Contact/MarkMail_Id__c"
    rows = (await client.patch(url, json={"records": records})).json()
    assert [row["success"] for row in rows] == [True, False]
    (error,) = rows[1]["errors"]
    assert error["statusCode"] == "DUPLICATES_DETECTED"
    assert error["duplicateResult"]["matchResults"][0]["matchRecords"][0]["record"]["Id"] == rows[0]["id"]
    rows = (await client.patch(url, json={"records": records}, headers=ALLOW)).json()
    assert [row["success"] for row in rows] == [True, True]


async def test_bulk_rows_tell_of_duplicates_too(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.rules.duplicates.append(DuplicateRule(object_name="Contact"))
    made = await client.post(f"{DATA}/jobs/ingest", json={"object": "Contact", "operation": "insert"})
    job = f"{DATA}/jobs/ingest/{made.json()['id']}"
    csv = "LastName,Email\nAda,ada@example.com\nIda,ada@example.com\n"
    await client.put(f"{job}/batches", content=csv, headers={"Content-Type": "text/csv"})
    await client.patch(job, json={"state": "UploadComplete"})
    assert (await client.get(job)).json()["numberRecordsFailed"] == 1
    failed = (await client.get(f"{job}/failedResults")).text
    assert "DUPLICATES_DETECTED:Use one of these records?" in failed


def test_a_deleted_twin_is_no_duplicate(org: SalesforceOrg) -> None:
    org.rules.duplicates.append(DuplicateRule(object_name="Contact"))
    twin = org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com"})
    with pytest.raises(DuplicatesError):
        org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com"})
    org.delete("Contact", twin)
    org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com"})


def test_what_follows_from_a_merge_is_not_held_to_the_rules(org: SalesforceOrg) -> None:
    kept, lost = (org.create("Account", {"Name": name}) for name in ("Acme", "Apex"))
    for account in (kept, lost):
        org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com", "AccountId": account})
    org.rules.duplicates.append(DuplicateRule(object_name="Contact", allow=False))
    org.rules.validation.append(required_when("Contact", "Phone"))
    org.merge("Account", kept, [lost])
    assert {row["AccountId"] for row in org.records("Contact")} == {kept}


@pytest.mark.parametrize(
    "name,stored",
    [("upper", "ADA LOVE"), ("lower", "ada love"), ("title", "Ada Love"), ("trim", "aDA love"), ("truncate", "aDA")],
)
def test_triggers_have_names(org: SalesforceOrg, name: str, stored: str) -> None:
    org.on_save("contact", "LastName", name, length=3 if name == "truncate" else None)
    contact_id = org.create("Contact", {"LastName": " aDA love "})
    found = org.get("Contact", contact_id)
    assert found is not None
    assert found["LastName"] == stored


@pytest.mark.parametrize("name,length", [("shout", None), ("truncate", None), ("upper", 3)])
def test_a_trigger_that_is_not_there_is_refused(name: str, length: int | None) -> None:
    with pytest.raises(ValueError, match="no trigger"):
        named_trigger(name, length=length)


async def test_rules_are_set_from_outside(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    rules = {
        "validation": [
            {"rule": "required", "object": "contact", "field": "email", "message": "Whom?"},
            {"rule": "matches", "object": "Contact", "field": "Title", "pattern": "Dr|Prof"},
        ],
        "duplicates": [{"object": "Contact", "fields": ["email"], "allow": False}],
        "triggers": [{"object": "Contact", "field": "LastName", "do": "truncate", "length": 2}],
    }
    assert (await client.post("/__emulator__/rules", json=rules)).status_code == 200
    with pytest.raises(RowError, match="Whom"):
        org.create("Contact", {"LastName": "Ada"})
    with pytest.raises(RowError, match="Title has not the right form"):
        org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com", "Title": "Mr"})
    org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com"})
    assert org.records("Contact")[0]["LastName"] == "Ad"
    with pytest.raises(RowError, match="DUPLICATES_DETECTED"):
        org.create("Contact", {"LastName": "Ida", "Email": "ada@example.com"})
    await client.post("/__emulator__/rules", json={"clear": True})
    org.create("Contact", {"LastName": "Lovelace"})
    assert org.records("Contact")[1]["LastName"] == "Lovelace"


@pytest.mark.parametrize(
    "rules",
    [
        {"validation": [{"rule": "odd", "object": "Contact", "field": "Email"}]},
        {"validation": [{"rule": "required", "object": "Contact", "field": "Foo"}]},
        {"validation": [{"rule": "required", "object": "Contact", "field": "Email", "when": "Foo"}]},
        {"duplicates": [{"object": "Nope"}]},
        {"triggers": [{"object": "Contact", "field": "LastName", "do": "shout"}]},
    ],
)
async def test_a_rule_that_is_wrong_is_refused(client: httpx2.AsyncClient, org: SalesforceOrg, rules: Any) -> None:
    answer = await client.post("/__emulator__/rules", json=rules)
    assert answer.status_code == 400
    assert "error" in answer.json()
    assert (org.rules.validation, org.rules.duplicates) == ([], [])
