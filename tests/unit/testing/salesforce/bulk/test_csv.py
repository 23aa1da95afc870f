"""The form of a job's data: headers, delimiters, line endings, quotes, encoding."""

from __future__ import annotations

import pytest

from crmsync.testing.salesforce import SalesforceOrg
from tests.unit.testing.salesforce.bulk.conftest import BulkClient

pytestmark = pytest.mark.anyio

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}


@pytest.mark.parametrize("line_ending, end", [("LF", "\n"), ("CRLF", "\r\n")])
@pytest.mark.parametrize("name, delimiter", DELIMITERS.items())
async def test_every_delimiter_and_line_ending_is_taken_and_given_back(
    bulk: BulkClient, org: SalesforceOrg, name: str, delimiter: str, line_ending: str, end: str
) -> None:
    value = f'a{delimiter}b ""c"" \n d'
    data = end.join([f"LastName{delimiter}Description", f'Doe{delimiter}"{value}"', f"{delimiter}x", ""])
    job = await bulk.start("insert", data, columnDelimiter=name, lineEnding=line_ending)
    assert (await bulk.info(job))["numberRecordsFailed"] == 1
    [row] = org.records("Contact")
    assert row["Description"] == value.replace('""', '"')
    head, body = f'"sf__Id"{delimiter}"sf__Created"{delimiter}', f'"{row["Id"]}"{delimiter}"true"{delimiter}'
    expected = f'{head}LastName{delimiter}Description{end}{body}"Doe"{delimiter}"{value}"{end}'
    assert await bulk.text(job, "successfulResults") == expected
    assert (await bulk.text(job, "failedResults")).endswith(f'{delimiter}""{delimiter}"x"{end}')


@pytest.mark.parametrize("line_ending, data", [("LF", "LastName\r\nDoe\r\n"), ("CRLF", "LastName\nDoe\n")])
async def test_another_line_ending_than_announced_fails_the_job(
    bulk: BulkClient, org: SalesforceOrg, line_ending: str, data: str
) -> None:
    job = await bulk.start("insert", data, lineEnding=line_ending)
    info = await bulk.info(job)
    message = f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {line_ending}"
    assert (info["state"], info["errorMessage"]) == ("Failed", message)
    assert info["numberRecordsProcessed"] == 0
    assert org.records("Contact") == []
    assert "Doe" in await bulk.text(job, "unprocessedrecords")


@pytest.mark.parametrize("cell", ["Foo__c", "Last Name", "MailingAddress", "Account.Name", "Owner.Foo", "Foo.Id", ""])
async def test_a_header_cell_that_names_no_field_fails_the_job(bulk: BulkClient, cell: str) -> None:
    job = await bulk.start("insert", f"LastName,{cell}\nDoe,x\n")
    info = await bulk.info(job)
    message = f"InvalidBatch : Field name not found : {cell}"
    assert (info["state"], info["errorMessage"]) == ("Failed", message)
    assert await bulk.text(job, "unprocessedrecords") == f"LastName,{cell}\nDoe,x\n"
    assert await bulk.text(job, "failedResults") == '"sf__Id","sf__Error"\n'


async def test_the_wrong_delimiter_makes_one_unknown_column(bulk: BulkClient) -> None:
    info = await bulk.info(await bulk.start("insert", "LastName;Title\nDoe;Boss\n"))
    assert info["errorMessage"] == "InvalidBatch : Field name not found : LastName;Title"


async def test_a_column_in_another_letter_case_saves_but_is_missing_from_results(
    bulk: BulkClient, org: SalesforceOrg
) -> None:
    job = await bulk.start("insert", "LastName,TITLE,markmail_id__c\nDoe,Boss,m1\n,Boss,m2\n")
    await bulk.info(job)
    [row] = org.records("Contact")
    assert (row["Title"], row["MarkMail_Id__c"]) == ("Boss", "m1")
    assert await bulk.successes(job) == [{"sf__Id": row["Id"], "sf__Created": "true", "LastName": "Doe"}]
    assert [set(failure) for failure in await bulk.failures(job)] == [{"sf__Id", "sf__Error", "LastName"}]


@pytest.mark.parametrize("operation", ["delete", "hardDelete"])
async def test_a_delete_takes_only_ids(bulk: BulkClient, org: SalesforceOrg, operation: str) -> None:
    org.bulk.set_options(hard_delete=True)
    info = await bulk.info(await bulk.start(operation, "Id,LastName\n0035e0000000001AAA,Doe\n"))
    message = f"InvalidBatch : The '{operation}' batch must contain only ids"
    assert (info["state"], info["errorMessage"]) == ("Failed", message)


@pytest.mark.parametrize("data", ["", "\n\n"])
async def test_a_job_without_data_fails(bulk: BulkClient, data: str) -> None:
    info = await bulk.info(await bulk.start("insert", data))
    assert (info["state"], info["errorMessage"]) == (
        "Failed",
        "ClientInputError : Unable to find any data to create batch",
    )


async def test_a_job_that_was_never_given_data_fails(bulk: BulkClient) -> None:
    job = await bulk.create("insert")
    await bulk.patch(job, "UploadComplete")
    assert (await bulk.info(job))["state"] == "Failed"
    assert await bulk.text(job, "unprocessedrecords") == ""


async def test_a_header_alone_is_a_complete_job_of_no_records(bulk: BulkClient) -> None:
    job = await bulk.start("insert", "LastName\n")
    info = await bulk.info(job)
    assert (info["state"], info["numberRecordsProcessed"]) == ("JobComplete", 0)
    assert await bulk.text(job, "successfulResults") == '"sf__Id","sf__Created",LastName\n'


async def test_data_that_is_not_utf_8_fails_the_job(bulk: BulkClient, org: SalesforceOrg) -> None:
    job = await bulk.start("insert", "LastName\nDoe\nMüller\n".encode("latin-1"))
    info = await bulk.info(job)
    assert (info["state"], info["errorMessage"]) == ("Failed", "ClientInputError : Failed to parse CSV data: not UTF-8")
    assert org.records("Contact") == []
    assert await bulk.text(job, "unprocessedrecords") == ""


async def test_a_row_that_is_too_short_leaves_the_last_values_empty(bulk: BulkClient, org: SalesforceOrg) -> None:
    job = await bulk.start("insert", "LastName,Title,Department\nDoe,Boss\n")
    await bulk.info(job)
    assert [(row["Title"], row["Department"]) for row in org.records("Contact")] == [("Boss", None)]
    assert (await bulk.successes(job))[0]["Department"] == ""


async def test_a_last_line_without_its_ending_is_a_row(bulk: BulkClient) -> None:
    assert (await bulk.info(await bulk.start("insert", "LastName\nDoe\nRoe")))["numberRecordsProcessed"] == 2


async def test_text_beyond_ascii_comes_back_as_it_was_sent(bulk: BulkClient, org: SalesforceOrg) -> None:
    job = await bulk.start("insert", "LastName\nŽižek 😀 שלום\n")
    await bulk.info(job)
    assert (await bulk.successes(job))[0]["LastName"] == org.records("Contact")[0]["LastName"] == "Žižek 😀 שלום"
