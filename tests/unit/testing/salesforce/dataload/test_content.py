"""Batches in CSV, JSON and XML: the same records, the same results, and queries' files."""

from __future__ import annotations

import csv
import io
import json

import pytest
from defusedxml.ElementTree import fromstring

from crmsync.testing.salesforce import SalesforceOrg
from tests.unit.testing.salesforce.dataload.conftest import NAMESPACE, LoadClient

pytestmark = pytest.mark.anyio

UPSERT = {
    "CSV": (
        '"MarkMail_Id__c","LastName","FirstName","HasOptedOutOfEmail","Account.ExtKey__c"\n'
        '"m-1","O\'Brien","#N/A","true",""\n"m-2","Wu","Bo","",""\n"m-3","","Cy","false",""\n'
    ),
    "JSON": json.dumps(
        [
            {"MarkMail_Id__c": "m-1", "LastName": "O'Brien", "FirstName": None, "HasOptedOutOfEmail": True},
            {"MarkMail_Id__c": "m-2", "LastName": "Wu", "FirstName": "Bo", "attributes": {"type": "Contact"}},
            {"MarkMail_Id__c": "m-3", "FirstName": "Cy", "HasOptedOutOfEmail": False},
        ]
    ),
    "XML": (
        '<sObjects xmlns="http://www.force.com/2009/06/asyncapi/dataload"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        "<sObject><type>Contact</type><MarkMail_Id__c>m-1</MarkMail_Id__c><LastName>O'Brien</LastName>"
        '<FirstName xsi:nil="true"/><HasOptedOutOfEmail>true</HasOptedOutOfEmail></sObject>'
        "<sObject><MarkMail_Id__c>m-2</MarkMail_Id__c><LastName>Wu</LastName><FirstName>Bo</FirstName></sObject>"
        "<sObject><MarkMail_Id__c>m-3</MarkMail_Id__c><FirstName>Cy</FirstName></sObject></sObjects>"
    ),
}
UPSERT["CSV"] = UPSERT["CSV"].replace(',"Account.ExtKey__c"', "").replace(',""\n', "\n")


def told(kind: str, text: str) -> list[tuple[bool, bool, str, str]]:
    """Success, created, id and error code of each row, from results in any form."""
    if kind == "CSV":
        rows = list(csv.reader(io.StringIO(text)))
        assert rows[0] == ["Id", "Success", "Created", "Error"]
        return [(row[1] == "true", row[2] == "true", row[0], row[3].partition(":")[0]) for row in rows[1:]]
    if kind == "JSON":
        found = json.loads(text)
        codes = [[error["statusCode"] for error in row["errors"]] for row in found]
        return [(r["success"], r["created"], r["id"] or "", "".join(c)) for r, c in zip(found, codes, strict=True)]
    root = fromstring(text)
    assert root.tag == f"{NAMESPACE}results"
    return [
        (
            result.findtext(f"{NAMESPACE}success") == "true",
            result.findtext(f"{NAMESPACE}created") == "true",
            result.findtext(f"{NAMESPACE}id") or "",
            result.findtext(f"{NAMESPACE}errors/{NAMESPACE}statusCode") or "",
        )
        for result in root
    ]


@pytest.mark.parametrize("kind", ["CSV", "JSON", "XML"])
async def test_rows_are_saved_and_answered_in_their_order_in_every_form(
    loads: LoadClient, org: SalesforceOrg, kind: str
) -> None:
    kept = org.create("Contact", {"LastName": "Old", "FirstName": "Zoë", "MarkMail_Id__c": "m-1"})
    job, batch = await loads.load("upsert", UPSERT[kind], kind, externalIdFieldName="MarkMail_Id__c")
    info = await loads.info(job, batch)
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("Completed", "3", "1")
    first, second, third = told(kind, (await loads.results(job, batch)).text)
    found = {contact["MarkMail_Id__c"]: contact for contact in org.records("Contact")}
    assert first == (True, False, kept, "")
    assert second == (True, True, found["m-2"]["Id"], "")
    assert third == (False, False, "", "REQUIRED_FIELD_MISSING")
    assert (found["m-1"]["LastName"], found["m-1"]["FirstName"], found["m-1"]["HasOptedOutOfEmail"]) == (
        "O'Brien",
        None,
        True,
    )
    request = await loads.http.get(f"/job/{job}/batch/{batch}/request")
    assert request.text == UPSERT[kind]


@pytest.mark.parametrize(
    "kind, data",
    [
        ("CSV", "LastName,AccountId\nNg,{account}\n"),
        ("JSON", '[{"LastName": "Ng", "Account": {"Id": "{account}"}}]'),
        (
            "XML",
            (
                '<sObjects xmlns="http://www.force.com/2009/06/asyncapi/dataload"><sObject><LastName>Ng</LastName>'
                "<Account><sObject><Id>{account}</Id></sObject></Account></sObject></sObjects>"
            ),
        ),
    ],
)
async def test_a_record_refers_to_its_parent(loads: LoadClient, org: SalesforceOrg, kind: str, data: str) -> None:
    account = org.create("Account", {"Name": "Acme"})
    job, batch = await loads.load("insert", data.replace("{account}", account), kind)
    assert (await loads.info(job, batch))["numberRecordsFailed"] == "0"
    assert [contact["AccountId"] for contact in org.records("Contact")] == [account]


