"""What SOQL queries find, in which order, and how they show it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest

from crmsync.testing.salesforce import PicklistValue, SalesforceOrg, custom_field
from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.soql.evaluation import run

Ask: TypeAlias = Callable[[str], list[dict[str, Any]]]

PEOPLE: list[dict[str, Any]] = [
    {"LastName": "Ångström", "FirstName": "Anders", "Email": "ANDERS@lab.example", "MailingLatitude": 59.9},
    {"LastName": "O'Brien", "FirstName": "Miles", "Email": "miles@ds9.example", "MarkMail_Tags__c": "vip;news"},
    {"LastName": "Ng", "Birthdate": "1990-02-28", "MarkMail_Tags__c": "news", "HasOptedOutOfEmail": True},
    {"LastName": "100%_real\\", "Title": "Line one\nLine two", "MailingLatitude": -5},
]


@pytest.fixture
def org() -> SalesforceOrg:
    org = SalesforceOrg(clock=lambda: datetime(2026, 11, 24, 20, 34, 26, tzinfo=UTC))
    account = org.create("Account", {"Name": "Acme", "Site": "North"})
    for number, person in enumerate(PEOPLE):
        org.create(
            "Contact", {**person, "AccountId": account if number < 2 else None, "MarkMail_Id__c": f"Key{number}"}
        )
    return org


@pytest.fixture
def ask(org: SalesforceOrg) -> Ask:
    def query(text: str) -> list[dict[str, Any]]:
        result = run(text, org.tables, version="68.0", now=org.now(), include_deleted=False)
        return [result.show(row) for row in result.rows]

    return query


def names(records: list[dict[str, Any]]) -> list[str]:
    """Return the last names' first letters, in order."""
    return [record["LastName"][0] for record in records]


@pytest.mark.parametrize(
    "where,found",
    [
        ("LastName = 'ng'", "N"),
        ("LastName = 'ÅNGSTRÖM'", "Å"),
        (r"LastName = 'O\'Brien'", "O"),
        (r"LastName = '100%_real\\'", "1"),
        (r"Title = 'line one\nline two'", "1"),
        ("LastName != 'ng'", "ÅO1"),
        ("LastName <> 'ng'", "ÅO1"),
        ("FirstName = null", "N1"),
        ("FirstName = ''", "N1"),
        ("FirstName != null", "ÅO"),
        ("FirstName != 'miles'", "ÅN1"),
        ("FirstName < 'b'", "Å"),
        ("LastName >= 'o'", "ÅO"),
        ("Email = 'anders@LAB.example'", "Å"),
        ("Email IN ('anders@lab.example', 'MILES@ds9.example', 'none@x.example')", "ÅO"),
        ("Email NOT IN ('anders@lab.example')", "ON1"),
        ("Email IN ('miles@ds9.example', null)", "ON1"),
        ("MarkMail_Id__c = 'Key1'", "O"),
        ("MarkMail_Id__c = 'key1'", ""),
        ("MarkMail_Id__c IN ('Key0', 'Key3')", "Å1"),
        ("LastName LIKE 'o%'", "O"),
        ("LastName LIKE '_g'", "N"),
        (r"LastName LIKE '100\%\_real\\'", "1"),
        (r"LastName LIKE '1%\%%'", "1"),
        ("NOT LastName LIKE 'o%'", "ÅN1"),
        ("Title LIKE 'line%two'", "1"),
        ("MailingLatitude > -5.5 AND MailingLatitude < 1e2", "Å1"),
        ("MailingLatitude = 59.90", "Å"),
        ("MailingLatitude < 0", "1"),
        ("HasOptedOutOfEmail = TRUE", "N"),
        ("HasOptedOutOfEmail != true", "ÅO1"),
        ("Birthdate = 1990-02-28", "N"),
        ("Birthdate > 1990-02-27 AND Birthdate <= 1990-02-28", "N"),
        ("Birthdate < LAST_YEAR", "N"),
        ("CreatedDate = TODAY", "ÅON1"),
        ("CreatedDate = LAST_N_DAYS:7", "ÅON1"),
        ("CreatedDate < TODAY", ""),
        ("CreatedDate > YESTERDAY", "ÅON1"),
        ("CreatedDate >= 2026-11-24T20:34:26Z", "ÅON1"),
        ("CreatedDate > 2026-11-24T20:34:26Z", ""),
        ("CreatedDate = 2026-11-24T21:34:26+01:00", "ÅON1"),
        ("CreatedDate = 2026-11-24T15:04:26.000-0530", "ÅON1"),
        ("MarkMail_Tags__c INCLUDES ('VIP')", "O"),
        ("MarkMail_Tags__c INCLUDES ('news;vip', 'none')", "O"),
        ("MarkMail_Tags__c INCLUDES ('news', 'vip')", "ON"),
        ("MarkMail_Tags__c EXCLUDES ('vip')", "ÅN1"),
        ("MarkMail_Tags__c = 'vip;news'", "O"),
        ("Account.Name = 'ACME'", "ÅO"),
        ("Account.Name = null", "N1"),
        ("Account.Owner.LastName LIKE 'person'", "ÅO"),
        ("Contact.LastName = 'Ng'", "N"),
        ("LastName = 'Ng' OR (LastName LIKE 'o%' AND FirstName = 'miles')", "ON"),
        ("(NOT (LastName = 'Ng')) AND FirstName = null", "1"),
        ("Id = '0035e0000000002'", "O"),
        ("Id IN ('0035e0000000002', '0035e0000000003AAA', '003000000000009')", "ON"),
        ("Id > '0035e0000000002AAA'", "N1"),
        ("AccountId = '0015e0000000001'", "ÅO"),
        ("IsDeleted = false", "ÅON1"),
    ],
)
def test_a_filter_finds_the_records_it_means(ask: Ask, where: str, found: str) -> None:
    assert sorted(names(ask(f"SELECT LastName FROM Contact WHERE {where}"))) == sorted(found)


