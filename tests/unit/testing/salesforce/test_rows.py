"""Single records over the REST API: status codes and bodies as Salesforce gives them."""

from __future__ import annotations

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg, custom_field
from crmsync.testing.salesforce.transport import InProcessTransport

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
CONTACT = f"{DATA}/sobjects/Contact"
NOT_FOUND = [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]


async def test_a_create_answers_201_with_the_id_and_its_location(client: httpx2.AsyncClient) -> None:
    response = await client.post(CONTACT, json={"LastName": "Ng"})
    record_id = response.json()["id"]
    assert response.status_code == 201
    assert response.json() == {"id": record_id, "success": True, "errors": []}
    assert response.headers["Location"] == f"{CONTACT}/{record_id}"
    assert len(record_id) == 18
    assert record_id.startswith("003")


async def test_a_read_gives_attributes_first_and_the_fields_asked_for(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    record_id = org.create("Contact", {"LastName": "Ng", "FirstName": "Li", "MailingCity": "Oslo"})
    response = await client.get(f"{CONTACT}/{record_id[:15]}", params={"fields": "name,MailingAddress,Phone"})
    assert list(response.json().items()) == [
        ("attributes", {"type": "Contact", "url": f"{CONTACT}/{record_id}"}),
        ("Name", "Li Ng"),
        (
            "MailingAddress",
            {
                "city": "Oslo",
                "country": None,
                "geocodeAccuracy": None,
                "latitude": None,
                "longitude": None,
                "postalCode": None,
                "state": None,
                "street": None,
            },
        ),
        ("Phone", None),
    ]
    whole = (await client.get(f"{CONTACT}/{record_id}")).json()
    assert whole["OtherAddress"] is None
    assert set(whole) == {"attributes", *org.table("Contact").definition.fields}


async def test_an_upsert_answers_201_then_200_and_204_before_v46(client: httpx2.AsyncClient) -> None:
    url = f"{CONTACT}/MarkMail_Id__c/m-1"
    first = await client.patch(url, json={"LastName": "Ng"})
    second = await client.patch(url, json={"FirstName": "Li"})
    third = await client.patch(url.replace("v68.0", "v45.0"), json={"FirstName": "Lee"})
    assert (first.status_code, second.status_code, third.status_code) == (201, 200, 204)
    record_id = first.json()["id"]
    assert first.json() == {"id": record_id, "success": True, "errors": [], "created": True}
    assert second.json() == {"id": record_id, "success": True, "errors": [], "created": False}
    assert third.content == b""
    assert (await client.get(url, params={"fields": "Name"})).json()["Name"] == "Lee Ng"


async def test_an_external_id_may_hold_slashes_and_other_reserved_characters(client: httpx2.AsyncClient) -> None:
    created = await client.patch(f"{CONTACT}/MarkMail_Id__c/a%2Fb%3Fc%20d%27e", json={"LastName": "Ng"})
    shown = await client.get(f"{CONTACT}/{created.json()['id']}", params={"fields": "MarkMail_Id__c"})
    assert shown.json()["MarkMail_Id__c"] == "a/b?c d'e"


async def test_an_upsert_that_may_only_update_does_not_create(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    response = await client.patch(f"{CONTACT}/MarkMail_Id__c/x?updateOnly=true", json={"LastName": "Ng"})
    assert response.status_code == 404
    assert org.records("Contact") == []


async def test_the_external_id_must_not_be_in_the_body_too(client: httpx2.AsyncClient) -> None:
    response = await client.patch(f"{CONTACT}/MarkMail_Id__c/x", json={"LastName": "Ng", "MarkMail_Id__c": "x"})
    assert response.status_code == 400
    assert response.json() == [
        {
            "message": "The MarkMail_Id__c field should not be specified in the sobject data.",
            "errorCode": "INVALID_FIELD",
        }
    ]


async def test_an_external_id_that_several_records_hold_answers_300_and_their_urls() -> None:
    legacy = custom_field("Legacy__c", "Legacy", external_id=True)
    org = SalesforceOrg(custom_fields={"Contact": [legacy]})
    ids = [org.create("Contact", {"LastName": name, "Legacy__c": "7"}) for name in ("A", "B")]
    headers = {"Authorization": f"Bearer {org.access_token}"}
    async with httpx2.AsyncClient(transport=InProcessTransport(org), headers=headers) as client:
        for method, body in (("PATCH", {"LastName": "C"}), ("GET", None)):
            response = await client.request(method, f"http://org.example{CONTACT}/Legacy__c/7", json=body)
            assert response.status_code == 300
            assert response.json() == [f"{CONTACT}/{record_id}" for record_id in ids]


async def test_an_org_without_the_external_id_says_so() -> None:
    org = SalesforceOrg(external_id_field=False)
    headers = {"Authorization": f"Bearer {org.access_token}"}
    async with httpx2.AsyncClient(transport=InProcessTransport(org), headers=headers) as client:
        response = await client.patch(f"http://org.example{CONTACT}/MarkMail_Id__c/x", json={"LastName": "Ng"})
    assert response.status_code == 404
    assert response.json() == [
        {
            "errorCode": "NOT_FOUND",
            "message": "Provided external ID field does not exist or is not accessible: MarkMail_Id__c",
        }
    ]


async def test_a_second_delete_is_told_that_the_entity_is_deleted(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    record_id = org.create("Contact", {"LastName": "Ng"})
    first = await client.delete(f"{CONTACT}/{record_id}")
    second = await client.delete(f"{CONTACT}/{record_id}")
    patched = await client.patch(f"{CONTACT}/{record_id}", json={"LastName": "No"})
    read = await client.get(f"{CONTACT}/{record_id}")
    assert (first.status_code, second.status_code, patched.status_code) == (204, 404, 404)
    deleted = [{"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}]
    assert second.json() == patched.json() == deleted
    assert (read.status_code, read.json()) == (404, NOT_FOUND)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["Contact/003000000000001AAA", "Contact/nonsense", "Nope/003000000000001AAA"])
async def test_what_is_not_there_is_404(client: httpx2.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, f"{DATA}/sobjects/{path}", json={"LastName": "x"})
    assert (response.status_code, response.json()) == (404, NOT_FOUND)


async def test_a_read_may_be_conditional_on_the_last_change(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    url = f"{CONTACT}/{org.create('Contact', {'LastName': 'Ng'})}"
    modified = (await client.get(url)).headers["Last-Modified"]
    assert modified == "Tue, 24 Nov 2026 20:34:26 GMT"
    earlier = "Tue, 24 Nov 2026 20:34:25 GMT"
    assert (await client.get(url, headers={"If-Modified-Since": modified})).status_code == 304
    assert (await client.get(url, headers={"If-Modified-Since": earlier})).status_code == 200
    unmodified = await client.patch(url, json={"LastName": "No"}, headers={"If-Unmodified-Since": earlier})
    assert unmodified.status_code == 412
    assert (await client.get(url, headers={"If-Modified-Since": "yesterday"})).status_code == 400


async def test_a_body_that_is_no_json_object_is_refused(client: httpx2.AsyncClient) -> None:
    for content in (b"", b"{", b"[]", b"\xff"):
        response = await client.post(CONTACT, content=content, headers={"Content-Type": "application/json"})
        assert response.status_code == 400
        assert response.json()[0]["errorCode"] == "JSON_PARSER_ERROR"
    xml = await client.post(CONTACT, content=b"<a/>", headers={"Content-Type": "application/xml"})
    assert xml.status_code == 415
