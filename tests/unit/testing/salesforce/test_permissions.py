"""Field-level security and object permissions."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import API_USER_ID, Profile, SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
CONTACT = f"{DATA}/sobjects/Contact"


async def fields(client: httpx2.AsyncClient) -> dict[str, Any]:
    """The contact's described fields by name."""
    body = (await client.get(f"{CONTACT}/describe")).json()
    return {field["name"]: field for field in body["fields"]}


async def test_a_hidden_field_is_not_there(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    contact = org.create("Contact", {"LastName": "Ada", "HasOptedOutOfEmail": True})
    assert "HasOptedOutOfEmail" in await fields(client)
    org.set_profile(API_USER_ID, Profile(hidden=["Contact.HasOptedOutOfEmail"]))
    assert "HasOptedOutOfEmail" not in await fields(client)
    assert "HasOptedOutOfEmail" not in (await client.get(f"{CONTACT}/{contact}")).json()
    query = {"q": "SELECT HasOptedOutOfEmail FROM Contact"}
    refused = (await client.get(f"{DATA}/query", params=query)).json()[0]
    assert refused["errorCode"] == "INVALID_FIELD"
    assert "No such column 'HasOptedOutOfEmail' on entity 'Contact'" in refused["message"]
    through = {"q": "SELECT Contact.HasOptedOutOfEmail FROM CampaignMember"}
    assert (await client.get(f"{DATA}/query", params=through)).status_code == 400
    written = await client.patch(f"{CONTACT}/{contact}", json={"HasOptedOutOfEmail": False})
    assert written.json() == [
        {
            "message": "No such column 'HasOptedOutOfEmail' on sobject of type Contact",
            "errorCode": "INVALID_FIELD",
            "fields": [],
        }
    ]
    org.set_profile(API_USER_ID, None)
    assert (await client.get(f"{CONTACT}/{contact}")).json()["HasOptedOutOfEmail"] is True


async def test_a_read_only_field_is_seen_and_not_written(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.set_profile(API_USER_ID, Profile(read_only=["contact.title"]))
    title = (await fields(client))["Title"]
    assert (title["createable"], title["updateable"]) == (False, False)
    refused = (await client.post(CONTACT, json={"LastName": "Ada", "Title": "Dr"})).json()[0]
    assert (refused["errorCode"], refused["fields"]) == ("INVALID_FIELD_FOR_INSERT_UPDATE", ["Title"])
    org.create("Contact", {"LastName": "Ada", "Title": "Dr"})
    shown = await client.get(f"{DATA}/query", params={"q": "SELECT Title FROM Contact"})
    assert shown.json()["records"][0]["Title"] == "Dr"


async def test_an_object_may_only_be_read(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    contact = org.create("Contact", {"LastName": "Ada"})
    org.set_profile(API_USER_ID, Profile(objects={"Contact": "r"}))
    described = (await client.get(f"{CONTACT}/describe")).json()
    assert [described[name] for name in ("createable", "updateable", "deletable")] == [False, False, False]
    answers = [
        await client.post(CONTACT, json={"LastName": "Bo"}),
        await client.patch(f"{CONTACT}/{contact}", json={"LastName": "Bo"}),
        await client.delete(f"{CONTACT}/{contact}"),
    ]
    assert [answer.json()[0]["errorCode"] for answer in answers] == [
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "INSUFFICIENT_ACCESS_OR_READONLY",
        "INSUFFICIENT_ACCESS_OR_READONLY",
    ]
    rows = (await client.delete(f"{DATA}/composite/sobjects", params={"ids": contact})).json()
    assert rows[0]["errors"][0]["statusCode"] == "INSUFFICIENT_ACCESS_OR_READONLY"


async def test_an_object_that_cannot_be_read_is_not_there(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.set_profile(API_USER_ID, Profile(objects={"Campaign": ""}))
    listed = (await client.get(f"{DATA}/sobjects")).json()["sobjects"]
    assert "Campaign" not in {entry["name"] for entry in listed}
    assert (await client.get(f"{DATA}/sobjects/Campaign/describe")).status_code == 404
    refused = await client.get(f"{DATA}/query", params={"q": "SELECT Id FROM Campaign"})
    assert refused.json()[0]["errorCode"] == "INVALID_TYPE"
    job = await client.post(f"{DATA}/jobs/ingest", json={"object": "Campaign", "operation": "insert"})
    assert job.json()[0]["errorCode"] == "INVALIDJOB"


async def test_what_the_org_does_by_itself_needs_no_permission(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.set_profile(API_USER_ID, Profile(objects={"CampaignMemberStatus": "r"}))
    assert (await client.post(f"{DATA}/sobjects/Campaign", json={"Name": "Spring"})).status_code == 201
    assert len(org.records("CampaignMemberStatus")) == 2


async def test_a_changed_describe_is_sent_again(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    known = (await client.get(f"{CONTACT}/describe")).headers["Last-Modified"]
    org.advance(5)
    org.set_profile(API_USER_ID, Profile(hidden=["Contact.Title"]))
    again = await client.get(f"{CONTACT}/describe", headers={"If-Modified-Since": known})
    assert again.status_code == 200


async def test_a_bulk_job_sees_what_its_user_sees(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.set_profile(API_USER_ID, Profile(hidden=["Contact.Title"]))
    made = await client.post(f"{DATA}/jobs/ingest", json={"object": "Contact", "operation": "insert"})
    job = f"{DATA}/jobs/ingest/{made.json()['id']}"
    await client.put(f"{job}/batches", content="LastName,Title\nAda,Dr\n", headers={"Content-Type": "text/csv"})
    await client.patch(job, json={"state": "UploadComplete"})
    told = (await client.get(job)).json()
    assert (told["state"], "Title" in told["errorMessage"]) == ("Failed", True)
    assert org.records("Contact") == []


async def test_permissions_are_set_from_outside(client: httpx2.AsyncClient) -> None:
    await client.post("/__emulator__/permissions", json={"hidden": ["Contact.Title"], "objects": {"Task": "cr"}})
    assert "Title" not in await fields(client)
    await client.post("/__emulator__/permissions", json={})
    assert "Title" in await fields(client)


@pytest.mark.parametrize(
    "profile",
    [{"hidden": ["Contact.Foo"]}, {"hidden": "Contact.Title"}, {"objects": {"Nope": "r"}}, {"objects": {"Task": "x"}}],
)
async def test_a_profile_of_what_is_not_there_is_refused(client: httpx2.AsyncClient, profile: dict[str, Any]) -> None:
    assert (await client.post("/__emulator__/permissions", json=profile)).status_code == 400
    assert "Title" in await fields(client)


def test_profiles_are_given_to_a_new_org() -> None:
    with pytest.raises(ValueError, match=r"unknown in a profile: contact\.foo"):
        SalesforceOrg(profiles={API_USER_ID: Profile(read_only=["Contact.Foo"])})