def test_a_filter_finds_the_same_with_and_without_an_index(ask: Ask) -> None:
    for where in ("Email = 'miles@ds9.example'", "MarkMail_Id__c IN ('Key1')", "Id = '0035e0000000002'"):
        indexed = ask(f"SELECT Id FROM Contact WHERE {where}")
        scanned = ask(f"SELECT Id FROM Contact WHERE {where} OR LastName = 'nobody'")
        assert indexed == scanned
        assert len(indexed) == 1


@pytest.mark.parametrize(
    "order,found",
    [
        ("LastName", "1NOÅ"),
        ("LastName ASC", "1NOÅ"),
        ("LastName DESC", "ÅON1"),
        ("FirstName, LastName", "1NÅO"),
        ("FirstName DESC, LastName", "1NOÅ"),
        ("FirstName DESC NULLS LAST, LastName DESC", "OÅN1"),
        ("MailingLatitude NULLS LAST, LastName", "1ÅNO"),
        ("Account.Name NULLS LAST, LastName", "OÅ1N"),
        ("SystemModstamp, Id", "ÅON1"),
        ("SystemModstamp DESC, Id DESC", "1NOÅ"),
        ("Id", "ÅON1"),
    ],
)
def test_an_order_has_nulls_first_unless_told(ask: Ask, order: str, found: str) -> None:
    assert names(ask(f"SELECT LastName FROM Contact ORDER BY {order}")) == list(found)


def test_limit_and_offset_cut_the_ordered_result(ask: Ask) -> None:
    text = "SELECT LastName FROM Contact ORDER BY LastName LIMIT 2 OFFSET 1"
    assert names(ask(text)) == ["N", "O"]
    assert ask("SELECT LastName FROM Contact LIMIT 0") == []
    assert names(ask("SELECT LastName FROM Contact ORDER BY SystemModstamp, Id LIMIT 1 OFFSET 3")) == ["1"]


def test_fields_are_shown_under_their_own_names_with_parents_nested(ask: Ask) -> None:
    (record,) = ask(
        "select lastname, account.NAME, Account.Owner.Name, Email from Contact c where c.LastName = 'O\\'Brien'"
    )
    account_url = "/services/data/v68.0/sobjects/Account/0015e0000000001AAA"
    owner_url = "/services/data/v68.0/sobjects/User/0055e0000000002AAA"
    assert list(record.items()) == [
        ("attributes", {"type": "Contact", "url": "/services/data/v68.0/sobjects/Contact/0035e0000000002AAA"}),
        ("LastName", "O'Brien"),
        (
            "Account",
            {
                "attributes": {"type": "Account", "url": account_url},
                "Name": "Acme",
                "Owner": {"attributes": {"type": "User", "url": owner_url}, "Name": "Other Person"},
            },
        ),
        ("Email", "miles@ds9.example"),
    ]
    (alone,) = ask("SELECT Account.Name FROM Contact WHERE LastName = 'Ng'")
    assert alone["Account"] is None


def test_counts_come_as_a_total_or_as_an_aggregate(org: SalesforceOrg) -> None:
    def result(text: str) -> tuple[int, list[dict[str, Any]]]:
        found = run(text, org.tables, version="68.0", now=org.now(), include_deleted=False)
        return found.total, [found.show(row) for row in found.rows]

    assert result("select count() from Contact where FirstName = null") == (2, [])
    aggregate = {"attributes": {"type": "AggregateResult"}, "withMail": 2}
    assert result("SELECT COUNT(Email) withMail FROM Contact") == (1, [aggregate])
    assert result("SELECT COUNT(Id) FROM Contact")[1][0]["expr0"] == 4


