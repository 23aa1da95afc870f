"""sObject Collections: one outcome for each record, in order; limits; all or none."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg

pytestmark = pytest.mark.anyio

COLLECTIONS = "/services/data/v68.0/composite/sobjects"
UPSERT = f"{COLLECTIONS}/Contact/MarkMail_Id__c"
ROLLED_BACK = {
    "success": False,
    "errors": [
        {
            "statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK",
            "message": "Record rolled back because not all records were valid and the request was using AllOrNone"
            " header",
            "fields": [],
        }
    ],
}


def record(kind: str = "Contact", **values: Any) -> dict[str, Any]:
    """Return a record as a collection's body holds it."""
    return {"attributes": {"type": kind}, **values}


async def test_an_upsert_has_one_outcome_a_record_in_the_order_sent(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    known = org.create("Contact", {"LastName": "Old", "MarkMail_Id__c": "m2"})
    rows = [
        record(LastName="New", MarkMail_Id__c="m1"),
        record(LastName="Changed", MarkMail_Id__c="m2"),
        record(LastName="x" * 81, MarkMail_Id__c="m3"),
        record(FirstName="No last name", MarkMail_Id__c="m4"),
        record(LastName="No key"),
        record(LastName="Foo", Foo="x", MarkMail_Id__c="m5"),
    ]
    response = await client.patch(UPSERT, json={"records": rows})
    outcomes = response.json()
    assert response.status_code == 200
    assert outcomes[0] == {"id": outcomes[0]["id"], "success": True, "errors": [], "created": True}
    assert outcomes[1] == {"id": known, "success": True, "errors": [], "created": False}
    assert [outcome["errors"][0]["statusCode"] for outcome in outcomes[2:]] == [
        "STRING_TOO_LONG",
        "REQUIRED_FIELD_MISSING",
        "MISSING_ARGUMENT",
        "INVALID_FIELD",
    ]
    assert outcomes[3]["errors"] == [
        {
            "statusCode": "REQUIRED_FIELD_MISSING",
            "message": "Required fields are missing: [LastName]",
            "fields": ["LastName"],
        }
    ]
    assert sorted(row["LastName"] for row in org.records("Contact")) == ["Changed", "New"]


async def test_the_body_is_printed_as_real_orgs_print_it(client: httpx2.AsyncClient) -> None:
    response = await client.patch(UPSERT, json={"records": [record(LastName="New", MarkMail_Id__c="m1")]})
    assert '"success" : true' in response.text
    assert response.headers["Content-Type"] == "application/json;charset=UTF-8"


async def test_the_same_external_id_twice_in_a_call_fails_the_second(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    rows = [record(LastName=name, MarkMail_Id__c="m1") for name in ("First", "Second")]
    first, second = (await client.patch(UPSERT, json={"records": rows})).json()
    assert first["success"] is True
    assert second == {
        "success": False,
        "errors": [
            {
                "statusCode": "DUPLICATE_VALUE",
                "message": "Duplicate external id specified: m1",
                "fields": ["MarkMail_Id__c"],
            }
        ],
    }
    assert [row["LastName"] for row in org.records("Contact")] == ["First"]


async def test_all_or_none_undoes_the_good_records(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    known = org.create("Contact", {"LastName": "Old", "MarkMail_Id__c": "m1"})
    before = org.get("Contact", known)
    rows = [
        record(LastName="Changed", MarkMail_Id__c="m1"),
        record(LastName="New", MarkMail_Id__c="m2"),
        record(LastName=None, MarkMail_Id__c="m3"),
    ]
    outcomes = (await client.patch(UPSERT, json={"allOrNone": True, "records": rows})).json()
    assert outcomes[:2] == [ROLLED_BACK, ROLLED_BACK]
    assert outcomes[2]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert [org.get("Contact", row["Id"]) for row in org.records("Contact")] == [before]
    again = (await client.patch(UPSERT, json={"allOrNone": True, "records": rows[:2]})).json()
    assert [outcome["success"] for outcome in again] == [True, True]


async def test_a_value_of_the_wrong_json_type_fails_the_whole_call_and_saves_nothing(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    rows = [record(LastName="Good", MarkMail_Id__c="m1"), record(LastName="Bad", MarkMail_Id__c="m2", Birthdate="soon")]
    response = await client.patch(UPSERT, json={"records": rows})
    assert response.status_code == 400
    assert response.json()[0]["errorCode"] == "JSON_PARSER_ERROR"
    assert org.records("Contact") == []


async def test_more_than_200_records_are_refused_as_a_whole(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    rows = [record(LastName="Ng", MarkMail_Id__c=str(number)) for number in range(201)]
    for method, url in (("POST", COLLECTIONS), ("PATCH", COLLECTIONS), ("PATCH", UPSERT)):
        response = await client.request(method, url, json={"records": rows})
        assert response.status_code == 400
        assert response.json() == [
            {
                "message": "record limit reached. cannot submit more than 200 records into this call",
                "errorCode": "EXCEEDED_ID_LIMIT",
            }
        ]
    assert org.records("Contact") == []


async def test_more_than_ten_chunks_of_types_are_refused(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    pair = [record("Account", Name="A"), record(LastName="B")]
    assert (await client.post(COLLECTIONS, json={"records": pair * 5})).status_code == 200
    response = await client.post(COLLECTIONS, json={"records": [*pair * 5, record("Account", Name="A")]})
    assert response.status_code == 400
    assert "more than 10 chunks" in response.json()[0]["message"]
    assert len(org.records("Account")) == 5


async def test_creates_and_updates_of_several_objects_share_a_call(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    rows = [record("Account", Name="Acme"), record(LastName="Ng"), record("Lead", LastName="Li")]
    outcomes = (await client.post(COLLECTIONS, json={"records": rows})).json()
    assert [outcome["success"] for outcome in outcomes] == [True, True, False]
    assert outcomes[2]["errors"][0]["fields"] == ["Company"]
    account, contact = outcomes[0]["id"], outcomes[1]["id"]
    rows = [
        record("Contact", id=contact, AccountId=account),
        record("Account", Id=account[:15], Site="North"),
        record("Contact", Id=account, LastName="Wrong type"),
        record("Contact", LastName="No id"),
        record("Contact", Id="003000000000009AAA", LastName="Unknown"),
    ]
    outcomes = (await client.patch(COLLECTIONS, json={"records": rows})).json()
    assert [outcome["success"] for outcome in outcomes] == [True, True, False, False, False]
    codes = [outcome["errors"][0]["statusCode"] for outcome in outcomes[2:]]
    assert codes == ["MALFORMED_ID", "MISSING_ARGUMENT", "INVALID_CROSS_REFERENCE_KEY"]
    saved = org.get("Contact", contact)
    assert saved is not None
    assert saved["AccountId"] == account


async def test_an_upsert_by_id_creates_where_the_id_is_null(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    known = org.create("Contact", {"LastName": "Old"})
    rows = [record(Id=None, LastName="New"), record(Id=known, LastName="Changed")]
    outcomes = (await client.patch(f"{COLLECTIONS}/Contact/Id", json={"records": rows})).json()
    assert [outcome["created"] for outcome in outcomes] == [True, False]
    assert sorted(row["LastName"] for row in org.records("Contact")) == ["Changed", "New"]


async def test_deletes_are_told_apart_row_by_row(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    contact, lead = org.create("Contact", {"LastName": "A"}), org.create("Lead", {"LastName": "B", "Company": "C"})
    gone = org.create("Contact", {"LastName": "D"})
    org.delete("Contact", gone)
    params = {"ids": f"{contact},{lead},{gone},nonsense"}
    outcomes = (await client.delete(COLLECTIONS, params=params)).json()
    assert outcomes[:2] == [
        {"id": contact, "success": True, "errors": []},
        {"id": lead, "success": True, "errors": []},
    ]
    assert [outcome["errors"][0]["statusCode"] for outcome in outcomes[2:]] == ["ENTITY_IS_DELETED", "MALFORMED_ID"]
    assert org.records("Contact") == []


async def test_retrieved_records_keep_the_order_with_null_for_the_missing(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    first, second, gone = (org.create("Contact", {"LastName": name}) for name in "ABC")
    org.delete("Contact", gone)
    body = {"ids": [second, gone, "003000000000009AAA", first], "fields": ["LastName"]}
    posted = await client.post(f"{COLLECTIONS}/Contact", json=body)
    shown = [record and record["LastName"] for record in posted.json()]
    assert shown == ["B", None, None, "A"]
    fetched = await client.get(f"{COLLECTIONS}/Contact", params={"ids": ",".join(body["ids"]), "fields": "LastName"})
    assert fetched.json() == posted.json()
    unknown = await client.post(f"{COLLECTIONS}/Contact", json={"ids": [first], "fields": ["Foo"]})
    assert unknown.json()[0]["errorCode"] == "INVALID_FIELD"
    many = await client.post(f"{COLLECTIONS}/Contact", json={"ids": [first] * 2001, "fields": ["LastName"]})
    assert many.status_code == 400


@pytest.mark.parametrize(
    "body", [{}, {"records": {}}, {"records": [1]}, {"records": []}, {"records": [{"LastName": "x"}]}]
)
async def test_a_malformed_collection_is_400(client: httpx2.AsyncClient, body: Any) -> None:
    response = await client.post(COLLECTIONS, json=body)
    assert response.status_code == 400
    assert set(response.json()[0]) == {"message", "errorCode"}
