"""What a row of an ingest job does, and what is said of it."""

from __future__ import annotations

import pytest

from crmsync.testing.salesforce import (
    API_USER_ID,
    OTHER_USER_ID,
    SalesforceOrg,
    custom_field,
    make_id,
    row_fault,
    row_lock,
    validation_rule,
)
from tests.unit.testing.salesforce.bulk.conftest import BulkClient, bulk_client
from tests.unit.testing.salesforce.conftest import StandingClock

pytestmark = pytest.mark.anyio

WRONG_TYPE = "INVALID_TYPE_ON_FIELD_IN_RECORD"
NO_WRITE = "INVALID_FIELD_FOR_INSERT_UPDATE"
READ_ONLY = (
    "Unable to create/update fields: CreatedById. Please check the security settings of this field and verify that it"
    " is read/write for your profile or permission set."
)


async def test_an_upsert_creates_and_updates_and_reports_rows_with_their_data(
    bulk: BulkClient, org: SalesforceOrg
) -> None:
    known = org.create("Contact", {"LastName": "Old", "MarkMail_Id__c": "m2"})
    job = await bulk.upsert("MarkMail_Id__c,LastName,Title\nm1,New,\nm2,Changed,Boss\nm3,,Boss\n")
    info = await bulk.info(job)
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 3, 1)
    new = next(row for row in org.records("Contact") if row["MarkMail_Id__c"] == "m1")
    assert await bulk.successes(job) == [
        {"sf__Id": known, "sf__Created": "false", "MarkMail_Id__c": "m2", "LastName": "Changed", "Title": "Boss"},
        {"sf__Id": new["Id"], "sf__Created": "true", "MarkMail_Id__c": "m1", "LastName": "New", "Title": ""},
    ]
    assert await bulk.failures(job) == [
        {
            "sf__Id": "",
            "sf__Error": "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",
            "MarkMail_Id__c": "m3",
            "LastName": "",
            "Title": "Boss",
        }
    ]
    assert await bulk.text(job, "unprocessedrecords") == "MarkMail_Id__c,LastName,Title\n"


async def test_records_are_saved_as_the_jobs_creator(bulk: BulkClient, org: SalesforceOrg) -> None:
    known = org.create("Contact", {"LastName": "Old", "MarkMail_Id__c": "m1"})
    await bulk.info(await bulk.upsert("MarkMail_Id__c,LastName\nm1,New\n"))
    row = org.get("Contact", known)
    assert row is not None
    assert (row["CreatedById"], row["LastModifiedById"]) == (OTHER_USER_ID, API_USER_ID)


async def test_results_are_not_in_the_order_of_the_data(bulk: BulkClient) -> None:
    job = await bulk.start("insert", "LastName\nA\nB\nC\n")
    await bulk.info(job)
    shown = [row["LastName"] for row in await bulk.successes(job)]
    assert sorted(shown) == ["A", "B", "C"]
    assert shown != ["A", "B", "C"]


async def test_result_headers_are_quoted_for_the_jobs_own_columns_only(bulk: BulkClient) -> None:
    job = await bulk.start("insert", '"LastName",Title\nDoe,x\n,y\n')
    await bulk.info(job)
    assert (await bulk.text(job, "successfulResults")).startswith('"sf__Id","sf__Created",LastName,Title\n"003')
    assert (await bulk.text(job, "failedResults")).startswith('"sf__Id","sf__Error",LastName,Title\n"",')


async def test_an_empty_value_is_ignored_and_hash_na_is_null(bulk: BulkClient, org: SalesforceOrg) -> None:
    values = {"LastName": "Doe", "Title": "Boss", "Department": "Sales", "HasOptedOutOfEmail": True}
    known = org.create("Contact", values)
    job = await bulk.start("update", f"Id,Title,Department,HasOptedOutOfEmail\n{known},,#N/A,#N/A\n")
    await bulk.info(job)
    row = org.get("Contact", known)
    assert row is not None
    assert (row["Title"], row["Department"], row["HasOptedOutOfEmail"]) == ("Boss", None, False)


