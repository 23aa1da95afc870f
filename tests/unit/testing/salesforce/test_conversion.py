"""Lead conversion, and merges with what belongs to the records."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import Conversion, RowError, SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
LEAD = {
    "FirstName": "Bo",
    "LastName": "Berg",
    "Company": "Bolts",
    "Email": "bo@example.com",
    "City": "Bonn",
    "Website": "https://bolts.example",
    "HasOptedOutOfEmail": True,
    "MarkMail_Id__c": "m-1",
}


def row(org: SalesforceOrg, object_name: str, record_id: str) -> dict[str, Any]:
    """A record that is there."""
    found = org.get(object_name, record_id)
    assert found is not None
    return found


@pytest.fixture
def lead(org: SalesforceOrg) -> str:
    return org.create("Lead", LEAD)


def test_a_lead_becomes_a_contact_at_an_account(org: SalesforceOrg, lead: str) -> None:
    before = row(org, "Lead", lead)["SystemModstamp"]
    org.advance(60)
    made = org.convert_lead(lead)
    contact, account = row(org, "Contact", made.contact_id), row(org, "Account", made.account_id)
    assert (contact["Name"], contact["Email"], contact["MailingCity"], contact["AccountId"]) == (
        ("Bo Berg", "bo@example.com", "Bonn", made.account_id)
    )
    assert (contact["HasOptedOutOfEmail"], contact["MarkMail_Id__c"]) == (True, None)
    assert (account["Name"], account["Website"], account["BillingCity"]) == ("Bolts", "https://bolts.example", "Bonn")
    after = row(org, "Lead", lead)
    assert (after["IsConverted"], after["Status"], after["ConvertedDate"]) == (True, "Closed - Converted", "2026-11-24")
    assert (after["ConvertedContactId"], after["ConvertedAccountId"]) == (made.contact_id, made.account_id)
    assert after["SystemModstamp"] > before


def test_into_existing_records_only_blanks_are_filled(org: SalesforceOrg, lead: str) -> None:
    account = org.create("Account", {"Name": "Bolts Ltd"})
    contact = org.create("Contact", {"LastName": "Bergh", "AccountId": account})
    custom = {"MarkMail_Id__c": "MarkMail_Id__c"}
    made = org.convert_lead(lead, Conversion(contact_id=contact, custom=custom))
    assert (made.contact_id, made.account_id) == (contact, account)
    filled = row(org, "Contact", contact)
    assert (filled["LastName"], filled["Email"], filled["MarkMail_Id__c"]) == ("Bergh", "bo@example.com", "m-1")
    assert row(org, "Account", account)["Name"] == "Bolts Ltd"


def test_tasks_and_memberships_become_the_contacts(org: SalesforceOrg, lead: str) -> None:
    campaign = org.create("Campaign", {"Name": "Spring"})
    member = org.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead})
    task = org.create("Task", {"WhoId": lead})
    made = org.convert_lead(lead)
    fresh = row(org, "CampaignMember", member)
    assert (fresh["LeadId"], fresh["ContactId"], fresh["Type"]) == (lead, made.contact_id, "Contact")
    assert row(org, "Task", task)["WhoId"] == made.contact_id
    counts = row(org, "Campaign", campaign)
    assert (counts["NumberOfLeads"], counts["NumberOfConvertedLeads"], counts["NumberOfContacts"]) == (1, 1, 1)


def test_a_contact_that_is_a_member_already_stays_one_once(org: SalesforceOrg, lead: str) -> None:
    campaign = org.create("Campaign", {"Name": "Spring"})
    contact = org.create("Contact", {"LastName": "Berg"})
    org.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead})
    kept = org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact})
    org.convert_lead(lead, Conversion(contact_id=contact))
    assert [one["Id"] for one in org.records("CampaignMember")] == [kept]


async def test_a_converted_lead_is_read_only(client: httpx2.AsyncClient, org: SalesforceOrg, lead: str) -> None:
    org.convert_lead(lead)
    url = f"{DATA}/sobjects/Lead/{lead}"
    refused = await client.patch(url, json={"Title": "Boss"})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "CANNOT_UPDATE_CONVERTED_LEAD")
    assert (await client.get(url)).json()["IsConverted"] is True
    found = await client.get(f"{DATA}/query", params={"q": "SELECT Id FROM Lead WHERE IsConverted = true"})
    assert found.json()["totalSize"] == 1
    with pytest.raises(RowError, match="CANNOT_UPDATE_CONVERTED_LEAD"):
        org.convert_lead(lead)
    org.delete("Lead", lead)


@pytest.mark.parametrize("status", ["Open - Not Contacted", "Nope"])
def test_a_conversion_that_does_not_fit_changes_nothing(org: SalesforceOrg, lead: str, status: str) -> None:
    with pytest.raises(RowError, match="INVALID_STATUS"):
        org.convert_lead(lead, Conversion(status=status))
    other = org.create("Account", {"Name": "Other"})
    own = org.create("Account", {"Name": "Own"})
    contact = org.create("Contact", {"LastName": "Berg", "AccountId": own})
    with pytest.raises(RowError, match="FIELD_INTEGRITY_EXCEPTION"):
        org.convert_lead(lead, Conversion(contact_id=contact, account_id=other))
    org.create("Contact", {"LastName": "Twin", "MarkMail_Id__c": "m-1"})
    with pytest.raises(RowError, match="DUPLICATE_VALUE"):
        org.convert_lead(lead, Conversion(custom={"MarkMail_Id__c": "MarkMail_Id__c"}))
    assert row(org, "Lead", lead)["IsConverted"] is False
    assert len(org.records("Account")) == 2


def test_merged_accounts_share_their_contacts(org: SalesforceOrg) -> None:
    kept, lost = (org.create("Account", {"Name": name}) for name in ("Acme", "Acme Inc"))
    contact = org.create("Contact", {"LastName": "Ada", "AccountId": lost})
    task = org.create("Task", {"WhatId": lost})
    org.merge("Account", kept, [lost], {"Site": "North"})
    assert row(org, "Contact", contact)["AccountId"] == kept
    assert (row(org, "Task", task)["WhatId"], row(org, "Task", task)["AccountId"]) == (kept, kept)
    gone = row(org, "Account", lost)
    assert (gone["IsDeleted"], gone["MasterRecordId"], row(org, "Account", kept)["Site"]) == (True, kept, "North")


@pytest.mark.parametrize("object_name,reference", [("Contact", "ContactId"), ("Lead", "LeadId")])
def test_merged_people_share_their_memberships(org: SalesforceOrg, object_name: str, reference: str) -> None:
    company = {"Company": "Acme"} if object_name == "Lead" else {}
    kept, lost = (org.create(object_name, {"LastName": name, **company}) for name in ("Ada", "Ida"))
    both, one = (org.create("Campaign", {"Name": name}) for name in ("Spring", "Summer"))
    for campaign, person in ((both, kept), (both, lost), (one, lost)):
        org.create("CampaignMember", {"CampaignId": campaign, reference: person})
    org.merge(object_name, kept, [lost])
    shown = {(member["CampaignId"], member[reference], member["Name"]) for member in org.records("CampaignMember")}
    assert shown == {(both, kept, "Ada"), (one, kept, "Ada")}


def test_campaigns_cannot_be_merged(org: SalesforceOrg) -> None:
    kept, lost = (org.create("Campaign", {"Name": name}) for name in ("Spring", "Summer"))
    with pytest.raises(RowError, match="INVALID_TYPE"):
        org.merge("Campaign", kept, [lost])


async def test_records_are_converted_merged_and_revived_from_outside(
    client: httpx2.AsyncClient, org: SalesforceOrg, lead: str
) -> None:
    made = (await client.post("/__emulator__/records/convert", json={"lead": lead})).json()
    assert row(org, "Lead", lead)["ConvertedContactId"] == made["contact_id"]
    other = org.create("Contact", {"LastName": "Berg"})
    merge = {"object": "Contact", "master": other, "losers": [made["contact_id"]], "values": {"Title": "Boss"}}
    assert (await client.post("/__emulator__/records/merge", json=merge)).status_code == 200
    assert row(org, "Contact", other)["Title"] == "Boss"
    back = {"object": "Contact", "ids": [made["contact_id"]]}
    assert (await client.post("/__emulator__/records/undelete", json=back)).status_code == 200
    assert row(org, "Contact", made["contact_id"])["MasterRecordId"] is None
    wrong = await client.post("/__emulator__/records/convert", json={"lead": lead, "colour": "red"})
    assert wrong.status_code == 400
