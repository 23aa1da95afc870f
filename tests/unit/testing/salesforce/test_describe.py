"""Describes: the keys of a real org's, with the attributes of its fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
COLUMNS = ("type", "length", "nillable", "createable", "updateable")
#: Every standard field of three objects, from describes of a real org.
REAL: dict[str, dict[str, list[Any]]] = json.loads(
    (Path(__file__).parents[3] / "data" / "salesforce-fields.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("object_name", REAL)
async def test_fields_have_the_attributes_that_real_orgs_give_them(
    client: httpx2.AsyncClient, object_name: str
) -> None:
    body = (await client.get(f"{DATA}/sobjects/{object_name}/describe")).json()
    shown = {field["name"]: [field[column] for column in COLUMNS] for field in body["fields"]}
    assert {name: shown.get(name) for name in REAL[object_name]} == REAL[object_name]
    assert len(shown) >= 58
    assert all(len(field) == 57 for field in body["fields"])


async def test_children_are_described_with_what_becomes_of_them(client: httpx2.AsyncClient) -> None:
    body = (await client.get(f"{DATA}/sobjects/Contact/describe")).json()
    shown = {
        (child["childSObject"], child["field"]): (child["relationshipName"], child["cascadeDelete"])
        for child in body["childRelationships"]
    }
    assert shown[("CampaignMember", "ContactId")] == ("CampaignMembers", True)
    assert shown[("Task", "WhoId")] == ("Tasks", True)
    assert shown[("Contact", "ReportsToId")] == (None, False)
    assert ("Contact", "MasterRecordId") not in shown


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