async def test_texts_become_the_fields_types(bulk: BulkClient, org: SalesforceOrg) -> None:
    contact = (
        "LastName,HasOptedOutOfEmail,Birthdate,EmailBouncedDate,MailingLatitude,MarkMail_Tags__c,Description\n"
        'Doe,TRUE,1980-02-29Z,2026-01-02T03:04:05.000+0200,48.25,b;a,"He said ""hi"",\nand left"\n'
    )
    await bulk.info(await bulk.start("insert", contact))
    await bulk.info(await bulk.start("insert", "Name,NumberOfEmployees,AnnualRevenue\nAcme,12,1.5E6\n", "Account"))
    row, account = org.records("Contact")[0], org.records("Account")[0]
    assert row["HasOptedOutOfEmail"] is True
    assert row["Birthdate"] == "1980-02-29"
    assert row["EmailBouncedDate"] == "2026-01-02T01:04:05.000+0000"
    assert row["MailingLatitude"] == 48.25
    assert row["MarkMail_Tags__c"] == "b;a"
    assert row["Description"] == 'He said "hi",\nand left'
    assert (account["NumberOfEmployees"], account["AnnualRevenue"]) == (12, 1_500_000.0)


@pytest.mark.parametrize(
    "field, text, error",
    [
        ("HasOptedOutOfEmail", "yes", f"{WRONG_TYPE}:Email Opt Out: value not of required type: yes"),
        ("Birthdate", "1980-02-30", f"{WRONG_TYPE}:Birthdate: value not of required type: 1980-02-30"),
        ("MailingLatitude", "nan", f"{WRONG_TYPE}:Mailing Latitude: value not of required type: nan"),
        ("EmailBouncedDate", "soon", f"{WRONG_TYPE}:Email Bounced Date: value not of required type: soon"),
        ("AccountId", "x", "MALFORMED_ID:Account ID: id value of incorrect type: x"),
        ("Email", "x@", "INVALID_EMAIL_ADDRESS:Email: invalid email address: x@"),
        ("LastName", "x" * 81, f"STRING_TOO_LONG:Last Name: data value too large: {'x' * 81} (max length=80)"),
    ],
)
async def test_a_wrong_value_refuses_the_row_and_names_the_field(
    bulk: BulkClient, field: str, text: str, error: str
) -> None:
    other = "Title" if field == "LastName" else "LastName"
    job = await bulk.start("insert", f"{other},{field}\nDoe,{text}\nRoe,\n")
    await bulk.info(job)
    errors = await bulk.errors(job)
    assert f"{error}:{field} --" in errors


async def test_an_error_without_fields_ends_in_two_hyphens(bulk: BulkClient) -> None:
    job = await bulk.start("update", f"Id,LastName\n{make_id('003', 999)},Doe\n")
    await bulk.info(job)
    assert await bulk.errors(job) == ["INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"]


async def test_a_wrong_whole_number_is_refused(bulk: BulkClient) -> None:
    job = await bulk.start("insert", "Name,NumberOfEmployees\nAcme,1.5\n", "Account")
    await bulk.info(job)
    assert (await bulk.errors(job))[0].startswith("INVALID_TYPE_ON_FIELD_IN_RECORD:")


@pytest.mark.parametrize(
    "operation, data, error",
    [
        ("insert", "Id,LastName\n{known},Doe\n", f"{NO_WRITE}:cannot specify Id in an insert call:Id --"),
        ("update", "Id,LastName\n,Doe\n", "MISSING_ARGUMENT:Id not specified in an update call:Id --"),
        ("delete", "Id\n001xx\n", "MALFORMED_ID:Contact ID: id value of incorrect type: 001xx:Id --"),
        ("update", "Id,CreatedById\n{known},{known}\n", f"{NO_WRITE}:{READ_ONLY}:CreatedById --"),
    ],
)
async def test_a_row_that_its_operation_cannot_take_is_refused(
    bulk: BulkClient, org: SalesforceOrg, operation: str, data: str, error: str
) -> None:
    known = org.create("Contact", {"LastName": "Doe"})
    job = await bulk.start(operation, data.format(known=known))
    await bulk.info(job)
    assert await bulk.errors(job) == [error]


