"""Single records over the REST API: status codes and bodies as Salesforce gives them."""

from __future__ import annotations

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg

pytestmark = pytest.mark.anyio

CONTACT = "/services/data/v68.0/sobjects/Contact"


async def test_a_create_answers_201_with_the_id_and_its_location(client: httpx2.AsyncClient) -> None:
    response = await client.post(CONTACT, json={"LastName": "Ng"})
    record_id = response.json()["id"]
    assert response.status_code == 201
    assert response.json() == {"id": record_id, "success": True, "errors": []}
    assert response.headers["Location"] == f"{CONTACT}/{record_id}"
    assert len(record_id) == 18
    assert record_id.startswith("003")


async def test_an_upsert_answers_201_then_200_and_204_before_v46(client: httpx2.AsyncClient) -> None:
    url = f"{CONTACT}/MarkMail_Id__c/m-1"
    first = await client.patch(url, json={"LastName": "Ng"})
    second = await client.patch(url, json={"FirstName": "Li"})
    third = await client.patch(url.replace("v68.0", "v45.0"), json={"FirstName": "Lee"})
    assert (first.status_code, second.status_code, third.status_code) == (201, 200, 204)
    record_id = first.json()["id"]
    assert second.json() == {"id": record_id, "success": True, "errors": [], "created": False}
    assert third.content == b""
    shown = await client.get(url, params={"fields": "Name"})
    assert shown.json()["Name"] == "Lee Ng"


async def test_a_second_delete_is_told_that_the_entity_is_deleted(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    record_id = org.create("Contact", {"LastName": "Ng"})
    first = await client.delete(f"{CONTACT}/{record_id}")
    second = await client.delete(f"{CONTACT}/{record_id}")
    assert (first.status_code, second.status_code) == (204, 404)
    assert second.json() == [{"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}]
