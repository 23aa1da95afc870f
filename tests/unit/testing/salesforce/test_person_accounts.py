"""Person accounts: an account and its only contact, which are one."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.testing.salesforce import RowError, SalesforceOrg, custom_field
from crmsync.testing.salesforce.ids import make_id
from crmsync.testing.salesforce.persons import BUSINESS_TYPE, PERSON_TYPE
from crmsync.testing.salesforce.state import dump_state, load_state
from tests.unit.testing.salesforce.conftest import StandingClock

PERSON = {"FirstName": "Ada", "LastName": "Byron", "PersonEmail": "ada@example.com", "Phone": "1", "Size__pc": 36}
OTHER_TYPE = make_id("012", 9)
STAMPS = ("SystemModstamp", "LastModifiedDate", "LastModifiedById")


@pytest.fixture
def org(clock: StandingClock) -> SalesforceOrg:
    return SalesforceOrg(
        clock=clock, person_accounts=True, custom_fields={"Contact": [custom_field("Size__c", "Size", "double")]}
    )


@pytest.fixture
def account(org: SalesforceOrg) -> str:
    return org.create("Account", PERSON)


def both(org: SalesforceOrg, account: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The account, and its contact."""
    held = org.get("Account", account)
    assert held is not None
    contact = org.get("Contact", held["PersonContactId"])
    assert contact is not None
    return held, contact


def test_an_account_with_a_last_name_is_a_person_with_a_contact(org: SalesforceOrg, account: str) -> None:
    held, contact = both(org, account)
    assert (held["IsPersonAccount"], held["Name"]) == (True, "Ada Byron")
    assert (contact["IsPersonAccount"], contact["AccountId"], contact["Name"]) == (True, account, "Ada Byron")
    assert (contact["Email"], contact["Phone"], contact["Size__c"]) == ("ada@example.com", "1", 36)
    assert org.get("Account", org.create("Account", {"Name": "Acme"}))["IsPersonAccount"] is False  # type: ignore[index]
    assert len(org.records("Contact")) == 1


def test_a_change_of_one_is_a_change_of_both_with_the_same_stamps(org: SalesforceOrg, account: str) -> None:
    contact = both(org, account)[1]["Id"]
    org.advance(10)
    org.update("Contact", contact, {"Email": "ada@example.org", "FirstName": None, "HasOptedOutOfEmail": True})
    held, mirrored = both(org, account)
    assert (held["PersonEmail"], held["Name"], held["PersonHasOptedOutOfEmail"]) == ("ada@example.org", "Byron", True)
    assert [held[name] for name in STAMPS] == [mirrored[name] for name in STAMPS]
    org.advance(10)
    org.update("Account", account, {"Industry": "Banking", "Size__pc": None})
    later, mirrored = both(org, account)
    assert mirrored["Size__c"] is None
    assert later["SystemModstamp"] > held["SystemModstamp"]
    assert [later[name] for name in STAMPS] == [mirrored[name] for name in STAMPS]


def test_a_person_shows_on_its_memberships_whichever_half_changes(org: SalesforceOrg, account: str) -> None:
    contact = both(org, account)[1]["Id"]
    member = org.create("CampaignMember", {"CampaignId": org.create("Campaign", {"Name": "C"}), "ContactId": contact})
    org.update("Account", account, {"PersonEmail": "ada@example.org"})
    assert org.get("CampaignMember", member)["Email"] == "ada@example.org"  # type: ignore[index]


@pytest.mark.parametrize(
    "object_name, values, fields",
    [
        ("Contact", {"AccountId": None, "Title": "Dr"}, ("AccountId",)),
        ("Account", {"Name": "Acme"}, ("Name",)),
    ],
)
def test_neither_half_takes_what_a_business_has(
    org: SalesforceOrg, account: str, object_name: str, values: dict[str, Any], fields: tuple[str, ...]
) -> None:
    held = both(org, account)[object_name == "Contact"]
    with pytest.raises(RowError) as refused:
        org.update(object_name, held["Id"], values)
    assert (refused.value.code, refused.value.fields) == ("INVALID_FIELD_FOR_INSERT_UPDATE", fields)
    assert both(org, account)[1]["Title"] is None


