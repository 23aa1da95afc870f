"""Describes: the keys of a real org's, with the attributes of its fields."""

from __future__ import annotations

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
COLUMNS = ("type", "length", "nillable", "createable", "updateable", "label")
# From describes of a real org.
EXPECTED = {
    "Contact": {
        "Id": ("id", 18, False, False, False, "Contact ID"),
        "LastName": ("string", 80, False, True, True, "Last Name"),
        "FirstName": ("string", 40, True, True, True, "First Name"),
        "Name": ("string", 121, False, False, False, "Full Name"),
        "Email": ("email", 80, True, True, True, "Email"),
        "Phone": ("phone", 40, True, True, True, "Business Phone"),
        "MailingStreet": ("textarea", 255, True, True, True, "Mailing Street"),
        "MailingAddress": ("address", 0, True, False, False, "Mailing Address"),
        "MailingLatitude": ("double", 0, True, True, True, "Mailing Latitude"),
        "LeadSource": ("picklist", 255, True, True, True, "Lead Source"),
        "Birthdate": ("date", 0, True, True, True, "Birthdate"),
        "Description": ("textarea", 32000, True, True, True, "Contact Description"),
        "AccountId": ("reference", 18, True, True, True, "Account ID"),
        "OwnerId": ("reference", 18, False, True, True, "Owner ID"),
        "EmailBouncedDate": ("datetime", 0, True, True, True, "Email Bounced Date"),
        "SystemModstamp": ("datetime", 0, False, False, False, "System Modstamp"),
        "IsDeleted": ("boolean", 0, False, False, False, "Deleted"),
    },
    "Lead": {
        "Company": ("string", 255, False, True, True, "Company"),
        "Status": ("picklist", 255, False, True, True, "Status"),
        "IsConverted": ("boolean", 0, False, True, False, "Converted"),
        "EmailBouncedReason": ("string", 255, True, False, True, "Email Bounced Reason"),
        "AnnualRevenue": ("currency", 0, True, True, True, "Annual Revenue"),
        "NumberOfEmployees": ("int", 0, True, True, True, "Employees"),
    },
    "Account": {
        "Name": ("string", 255, False, True, True, "Account Name"),
        "Website": ("url", 255, True, True, True, "Website"),
        "IsPartner": ("boolean", 0, False, False, True, "Partner Account"),
        "BillingPostalCode": ("string", 20, True, True, True, "Billing Zip/Postal Code"),
    },
}


@pytest.mark.parametrize("object_name", EXPECTED)
async def test_fields_have_the_attributes_that_real_orgs_give_them(
    client: httpx2.AsyncClient, object_name: str
) -> None:
    body = (await client.get(f"{DATA}/sobjects/{object_name}/describe")).json()
    fields = {field["name"]: field for field in body["fields"]}
    shown = {name: tuple(fields[name][column] for column in COLUMNS) for name in EXPECTED[object_name]}
    assert shown == EXPECTED[object_name]
    assert len(fields) >= 58
    assert all(len(field) == 57 for field in body["fields"])


async def test_the_mailing_fields_are_described_as_their_admin_made_them(client: httpx2.AsyncClient) -> None:
    body = (await client.get(f"{DATA}/sobjects/Lead/describe")).json()
    fields = {field["name"]: field for field in body["fields"]}
    key = fields["MarkMail_Id__c"]
    assert (key["type"], key["length"], key["byteLength"]) == ("string", 64, 192)
    assert key["externalId"] is key["unique"] is key["caseSensitive"] is key["idLookup"] is key["custom"] is True
    tags = fields["MarkMail_Tags__c"]
    assert (tags["type"], tags["length"], tags["restrictedPicklist"]) == ("multipicklist", 4099, False)
    opt_out = fields["HasOptedOutOfEmail"]
    assert (opt_out["type"], opt_out["nillable"], opt_out["defaultValue"]) == ("boolean", False, False)


async def test_picklists_give_their_values_and_default(client: httpx2.AsyncClient) -> None:
    body = (await client.get(f"{DATA}/sobjects/Lead/describe")).json()
    status = next(field for field in body["fields"] if field["name"] == "Status")
    assert status["picklistValues"][0] == {
        "active": True,
        "defaultValue": True,
        "label": "Open - Not Contacted",
        "validFor": None,
        "value": "Open - Not Contacted",
    }
    assert status["defaultValue"] == "Open - Not Contacted"


async def test_a_describe_is_not_sent_again_while_it_is_unchanged(client: httpx2.AsyncClient) -> None:
    url = f"{DATA}/sobjects/Contact/describe"
    modified = (await client.get(url)).headers["Last-Modified"]
    again = await client.get(url, headers={"If-Modified-Since": modified})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_global_describe_lists_the_objects(client: httpx2.AsyncClient) -> None:
    body = (await client.get(f"{DATA}/sobjects")).json()
    assert (body["encoding"], body["maxBatchSize"]) == ("UTF-8", 200)
    prefixes = {entry["name"]: entry["keyPrefix"] for entry in body["sobjects"]}
    assert prefixes == {
        "Account": "001",
        "Contact": "003",
        "Lead": "00Q",
        "Campaign": "701",
        "CampaignMember": "00v",
        "CampaignMemberStatus": "01Y",
        "Task": "00T",
        "EmailMessage": "02s",
        "EmailMessageRelation": "03z",
        "User": "005",
        "Organization": "00D",
    }
    basic = (await client.get(f"{DATA}/sobjects/Contact/")).json()
    assert list(basic) == ["objectDescribe", "recentItems"]


def test_options_shape_what_an_org_knows() -> None:
    bare = SalesforceOrg(external_id_field=False, hide_opt_out=True).table("contact").definition
    assert "MarkMail_Id__c" not in bare.fields
    assert "HasOptedOutOfEmail" not in bare.fields
    assert "MarkMail_Tags__c" in bare.fields