def test_field_groups_stand_for_their_fields(ask: Ask, org: SalesforceOrg) -> None:
    fields = org.table("Contact").definition.fields
    every = ask("SELECT FIELDS(ALL) FROM Contact LIMIT 200")[0]
    custom = ask("SELECT FIELDS(CUSTOM), Id FROM Contact LIMIT 1")[0]
    standard = ask("SELECT FIELDS(STANDARD) FROM Contact")[0]
    assert list(every) == ["attributes", *fields]
    assert list(custom) == ["attributes", "MarkMail_Id__c", "MarkMail_Tags__c", "MarkMail_Company__c", "Id"]
    assert set(every) - set(standard) == {"MarkMail_Id__c", "MarkMail_Tags__c", "MarkMail_Company__c"}


def test_a_keyset_page_begins_exactly_after_the_last_one_among_ties(org: SalesforceOrg, ask: Ask) -> None:
    for number in range(50):
        org.create("Lead", {"LastName": f"L{number}", "Company": "C"})
    seen: list[str] = []
    last = ("2026-11-24T00:00:00Z", "000000000000000")
    while True:
        page = ask(
            "SELECT Id, SystemModstamp FROM Lead WHERE SystemModstamp >= 2026-11-24T00:00:00Z"
            f" AND SystemModstamp < 2026-11-25T00:00:00Z AND (SystemModstamp > {last[0]}"
            f" OR (SystemModstamp = {last[0]} AND Id > '{last[1]}')) ORDER BY SystemModstamp, Id LIMIT 7"
        )
        if not page:
            break
        seen += [record["Id"] for record in page]
        last = (page[-1]["SystemModstamp"].replace("+0000", "Z"), page[-1]["Id"])
    assert seen == sorted(record["Id"] for record in org.records("Lead"))


def test_the_recycle_bin_is_only_searched_when_asked(org: SalesforceOrg) -> None:
    record_id = org.create("Contact", {"LastName": "Gone", "MarkMail_Id__c": "gone"})
    org.delete("Contact", record_id)
    for where in ("MarkMail_Id__c = 'gone'", "IsDeleted = true", f"Id = '{record_id}'"):
        text = f"SELECT Id, IsDeleted FROM Contact WHERE {where}"
        live = run(text, org.tables, version="68.0", now=org.now(), include_deleted=False)
        everything = run(text, org.tables, version="68.0", now=org.now(), include_deleted=True)
        assert live.total == 0
        assert [row["Id"] for row in everything.rows] == [record_id]


def test_a_custom_picklist_compares_without_case() -> None:
    values = (PicklistValue(value="Gold", label="Gold"),)
    org = SalesforceOrg(custom_fields={"Account": [custom_field("Tier__c", "Tier", "picklist", values=values)]})
    org.create("Account", {"Name": "Acme", "Tier__c": "Gold"})
    text = "SELECT Id FROM Account WHERE Tier__c = 'gold'"
    assert run(text, org.tables, version="68.0", now=org.now(), include_deleted=False).total == 1


def test_for_view_and_for_reference_mark_the_found_records_without_a_save(org: SalesforceOrg, ask: Ask) -> None:
    before = {row["Id"]: row["SystemModstamp"] for row in org.records("Contact")}
    [seen] = ask("SELECT Id, LastViewedDate FROM Contact WHERE LastName = 'Ng' ORDER BY CreatedDate LIMIT 5 FOR VIEW")
    assert seen["LastViewedDate"] is None
    assert len(ask("select Id from Contact for reference for view")) == len(PEOPLE)
    [again] = ask("SELECT LastViewedDate, LastReferencedDate FROM Contact WHERE LastName = 'Ng'")
    assert again["LastViewedDate"] == again["LastReferencedDate"] == "2026-11-24T20:34:26.000+0000"
    assert {row["Id"]: row["SystemModstamp"] for row in org.records("Contact")} == before


def test_for_view_shows_no_row_before_its_time(org: SalesforceOrg, ask: Ask) -> None:
    [ng] = [row["Id"] for row in org.records("Contact") if row["LastName"] == "Ng"]
    org.faults.commit_late(60)
    org.update("Contact", ng, {"Title": "Late"})
    ask("SELECT Id FROM Contact FOR VIEW")
    assert ask("SELECT Title FROM Contact WHERE LastName = 'Ng'")[0]["Title"] is None
    org.advance(60)
    [late] = ask("SELECT Title, LastViewedDate FROM Contact WHERE LastName = 'Ng'")
    assert (late["Title"], late["LastViewedDate"]) == ("Late", "2026-11-24T20:34:26.000+0000")


def test_what_comes_after_for_is_view_or_reference(ask: Ask) -> None:
    with pytest.raises(CallError, match="unexpected token: 'UPDATE'"):
        ask("SELECT Id FROM Contact FOR UPDATE")
