"""The Salesforce CLI."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import attrs
import pytest

from crmsync.testing.salesforce import API_USER_ID, API_USERNAME, RunningEmulator
from tests.integration.peers.coverage import exercises
from tests.integration.peers.sf import Cli, signed_in_by_assertion


@pytest.fixture
def org(emulator: RunningEmulator) -> Any:
    return emulator.org


@pytest.fixture
def sf(emulator: RunningEmulator, tmp_path: Path) -> Cli:
    """Signed in by a token, which is stored nowhere."""
    return Cli(tmp_path, {"SF_ORG_INSTANCE_URL": emulator.url, "SF_TARGET_ORG": emulator.access_token})


@pytest.fixture
def nobody(tmp_path: Path) -> Cli:
    """Not signed in."""
    return Cli(tmp_path)


def names(org: Any) -> list[str]:
    return [contact["LastName"] for contact in org.records("Contact")]


def created_by(org: Any, said: Any) -> Any:
    return org.get("Contact", said.result["id"])["CreatedById"]


@exercises("login")
def test_it_signs_in_by_an_access_token(nobody: Cli, emulator: RunningEmulator) -> None:
    login = ("org", "login", "access-token", "--instance-url", emulator.url, "--no-prompt", "--alias", "acme")
    assert nobody.run(*login, SF_ACCESS_TOKEN=emulator.access_token).result["username"] == API_USERNAME
    # The address is stored with a slash at its end, so paths begin with two.
    made = nobody.run("data", "create", "record", "-s", "Contact", "-v", "LastName=Ng", "-o", "acme")
    assert created_by(emulator.org, made) == API_USER_ID
    shown = nobody.run("org", "display", "-o", "acme").result
    assert (shown["connectedStatus"], shown["username"]) == ("Connected", API_USERNAME)
    token = nobody.run("org", "auth", "show-access-token", "-o", "acme").result["accessToken"]
    assert token == emulator.access_token


@exercises("login")
def test_it_signs_in_by_a_signed_assertion_and_again_when_its_session_ends(
    nobody: Cli, emulator: RunningEmulator
) -> None:
    said = signed_in_by_assertion(nobody, emulator, "--set-default")
    assert said.result["orgId"] == emulator.org.org_id
    emulator.org.expire_sessions()
    made = nobody.run("data", "create", "record", "-s", "Contact", "-v", "LastName=Ng")
    assert created_by(emulator.org, made) == API_USER_ID


@exercises("query", "paging")
def test_a_query_follows_its_pages(sf: Cli, org: Any) -> None:
    made = {org.create("Contact", {"LastName": f"Name {number}"}) for number in range(4_100)}
    found = sf.run("data", "query", "-q", "SELECT Id, Account.Name FROM Contact").result
    assert (found["totalSize"], found["done"]) == (4_100, True)
    assert {row["Id"] for row in found["records"]} == made
    assert sf.run("data", "query", "-q", "SELECT COUNT() FROM Contact").result["totalSize"] == 4_100


@exercises("create", "update", "delete")
def test_it_creates_reads_updates_and_deletes_a_record(sf: Cli, org: Any) -> None:
    values = "LastName=\"O'Brien\" FirstName='Zoë' HasOptedOutOfEmail=true"
    made = sf.run("data", "create", "record", "-s", "Contact", "-v", values).result["id"]
    stored = org.get("Contact", made)
    assert (stored["LastName"], stored["FirstName"], stored["HasOptedOutOfEmail"]) == ("O'Brien", "Zoë", True)
    sf.run("data", "update", "record", "-s", "Contact", "--where", 'LastName="O\'Brien"', "-v", "Title=Dr")
    assert org.get("Contact", made)["Title"] == "Dr"
    read = sf.run("data", "get", "record", "-s", "Contact", "-i", made).result
    assert {name: read[name] for name in stored} == org.get("Contact", made)
    sf.run("data", "delete", "record", "-s", "Contact", "-i", made)
    assert org.get("Contact", made)["IsDeleted"] is True


@exercises("upsert")
def test_a_request_of_ones_own_upserts_by_the_external_id(sf: Cli, org: Any) -> None:
    path = "/services/data/v64.0/sobjects/Contact/MarkMail_Id__c/m-1"
    for name, status in (("First", 201), ("Second", 200)):
        answer = sf.run("api", "request", "rest", path, "-X", "PATCH", "-b", f'{{"LastName": "{name}"}}').result
        assert answer["statusCode"] == status
    assert [(c["MarkMail_Id__c"], c["LastName"]) for c in org.records("Contact")] == [("m-1", "Second")]


@exercises("collections")
def test_a_request_of_ones_own_writes_collections(sf: Cli, org: Any) -> None:
    rows = ",".join(f'{{"attributes": {{"type": "Contact"}}, "LastName": "{name}"}}' for name in ("Ng", "", "Wu"))
    path = "/services/data/v64.0/composite/sobjects"
    answer = sf.run("api", "request", "rest", path, "-X", "POST", "-b", f'{{"records": [{rows}]}}').result
    assert [row["success"] for row in answer["body"]] == [True, False, True]
    assert names(org) == ["Ng", "Wu"]


@exercises("describe", "limits")
def test_it_describes_objects_and_reads_limits(sf: Cli, org: Any) -> None:
    fields = sf.run("sobject", "describe", "-s", "Contact").result["fields"]
    assert {field["name"] for field in fields} == set(org.table("Contact").definition.fields)
    assert set(sf.run("sobject", "list", "--sobject", "all").result) == set(org.tables)
    limits = {limit["name"]: limit for limit in sf.run("org", "list", "limits").result}
    assert limits["DailyApiRequests"]["max"] == org.daily_limit
    assert limits["DailyApiRequests"]["remaining"] == org.daily_limit - org.api_calls


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@exercises("bulk insert", "bulk update", "bulk upsert", "bulk delete")
def test_bulk_jobs_import_update_upsert_and_delete(sf: Cli, org: Any, tmp_path: Path) -> None:
    gone = org.create("Contact", {"LastName": "Gone"})
    file = tmp_path / "rows.csv"
    common = ("-s", "Contact", "--file", str(file), "--wait", "1")

    write(file, "MarkMail_Id__c,LastName,FirstName", 'm-1,"Quoted ""name""",A', 'm-2,Wu,"Zoë, B"')
    said = sf.run("data", "import", "bulk", *common, "--column-delimiter", "COMMA")
    assert (said.result["successfulRecords"], said.result["failedRecords"]) == (2, 0)

    first = next(contact["Id"] for contact in org.records("Contact") if contact["MarkMail_Id__c"] == "m-1")
    write(file, "Id,Title,FirstName", f"{first},Dr,#N/A")
    assert sf.run("data", "update", "bulk", *common, "--column-delimiter", "COMMA").result["successfulRecords"] == 1

    write(file, "MarkMail_Id__c,LastName", "m-2,Changed", "m-3,New")
    records = sf.run("data", "upsert", "bulk", *common, "-i", "MarkMail_Id__c").result["records"]
    created = {row["MarkMail_Id__c"]: row["sf__Created"] for row in records["successfulResults"]}
    assert created == {"m-2": "false", "m-3": "true"}

    write(file, "Id", gone)
    assert len(sf.run("data", "delete", "bulk", *common).result["records"]["successfulResults"]) == 1

    assert [(c["LastName"], c["FirstName"], c["Title"]) for c in org.records("Contact")] == [
        ('Quoted "name"', None, "Dr"),
        ("Changed", "Zoë, B", None),
        ("New", None, None),
    ]