async def test_an_upsert_needs_its_external_id(bulk: BulkClient) -> None:
    job = await bulk.upsert("MarkMail_Id__c,LastName\n,Doe\n#N/A,Roe\n")
    await bulk.info(job)
    assert await bulk.errors(job) == ["MISSING_ARGUMENT:MarkMail_Id__c not specified:--"] * 2


async def test_an_external_id_may_come_once_in_a_chunk(bulk: BulkClient, org: SalesforceOrg) -> None:
    lines = [f"m{number},Doe" for number in range(200)]
    job = await bulk.upsert("\n".join(["MarkMail_Id__c,LastName", *lines[:199], "m0,Second", "m0,Third", ""]))
    info = await bulk.info(job)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (201, 1)
    [failure] = await bulk.failures(job)
    assert failure["sf__Error"] == "DUPLICATE_VALUE:Duplicate external id specified: m0:MarkMail_Id__c --"
    assert failure["LastName"] == "Second"
    assert [row["LastName"] for row in org.records("Contact") if row["MarkMail_Id__c"] == "m0"] == ["Third"]


async def test_an_upsert_by_id_creates_where_there_is_none(bulk: BulkClient, org: SalesforceOrg) -> None:
    known = org.create("Contact", {"LastName": "Old"})
    job = await bulk.start("upsert", f"Id,LastName\n{known},Changed\n,New\n", externalIdFieldName="Id")
    await bulk.info(job)
    assert sorted(row["sf__Created"] for row in await bulk.successes(job)) == ["false", "true"]
    assert sorted(row["LastName"] for row in org.records("Contact")) == ["Changed", "New"]


async def test_an_upsert_that_fits_several_records_is_refused(clock: StandingClock) -> None:
    loose = custom_field("Loose__c", "Loose", external_id=True)
    org = SalesforceOrg(clock=clock, custom_fields={"Contact": [loose]})
    for _ in range(2):
        org.create("Contact", {"LastName": "Doe", "Loose__c": "x"})
    async with bulk_client(org) as bulk:
        job = await bulk.start("upsert", "Loose__c,LastName\nx,New\n", externalIdFieldName="Loose__c")
        await bulk.info(job)
        assert (await bulk.errors(job))[0].startswith("DUPLICATE_EXTERNAL_ID:Loose__c: more than one record found")


async def test_deleted_records_are_in_the_recycle_bin_and_hard_deleted_ones_nowhere(
    bulk: BulkClient, org: SalesforceOrg
) -> None:
    org.bulk.set_options(hard_delete=True)
    soft, hard = org.create("Contact", {"LastName": "Soft"}), org.create("Contact", {"LastName": "Hard"})
    first = await bulk.start("delete", f"Id\n{soft}\n")
    await bulk.info(first)
    await bulk.info(await bulk.start("hardDelete", f"Id\n{hard}\n"))
    assert await bulk.successes(first) == [{"sf__Id": soft, "sf__Created": "false", "Id": soft}]
    assert [row["Id"] for row in org.records("Contact", deleted=True)] == [soft]


async def test_a_second_delete_is_refused_with_the_records_id(bulk: BulkClient, org: SalesforceOrg) -> None:
    known = org.create("Contact", {"LastName": "Doe"})
    org.delete("Contact", known)
    job = await bulk.start("delete", f"Id\n{known}\n")
    await bulk.info(job)
    assert await bulk.failures(job) == [
        {"sf__Id": known, "sf__Error": "ENTITY_IS_DELETED:entity is deleted:--", "Id": known}
    ]


async def test_a_refused_upsert_tells_the_id_of_the_record_it_found(bulk: BulkClient, org: SalesforceOrg) -> None:
    known = org.create("Contact", {"LastName": "Doe", "MarkMail_Id__c": "m1"})
    job = await bulk.upsert("MarkMail_Id__c,LastName\nm1,#N/A\n")
    await bulk.info(job)
    assert [row["sf__Id"] for row in await bulk.failures(job)] == [known]