async def test_updates_and_deletes_go_by_the_id(loads: LoadClient, org: SalesforceOrg) -> None:
    ids = [org.create("Contact", {"LastName": f"Name {number}"}) for number in range(3)]
    job, batch = await loads.load("update", json.dumps([{"Id": ids[0], "LastName": "New"}]), "JSON")
    assert told("JSON", (await loads.results(job, batch)).text) == [(True, False, ids[0], "")]
    job, batch = await loads.load("delete", f"Id\n{ids[1]}\n")
    assert told("CSV", (await loads.results(job, batch)).text) == [(True, False, ids[1], "")]
    assert sorted(contact["LastName"] for contact in org.records("Contact")) == ["Name 2", "New"]
    job, batch = await loads.load("delete", f"Id,LastName\n{ids[2]},x\n")
    assert "must contain only ids" in (await loads.info(job, batch))["stateMessage"]


@pytest.mark.parametrize(
    "kind, data",
    [
        ("CSV", "Nope__c\nx\n"),
        ("CSV", "LastName\n"),
        ("CSV", "\n"),
        ("JSON", '[{"Nope__c": 1}]'),
        ("JSON", '{"LastName": "Ng"}'),
        ("JSON", "["),
        ("XML", "<sObjects"),
        ("XML", '<!DOCTYPE s [<!ENTITY a "b">]><sObjects><sObject><LastName>&a;</LastName></sObject></sObjects>'),
        ("CSV", "LastName\n" + "x\n" * 10_001),
    ],
)
async def test_a_batch_that_cannot_be_read_fails_with_the_reason(loads: LoadClient, kind: str, data: str) -> None:
    job, batch = await loads.load("insert", data, kind)
    info = await loads.info(job, batch)
    assert info["state"] == "Failed"
    assert info["stateMessage"].startswith("InvalidBatch : ")


async def test_a_query_gives_a_file_of_csv(loads: LoadClient, org: SalesforceOrg) -> None:
    account = org.create("Account", {"Name": 'The "Acme"'})
    org.create("Contact", {"LastName": "Ng", "AccountId": account, "HasOptedOutOfEmail": True})
    job, batch = await loads.load("query", "SELECT LastName, Account.Name, HasOptedOutOfEmail, Email FROM Contact")
    listed = await loads.results(job, batch)
    [result] = [element.text or "" for element in fromstring(listed.content)]
    answer = await loads.results(job, batch, result)
    assert answer.headers["Content-Type"] == "text/csv"
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["LastName", "Account.Name", "HasOptedOutOfEmail", "Email"],
        ["Ng", 'The "Acme"', "true", ""],
    ]


async def test_a_query_without_records_says_so_in_csv(loads: LoadClient) -> None:
    job, batch = await loads.load("query", "SELECT LastName FROM Contact")
    [result] = [element.text or "" for element in fromstring((await loads.results(job, batch)).content)]
    assert (await loads.results(job, batch, result)).text == "Records not found for this query\n"


async def test_a_query_in_json_has_its_dates_as_milliseconds(loads: LoadClient, org: SalesforceOrg) -> None:
    """As recorded of real orgs (simple-salesforce, issue 290)."""
    kept = org.create("Contact", {"LastName": "Ng", "Birthdate": "1970-01-02"})
    gone = org.create("Contact", {"LastName": "Wu"})
    org.delete("Contact", gone)
    soql = "SELECT Id, LastName, Birthdate, CreatedDate, Account.CreatedDate FROM Contact ORDER BY LastName"
    job, batch = await loads.load("queryAll", soql, "JSON")
    [result] = (await loads.results(job, batch)).json()
    first, second = (await loads.results(job, batch, result)).json()
    assert (first["Id"], first["Birthdate"], first["Account"]) == (kept, 86_400_000, None)
    assert first["attributes"]["type"] == "Contact"
    assert first["CreatedDate"] == int(org.now().timestamp()) * 1000
    assert (second["Id"], second["Birthdate"]) == (gone, None)


@pytest.mark.parametrize(
    "soql",
    ["SELECT Nope__c FROM Contact", "SELECT COUNT(Id) FROM Contact", "SELECT", "SELECT MailingAddress FROM Contact"],
)
async def test_a_query_that_cannot_be_fails_its_batch(loads: LoadClient, soql: str) -> None:
    job, batch = await loads.load("query", soql)
    info = await loads.info(job, batch)
    assert info["state"] == "Failed"
    assert info["stateMessage"].startswith("InvalidBatch : Failed to process query: ")