def test_failed_rows_of_a_bulk_job_are_found_in_its_results(sf: Cli, org: Any, tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.csv", "MarkMail_Id__c,LastName,Email", "m-1,Ng,ng@example.org", "m-2,Wu,no address")
    upsert = ("data", "upsert", "bulk", "-s", "Contact", "-i", "MarkMail_Id__c", "--file", rows, "--wait", "1")
    said = sf.run(*upsert)
    assert (said.code, said.name) == (1, "FailedRecordDetailsError")
    results = sf.run("data", "bulk", "results", "--job-id", said.body["data"]["jobId"]).result
    assert (results["successfulRecords"], results["failedRecords"]) == (1, 1)
    with (tmp_path / results["failedFilePath"]).open(encoding="utf-8") as file:
        [failed] = csv.DictReader(file)
    assert failed["MarkMail_Id__c"] == "m-2"
    assert failed["sf__Error"].startswith("INVALID_EMAIL_ADDRESS")
    assert names(org) == ["Ng"]


def test_a_job_goes_on_without_the_command_that_began_it(sf: Cli, org: Any, tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.csv", "LastName", "Ng")
    begun = sf.run("data", "import", "bulk", "-s", "Contact", "--file", rows, "--column-delimiter", "COMMA").result
    resumed = sf.run("data", "import", "resume", "--job-id", begun["jobId"], "--wait", "1").result
    assert resumed["successfulRecords"] == 1
    assert names(org) == ["Ng"]


@exercises("bulk query")
def test_a_bulk_export_follows_its_pages(sf: Cli, org: Any, tmp_path: Path) -> None:
    org.bulk.options = attrs.evolve(org.bulk.options, page_records=700)
    for number in range(1_500):
        org.create("Contact", {"LastName": f"Näme, {number}"})
    file = tmp_path / "contacts.csv"
    query = ("--query", "SELECT LastName FROM Contact", "--output-file", str(file), "--wait", "1")
    assert sf.run("data", "export", "bulk", *query).result["totalSize"] == 1_500
    with file.open(encoding="utf-8") as lines:
        assert sorted(row["LastName"] for row in csv.DictReader(lines)) == sorted(names(org))


@pytest.mark.parametrize(
    "arguments,name",
    [
        (("data", "query", "-q", "SELECT Nope__c FROM Contact"), "INVALID_FIELD"),
        (("data", "query", "-q", "SELECT FROM"), "MALFORMED_QUERY"),
        (("data", "create", "record", "-s", "Contact", "-v", "FirstName=A"), "REQUIRED_FIELD_MISSING"),
        (("sobject", "describe", "-s", "Nope__c"), "NOT_FOUND"),
    ],
)
def test_a_faulty_request_is_named_by_its_code(sf: Cli, arguments: tuple[str, ...], name: str) -> None:
    assert sf.run(*arguments).name == name


def test_a_dead_token_is_an_invalid_session_to_it(sf: Cli, org: Any) -> None:
    org.expire_sessions()
    assert sf.run("data", "query", "-q", "SELECT Id FROM Contact").name == "INVALID_SESSION_ID"


def test_the_daily_limit_refuses_it(sf: Cli, org: Any) -> None:
    org.daily_limit = 0
    assert sf.run("data", "query", "-q", "SELECT Id FROM Contact").name == "REQUEST_LIMIT_EXCEEDED"


def test_a_dropped_connection_does_not_make_it_create_twice(sf: Cli, org: Any) -> None:
    org.faults.drop_next(after_commit=True, method="POST")
    said = sf.run("data", "create", "record", "-s", "Contact", "-v", "LastName=Ng")
    assert said.code != 0
    assert names(org) == ["Ng"]