async def test_parents_are_found_by_their_external_id(clock: StandingClock) -> None:
    key = custom_field("ExtKey__c", "Key", external_id=True, unique=True)
    org = SalesforceOrg(clock=clock, custom_fields={"Account": [key]})
    acme = org.create("Account", {"Name": "Acme", "ExtKey__c": "a1"})
    async with bulk_client(org) as bulk:
        job = await bulk.start("insert", "LastName,Account.ExtKey__c\nDoe,a1\nRoe,a2\nPoe,\nMoe,#N/A\n")
        await bulk.info(job)
        assert {row["LastName"]: row["AccountId"] for row in org.records("Contact")} == {
            "Doe": acme,
            "Poe": None,
            "Moe": None,
        }
        assert await bulk.failures(job) == [
            {
                "sf__Id": "",
                "sf__Error": "INVALID_FIELD:Foreign key external ID: a2 not found for field ExtKey__c in entity"
                " Account:--",
                "LastName": "Roe",
                "Account.ExtKey__c": "a2",
            }
        ]


async def test_rules_and_locks_refuse_single_rows(bulk: BulkClient, org: SalesforceOrg) -> None:
    org.faults.reject(validation_rule("Contact", lambda row: row["LastName"] == "Bad", "Not this one", "LastName"))
    org.faults.reject(row_lock("Contact", lambda row: row["LastName"] == "Busy", times=1))
    org.faults.reject(row_fault("Contact", lambda row: row["LastName"] == "Odd", "UNKNOWN_EXCEPTION", "oops"))
    job = await bulk.start("insert", "LastName\nBad\nBusy\nOdd\nBusy\n")
    info = await bulk.info(job)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (4, 3)
    assert sorted(await bulk.errors(job)) == [
        "FIELD_CUSTOM_VALIDATION_EXCEPTION:Not this one:LastName --",
        "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--",
        "UNKNOWN_EXCEPTION:oops:--",
    ]


async def test_a_parent_of_several_kinds_is_told_by_its_object(clock: StandingClock) -> None:
    org = SalesforceOrg(clock=clock)
    lead = org.create("Lead", {"LastName": "Lee", "Company": "Leeds", "MarkMail_Id__c": "m1"})
    async with bulk_client(org) as bulk:
        job = await bulk.start("insert", "Subject,Lead:Who.MarkMail_Id__c\nCall,m1\n", "Task")
        await bulk.info(job)
        assert [(row["Subject"], row["WhoId"]) for row in org.records("Task")] == [("Call", lead)]
        assert (await bulk.successes(job))[0]["Lead:Who.MarkMail_Id__c"] == "m1"
        unclear = await bulk.info(await bulk.start("insert", "Subject,Who.MarkMail_Id__c\nCall,m1\n", "Task"))
        assert unclear["errorMessage"] == "InvalidBatch : Field name not found : Who.MarkMail_Id__c"


async def test_an_owner_is_found_by_e_mail_as_in_the_documentations_sample(
    bulk: BulkClient, org: SalesforceOrg
) -> None:
    owner = org.get("User", OTHER_USER_ID)
    assert owner is not None
    await bulk.info(await bulk.start("insert", f"LastName,Owner.Email\nJones,{owner['Email']}\n"))
    assert [row["OwnerId"] for row in org.records("Contact")] == [OTHER_USER_ID]


async def test_before_v53_a_refused_row_has_no_id(bulk: BulkClient, org: SalesforceOrg) -> None:
    known = org.create("Contact", {"LastName": "Doe"})
    base = "/services/data/v52.0/jobs/ingest"
    job = (await bulk.http.post(base, json={"object": "Contact", "operation": "update"})).json()["id"]
    await bulk.put(job, f"Id,LastName\n{known},#N/A\n")
    await bulk.patch(job, "UploadComplete")
    await bulk.info(job)
    assert [(row["sf__Id"], row["Id"]) for row in await bulk.failures(job)] == [("", known)]
