"""Query jobs: what SOQL they take, their results, pages and locators."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import API_USER_ID, SalesforceOrg
from tests.unit.testing.salesforce.bulk.conftest import DATA, BulkClient, rows
from tests.unit.testing.salesforce.conftest import StandingClock

pytestmark = pytest.mark.anyio

NAMES = ("Ada", "Bob", "Cyd", "Dan", "Eve", "Fay", "Gus")


@pytest.fixture
def people(org: SalesforceOrg) -> list[str]:
    """Seven contacts, in order of their birth."""
    return [org.create("Contact", {"LastName": name, "MarkMail_Id__c": f"m{name}"}) for name in NAMES]


def names(response: httpx2.Response) -> list[str]:
    """Return the last names of a page of results."""
    return [row["LastName"] for row in rows(response.text)]


async def test_a_new_query_job_is_closed_and_answers_in_the_recorded_shape(client: httpx2.AsyncClient) -> None:
    body = {"operation": "query", "query": "SELECT Id FROM contact"}
    response = await client.post(f"{DATA}/jobs/query", json=body)
    assert response.status_code == 200
    assert response.json() == {
        "id": response.json()["id"],
        "operation": "query",
        "object": "Contact",
        "createdById": API_USER_ID,
        "createdDate": "2026-11-24T20:34:26.000+0000",
        "systemModstamp": "2026-11-24T20:34:26.000+0000",
        "state": "UploadComplete",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 68.0,
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }


@pytest.mark.usefixtures("people")
async def test_a_polled_job_is_complete_and_tells_how_many_records_it_has(bulk: BulkClient) -> None:
    info = await bulk.info(await bulk.query("SELECT Id FROM Contact"), "query")
    assert info["state"] == "JobComplete"
    assert info["jobType"] == "V2Query"
    assert info["numberRecordsProcessed"] == 7
    assert info["retries"] == 0
    assert info["isPkChunkingSupported"] is True


async def test_every_value_is_quoted_null_is_empty_and_a_datetime_ends_in_z(
    bulk: BulkClient, org: SalesforceOrg
) -> None:
    account = org.create("Account", {"Name": 'The "A" Team', "NumberOfEmployees": 7})
    values = {"LastName": "Doe", "AccountId": account, "HasOptedOutOfEmail": True, "Birthdate": "1980-02-29"}
    org.create("Contact", values)
    soql = (
        "SELECT lastname, FirstName, HasOptedOutOfEmail, Birthdate, SystemModstamp, account.name,"
        " Account.NumberOfEmployees, Account.Owner.LastName FROM Contact"
    )
    response = await bulk.results(await bulk.query(soql))
    assert response.headers["content-type"].startswith("text/csv")
    assert response.text == (
        '"LastName","FirstName","HasOptedOutOfEmail","Birthdate","SystemModstamp","Account.Name",'
        '"Account.NumberOfEmployees","Account.Owner.LastName"\n'
        '"Doe","","true","1980-02-29","2026-11-24T20:34:26.000Z","The ""A"" Team","7","Person"\n'
    )


async def test_a_record_without_a_parent_has_empty_values_for_it(bulk: BulkClient, org: SalesforceOrg) -> None:
    org.create("Contact", {"LastName": "Alone"})
    response = await bulk.results(await bulk.query("SELECT Account.Name, Account.IsDeleted FROM Contact"))
    assert response.text.splitlines()[1] == '"",""'


@pytest.mark.usefixtures("people")
async def test_max_records_makes_pages_that_a_locator_returns_as_often_as_asked(bulk: BulkClient) -> None:
    job = await bulk.query("SELECT LastName FROM Contact ORDER BY LastName")
    first = await bulk.results(job, maxRecords=3)
    locator = first.headers["sforce-locator"]
    second = await bulk.results(job, maxRecords=3, locator=locator)
    again = await bulk.results(job, maxRecords=3, locator=locator)
    last = await bulk.results(job, maxRecords=3, locator=second.headers["sforce-locator"])
    assert [names(page) for page in (first, second, last)] == [["Ada", "Bob", "Cyd"], ["Dan", "Eve", "Fay"], ["Gus"]]
    assert again.text == second.text
    assert [page.headers["sforce-numberofrecords"] for page in (first, second, last)] == ["3", "3", "1"]
    assert last.headers["sforce-locator"] == "null"
    assert not locator.isdecimal()


@pytest.mark.usefixtures("people")
async def test_before_v49_a_locator_is_a_number_and_before_v50_columns_are_sorted(bulk: BulkClient) -> None:
    job = await bulk.query("SELECT LastName, Id FROM Contact", version="48.0")
    page = await bulk.results(job, version="48.0", maxRecords=4)
    assert page.headers["sforce-locator"] == "4"
    assert page.text.startswith('"Id","LastName"\n')


async def test_a_query_without_records_has_a_header_and_no_locator(bulk: BulkClient) -> None:
    page = await bulk.results(await bulk.query("SELECT Id, LastName FROM Contact"))
    assert page.text == '"Id","LastName"\n'
    assert page.headers["sforce-numberofrecords"] == "0"
    assert page.headers["sforce-locator"] == "null"


async def test_delimiter_and_line_ending_are_the_jobs(bulk: BulkClient, org: SalesforceOrg) -> None:
    org.create("Contact", {"LastName": "Doe"})
    job = await bulk.query("SELECT LastName, Title FROM Contact", columnDelimiter="CARET", lineEnding="CRLF")
    assert (await bulk.results(job)).text == '"LastName"^"Title"\r\n"Doe"^""\r\n'


async def test_queryall_finds_deleted_records_too(bulk: BulkClient, org: SalesforceOrg, people: list[str]) -> None:
    org.delete("Contact", people[0])
    soql = "SELECT LastName FROM Contact ORDER BY LastName"
    assert len(names(await bulk.results(await bulk.query(soql)))) == 6
    assert len(names(await bulk.results(await bulk.query(soql, "queryAll")))) == 7


async def test_the_result_is_that_of_the_jobs_beginning(
    bulk: BulkClient, org: SalesforceOrg, clock: StandingClock, people: list[str]
) -> None:
    org.bulk.set_options(seconds=10)
    job = await bulk.query("SELECT LastName FROM Contact ORDER BY LastName")
    org.update("Contact", people[0], {"LastName": "Later"})
    org.delete("Contact", people[1])
    clock.move(10)
    assert names(await bulk.results(job)) == list(NAMES)


@pytest.mark.usefixtures("people")
async def test_result_pages_give_five_urls_at_a_time_whose_pages_make_the_whole(
    bulk: BulkClient, client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    org.bulk.set_options(page_records=1)
    job = await bulk.query("SELECT LastName FROM Contact ORDER BY LastName")
    await bulk.info(job, "query")
    first = (await client.get(f"{DATA}/jobs/query/{job}/resultPages")).json()
    second = (await client.get(first["nextRecordsUrl"])).json()
    assert (len(first["resultPages"]), first["done"]) == (5, False)
    assert (len(second["resultPages"]), second["done"], second["nextRecordsUrl"]) == (2, True, None)
    urls = [page["resultUrl"] for page in first["resultPages"] + second["resultPages"]]
    assert urls[0].startswith(f"{DATA}/jobs/query/{job}/results?locator=")
    pages = [names(await client.get(url)) for url in reversed(urls)]
    assert [name for page in reversed(pages) for name in page] == list(NAMES)


async def test_result_pages_of_no_records_are_one(bulk: BulkClient, client: httpx2.AsyncClient) -> None:
    job = await bulk.query("SELECT Id FROM Contact")
    await bulk.info(job, "query")
    body = (await client.get(f"{DATA}/jobs/query/{job}/resultPages")).json()
    assert (len(body["resultPages"]), body["done"]) == (1, True)
    assert (await client.get(body["resultPages"][0]["resultUrl"])).text == '"Id"\n'


async def test_results_of_another_version_are_refused(bulk: BulkClient, client: httpx2.AsyncClient) -> None:
    job = await bulk.query("SELECT Id FROM Contact", version="60.0")
    response = await client.get(f"{DATA}/jobs/query/{job}/results")
    assert response.status_code == 409
    assert (await bulk.results(job, version="60.0")).status_code == 200


async def test_results_of_a_job_at_work_are_refused(bulk: BulkClient, org: SalesforceOrg) -> None:
    org.bulk.set_options(seconds=10)
    response = await bulk.results(await bulk.query("SELECT Id FROM Contact"))
    assert response.status_code == 412
    assert response.json()[0]["errorCode"] == "JOB_NOT_COMPLETE"
    assert response.json()[0]["message"].endswith("Current status: UPLOAD_COMPLETE")


@pytest.mark.parametrize("locator", ["null", "x", "OTk5OTk", "-1"])
async def test_an_unknown_locator_is_refused(bulk: BulkClient, locator: str) -> None:
    response = await bulk.results(await bulk.query("SELECT Id FROM Contact"), locator=locator)
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


@pytest.mark.parametrize(
    "soql, message",
    [
        ("SELECT COUNT() FROM Contact", "Aggregate functions not supported in Bulk V2 Query"),
        ("SELECT COUNT(Id) n FROM Contact", "Aggregate functions not supported in Bulk V2 Query"),
        ("SELECT LeadSource FROM Contact GROUP BY LeadSource", "GROUP BY clause not supported in Bulk V2 Query"),
        ("SELECT Id FROM Contact LIMIT 5 OFFSET 5", "OFFSET clause not supported in Bulk V2 Query"),
        (
            "SELECT TYPEOF Who WHEN Lead THEN Company ELSE Name END FROM Task",
            "TYPEOF clause not supported in Bulk V2 Query",
        ),
        (
            "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
            "Aggregate Relationships not supported in Bulk V2 Query with CSV content type",
        ),
        ("SELECT Id, MailingAddress FROM Contact", "Selecting compound data not supported in Bulk Query"),
        ("SELECT FIELDS(ALL) FROM Contact LIMIT 200", "Selecting compound data not supported in Bulk Query"),
    ],
)
async def test_what_only_rest_answers_is_refused(client: httpx2.AsyncClient, soql: str, message: str) -> None:
    response = await client.post(f"{DATA}/jobs/query", json={"operation": "query", "query": soql})
    assert response.status_code == 400
    assert response.json() == [{"errorCode": "API_ERROR", "message": message}]
    assert (await client.get(f"{DATA}/jobs/query")).json()["records"] == []


@pytest.mark.parametrize(
    "soql, code",
    [("SELECT Foo FROM Contact", "INVALID_FIELD"), ("SELECT", "MALFORMED_QUERY"), ("SELECT Id FROM X", "INVALID_TYPE")],
)
async def test_a_wrong_query_is_refused_at_once(client: httpx2.AsyncClient, soql: str, code: str) -> None:
    response = await client.post(f"{DATA}/jobs/query", json={"operation": "query", "query": soql})
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)


@pytest.mark.parametrize(
    "change, name",
    [({"operation": "insert"}, "operation"), ({"query": ""}, "query"), ({"columnDelimiter": ";"}, "columnDelimiter")],
)
async def test_a_wrong_property_is_named(client: httpx2.AsyncClient, change: dict[str, Any], name: str) -> None:
    body = {"operation": "query", "query": "SELECT Id FROM Contact"}
    response = await client.post(f"{DATA}/jobs/query", json=body | change)
    assert response.status_code == 400
    assert response.json()[0]["errorCode"] == "API_ERROR"
    assert response.json()[0]["message"].endswith(f"supplied for property: '{name}'")


async def test_a_semi_join_and_text_that_looks_like_a_clause_are_fine(bulk: BulkClient, org: SalesforceOrg) -> None:
    account = org.create("Account", {"Name": "GROUP BY (SELECT TYPEOF"})
    org.create("Contact", {"LastName": "Doe", "AccountId": account})
    soql = (
        "SELECT LastName FROM Contact WHERE AccountId IN"
        " (SELECT Id FROM Account WHERE Name = 'GROUP BY (SELECT TYPEOF') LIMIT 10"
    )
    assert names(await bulk.results(await bulk.query(soql))) == ["Doe"]


async def test_a_job_is_aborted_while_it_is_at_work_and_deleted_after(
    bulk: BulkClient, client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    org.bulk.set_options(seconds=10)
    job = await bulk.query("SELECT Id FROM Contact")
    url = f"{DATA}/jobs/query/{job}"
    assert (await client.delete(url)).status_code == 400
    aborted = await bulk.patch(job, "Aborted", "query")
    assert (aborted.status_code, aborted.json()["state"]) == (200, "Aborted")
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404


async def test_a_complete_job_cannot_be_aborted(bulk: BulkClient) -> None:
    job = await bulk.query("SELECT Id FROM Contact")
    await bulk.info(job, "query")
    response = await bulk.patch(job, "Aborted", "query")
    assert response.status_code == 400
    expected = {"errorCode": "INVALIDJOBSTATE", "message": "Aborting already Completed Job not allowed"}
    assert response.json() == [expected]


async def test_large_results_are_compressed_for_a_client_that_takes_it(
    bulk: BulkClient, client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    for number in range(200):
        org.create("Contact", {"LastName": f"Doe {number}"})
    job = await bulk.query("SELECT LastName FROM Contact")
    response = await bulk.results(job)
    assert response.headers["content-encoding"] == "gzip"
    assert len(list(csv.reader(io.StringIO(response.text)))) == 201
    plain = await client.get(f"{DATA}/jobs/query/{job}/results", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == response.text