def test_a_business_takes_nothing_that_a_person_has(org: SalesforceOrg) -> None:
    with pytest.raises(RowError) as refused:
        org.create("Account", {"Name": "Acme", "PersonEmail": "a@example.com", "Phone": "1"})
    assert (refused.value.code, refused.value.fields) == ("INVALID_FIELD_FOR_INSERT_UPDATE", ("PersonEmail",))


def test_a_record_type_says_which_of_the_two_an_account_is(org: SalesforceOrg, account: str) -> None:
    assert both(org, account)[0]["RecordTypeId"] == PERSON_TYPE
    assert both(org, org.create("Account", {"LastName": "Bea", "RecordTypeId": PERSON_TYPE}))[1]["LastName"] == "Bea"
    for values, code in (
        ({"Name": "Acme", "RecordTypeId": PERSON_TYPE}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"LastName": "Cleo", "RecordTypeId": BUSINESS_TYPE}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"LastName": "Cleo", "RecordTypeId": OTHER_TYPE}, "INVALID_CROSS_REFERENCE_KEY"),
    ):
        with pytest.raises(RowError) as refused:
            org.create("Account", values)
        assert refused.value.code == code
    with pytest.raises(RowError) as refused:
        org.update("Account", account, {"RecordTypeId": BUSINESS_TYPE})
    assert refused.value.code == "INVALID_CROSS_REFERENCE_KEY"


def test_a_person_keeps_its_last_name(org: SalesforceOrg, account: str) -> None:
    for object_name, record_id in (("Account", account), ("Contact", both(org, account)[1]["Id"])):
        with pytest.raises(RowError) as refused:
            org.update(object_name, record_id, {"LastName": None})
        assert refused.value.code == "REQUIRED_FIELD_MISSING"


def test_an_external_id_is_unique_among_contacts_of_both_kinds(org: SalesforceOrg) -> None:
    org.create("Contact", {"LastName": "Bea", "MarkMail_Id__c": "m-1"})
    with pytest.raises(RowError) as refused:
        org.create("Account", {**PERSON, "MarkMail_Id__pc": "m-1"})
    assert refused.value.code == "DUPLICATE_VALUE"
    assert org.records("Account") == []


def test_the_contact_goes_and_comes_back_with_its_account_alone(org: SalesforceOrg, account: str) -> None:
    contact = both(org, account)[1]["Id"]
    with pytest.raises(RowError) as refused:
        org.delete("Contact", contact)
    assert refused.value.code == "DELETE_FAILED"
    org.delete("Account", account)
    assert (org.records("Account"), org.records("Contact")) == ([], [])
    org.undelete("Account", account)
    assert [row["Id"] for row in org.records("Contact")] == [contact]


def test_a_dumped_org_keeps_its_persons(org: SalesforceOrg, account: str) -> None:
    other = SalesforceOrg(person_accounts=True)
    load_state(other, dump_state(org))
    contact = both(other, account)[1]
    other.update("Contact", contact["Id"], {"Title": "Countess"})
    assert both(other, account)[0]["PersonTitle"] == "Countess"


def test_a_describe_shows_the_contacts_fields_on_the_account(org: SalesforceOrg) -> None:
    account, business = org.table("Account").definition, SalesforceOrg().table("Account").definition
    shown = account.fields.keys() - business.fields.keys()
    assert {"IsPersonAccount", "PersonContactId", "FirstName", "LastName", "Salutation"} <= shown
    assert {"PersonEmail", "PersonMailingCity", "PersonTitle", "PersonHasOptedOutOfEmail", "Size__pc"} <= shown
    assert not {"PersonPhone", "PersonId", "PersonAccountId", "PersonReportsToId"} & shown
    assert (account.fields["MarkMail_Id__pc"].external_id, account.fields["PersonMailingCity"].part_of) == (
        True,
        "PersonMailingAddress",
    )
