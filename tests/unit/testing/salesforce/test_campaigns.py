"""Campaigns, their statuses and their members."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import RowError, SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
COUNTS = ("NumberOfContacts", "NumberOfLeads", "NumberOfConvertedLeads", "NumberOfResponses")


def counts(org: SalesforceOrg, campaign: str) -> tuple[int, ...]:
    """The roll-ups of a campaign."""
    return tuple(row(org, "Campaign", campaign)[name] for name in COUNTS)


def row(org: SalesforceOrg, object_name: str, record_id: str) -> dict[str, Any]:
    """A record that is there."""
    found = org.get(object_name, record_id)
    assert found is not None
    return found


def refused(org: SalesforceOrg, object_name: str, values: dict[str, Any]) -> RowError:
    """The error with which a create is refused."""
    with pytest.raises(RowError) as caught:
        org.create(object_name, values)
    return caught.value


@pytest.fixture
def campaign(org: SalesforceOrg) -> str:
    return org.create("Campaign", {"Name": "Spring"})


@pytest.fixture
def contact(org: SalesforceOrg) -> str:
    account = org.create("Account", {"Name": "Acme"})
    return org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com", "AccountId": account})


def test_a_new_campaign_has_the_statuses_sent_and_responded(org: SalesforceOrg, campaign: str) -> None:
    statuses = org.records("CampaignMemberStatus")
    shown = [(one["Label"], one["SortOrder"], one["IsDefault"], one["HasResponded"]) for one in statuses]
    assert shown == [("Sent", 1, True, False), ("Responded", 2, False, True)]
    assert {one["CampaignId"] for one in statuses} == {campaign}
    fresh = row(org, "Campaign", campaign)
    assert (fresh["Status"], fresh["IsActive"], fresh["NumberSent"]) == ("Planned", False, 0.0)


def test_statuses_of_a_campaign_have_labels_and_orders_of_their_own(org: SalesforceOrg, campaign: str) -> None:
    opened = org.create("CampaignMemberStatus", {"CampaignId": campaign, "Label": "Opened", "IsDefault": True})
    assert row(org, "CampaignMemberStatus", opened)["SortOrder"] == 3
    defaults = [one["Label"] for one in org.records("CampaignMemberStatus") if one["IsDefault"]]
    assert defaults == ["Opened"]
    assert refused(org, "CampaignMemberStatus", {"CampaignId": campaign, "Label": "sent"}).code == "DUPLICATE_VALUE"
    clash = {"CampaignId": campaign, "Label": "Clicked", "SortOrder": 1}
    assert refused(org, "CampaignMemberStatus", clash).code == "DUPLICATE_VALUE"


def test_the_default_status_and_one_in_use_stay(org: SalesforceOrg, campaign: str, contact: str) -> None:
    sent, responded = (one["Id"] for one in org.records("CampaignMemberStatus"))
    member = org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact, "Status": "Responded"})
    for status in (sent, responded):
        with pytest.raises(RowError, match="DELETE_FAILED"):
            org.delete("CampaignMemberStatus", status)
    org.create("CampaignMemberStatus", {"CampaignId": campaign, "Label": "Clicked", "HasResponded": True})
    org.update("CampaignMember", member, {"Status": "Sent"})
    org.delete("CampaignMemberStatus", responded)
    assert [one["Label"] for one in org.records("CampaignMemberStatus")] == ["Sent", "Clicked"]


def test_a_campaign_keeps_a_status_that_counts_as_a_response(org: SalesforceOrg, campaign: str) -> None:
    _, responded = (one["Id"] for one in org.records("CampaignMemberStatus"))
    with pytest.raises(RowError, match="FIELD_INTEGRITY_EXCEPTION"):
        org.update("CampaignMemberStatus", responded, {"HasResponded": False})
    with pytest.raises(RowError, match="DELETE_FAILED"):
        org.delete("CampaignMemberStatus", responded)
    org.create("CampaignMemberStatus", {"CampaignId": campaign, "Label": "Clicked", "HasResponded": True})
    org.update("CampaignMemberStatus", responded, {"HasResponded": False})
    org.delete("CampaignMemberStatus", responded)


def test_the_statuses_of_a_campaign_go_with_it(org: SalesforceOrg, campaign: str) -> None:
    org.create("Campaign", {"Name": "Summer"})
    org.delete("Campaign", campaign)
    assert len(org.records("CampaignMemberStatus")) == 2


def test_the_status_tells_whether_a_member_responded(org: SalesforceOrg, campaign: str, contact: str) -> None:
    member = org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact})
    fresh = row(org, "CampaignMember", member)
    assert (fresh["Status"], fresh["HasResponded"], fresh["FirstRespondedDate"]) == ("Sent", False, None)
    org.update("CampaignMember", member, {"Status": "responded"})
    fresh = row(org, "CampaignMember", member)
    assert (fresh["Status"], fresh["HasResponded"], fresh["FirstRespondedDate"]) == ("Responded", True, "2026-11-24")
    org.update("CampaignMember", member, {"Status": "Sent"})
    fresh = row(org, "CampaignMember", member)
    assert (fresh["HasResponded"], fresh["FirstRespondedDate"]) == (False, "2026-11-24")


def test_a_status_that_the_campaign_has_not_becomes_its_default(
    org: SalesforceOrg, campaign: str, contact: str
) -> None:
    member = org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact, "Status": "Clicked"})
    assert row(org, "CampaignMember", member)["Status"] == "Sent"


def test_a_member_is_one_person_once(org: SalesforceOrg, campaign: str, contact: str) -> None:
    lead = org.create("Lead", {"LastName": "Bo", "Company": "Bolts"})
    assert refused(org, "CampaignMember", {"CampaignId": campaign}).code == "REQUIRED_FIELD_MISSING"
    assert refused(org, "CampaignMember", {"ContactId": contact}).fields == ("CampaignId",)
    both = org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact, "LeadId": lead})
    assert row(org, "CampaignMember", both)["LeadId"] is None
    again = refused(org, "CampaignMember", {"CampaignId": campaign, "ContactId": contact})
    assert (again.code, again.message) == ("DUPLICATE_VALUE", "Already a campaign member.")
    other = org.create("Campaign", {"Name": "Summer"})
    org.create("CampaignMember", {"CampaignId": other, "ContactId": contact})
    org.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead})


@pytest.mark.parametrize("name", ["CampaignId", "ContactId", "LeadId", "HasResponded", "Email"])
def test_only_the_status_of_a_member_can_be_written(org: SalesforceOrg, campaign: str, contact: str, name: str) -> None:
    member = org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact})
    with pytest.raises(RowError, match="INVALID_FIELD_FOR_INSERT_UPDATE"):
        org.update("CampaignMember", member, {name: None})


def test_a_member_shows_its_persons_values(org: SalesforceOrg, campaign: str, contact: str) -> None:
    member = org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact})
    lead = org.create("Lead", {"LastName": "Bo", "Company": "Bolts", "City": "Bonn", "HasOptedOutOfEmail": True})
    second = org.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead})
    names = ("Name", "Email", "CompanyOrAccount", "City", "HasOptedOutOfEmail", "DoNotCall", "Type", "LeadOrContactId")
    first = row(org, "CampaignMember", member)
    assert tuple(first[name] for name in names) == (
        ("Ada", "ada@example.com", "Acme", None, False, False, "Contact", contact)
    )
    shown = row(org, "CampaignMember", second)
    assert tuple(shown[name] for name in names) == ("Bo", None, "Bolts", "Bonn", True, False, "Lead", lead)


def test_a_members_copies_follow_the_person_without_a_stamp(org: SalesforceOrg, campaign: str, contact: str) -> None:
    member = org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact})
    before = row(org, "CampaignMember", member)
    org.advance(60)
    account = row(org, "Contact", contact)["AccountId"]
    org.update("Contact", contact, {"Email": None, "MailingCity": "Paris"})
    org.update("Account", account, {"Name": "Apex"})
    after = row(org, "CampaignMember", member)
    changed = {name: value for name, value in after.items() if before[name] != value}
    assert changed == {"Email": None, "City": "Paris", "CompanyOrAccount": "Apex"}


def test_a_campaign_counts_its_members(org: SalesforceOrg, campaign: str, contact: str) -> None:
    lead = org.create("Lead", {"LastName": "Bo", "Company": "Bolts"})
    first = org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact, "Status": "Responded"})
    org.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead})
    assert counts(org, campaign) == (1, 1, 0, 1)
    org.update("CampaignMember", first, {"Status": "Sent"})
    assert counts(org, campaign) == (1, 1, 0, 0)
    org.delete("CampaignMember", first)
    assert counts(org, campaign) == (0, 1, 0, 0)
    with pytest.raises(RowError, match="UNDELETE_FAILED"):
        org.undelete("CampaignMember", first)


def test_what_a_transaction_undoes_is_not_counted(org: SalesforceOrg, campaign: str, contact: str) -> None:
    member = {"CampaignId": campaign, "ContactId": contact}
    with pytest.raises(RowError, match="DUPLICATE_VALUE"), org.transaction():
        [org.create("CampaignMember", member) for _ in range(2)]
    assert counts(org, campaign) == (0, 0, 0, 0)
    assert org.records("CampaignMember") == []


def test_memberships_go_and_come_back_with_the_person(org: SalesforceOrg, campaign: str, contact: str) -> None:
    org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact})
    org.delete("Contact", contact)
    assert (org.records("CampaignMember"), counts(org, campaign)[0]) == ([], 0)
    org.undelete("Contact", contact)
    assert ([one["ContactId"] for one in org.records("CampaignMember")], counts(org, campaign)[0]) == ([contact], 1)


async def test_members_are_made_and_told_of_over_rest(
    client: httpx2.AsyncClient, org: SalesforceOrg, campaign: str, contact: str
) -> None:
    url = f"{DATA}/sobjects/CampaignMember"
    made = await client.post(url, json={"CampaignId": campaign, "ContactId": contact, "Status": "Responded"})
    assert made.status_code == 201
    again = await client.post(url, json={"CampaignId": campaign, "ContactId": contact})
    assert (again.status_code, again.json()) == (
        400,
        [{"message": "Already a campaign member.", "errorCode": "DUPLICATE_VALUE", "fields": []}],
    )
    await client.delete(f"{url}/{made.json()['id']}")
    org.advance(120)
    window = {"start": "2026-11-24T20:00:00Z", "end": "2026-11-24T20:36:00Z"}
    gone = (await client.get(f"{url}/deleted", params=window)).json()
    assert [one["id"] for one in gone["deletedRecords"]] == [made.json()["id"]]
    describe = (await client.get(f"{url}/describe")).json()
    assert (describe["deletable"], describe["undeletable"], describe["mergeable"]) == (True, False, False)
    fields = {field["name"]: field for field in describe["fields"]}
    assert (fields["CampaignId"]["createable"], fields["CampaignId"]["updateable"]) == (True, False)
    assert fields["LeadOrContactId"]["referenceTo"] == ["Contact", "Lead"]
