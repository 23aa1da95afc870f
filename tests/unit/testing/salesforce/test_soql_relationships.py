"""Queries across records: parents of several kinds, children, semi-joins, groups."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest

from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.soql.evaluation import Result, run

Query: TypeAlias = Callable[[str], Result]
Ask: TypeAlias = Callable[[str], list[dict[str, Any]]]

PEOPLE: tuple[dict[str, Any], ...] = (
    {"LastName": "Ada", "Email": "ada@example.com", "LeadSource": "Web", "MailingLatitude": 1.5},
    {"LastName": "Bo", "Email": "ADA@example.com", "LeadSource": "web", "MailingLatitude": 2.5},
    {"LastName": "Cy", "LeadSource": "Other", "MailingLatitude": -5},
    {"LastName": "Di"},
)


@pytest.fixture
def org() -> SalesforceOrg:
    org = SalesforceOrg(clock=lambda: datetime(2026, 11, 24, 20, 34, 26, tzinfo=UTC))
    acme, apex = (org.create("Account", {"Name": name}) for name in ("Acme", "Apex"))
    people = [
        org.create("Contact", {**person, "AccountId": acme if number < 2 else None})
        for number, person in enumerate(PEOPLE)
    ]
    lead = org.create("Lead", {"LastName": "Eve", "Company": "Evil", "Email": "eve@example.com"})
    spring = org.create("Campaign", {"Name": "Spring"})
    org.create("CampaignMember", {"CampaignId": spring, "ContactId": people[0], "Status": "Responded"})
    org.create("CampaignMember", {"CampaignId": spring, "ContactId": people[2]})
    org.create("CampaignMember", {"CampaignId": spring, "LeadId": lead})
    org.create("Task", {"Subject": "one", "WhoId": people[0], "WhatId": apex})
    org.create("Task", {"Subject": "two", "WhoId": lead, "WhatId": spring})
    org.create("Task", {"Subject": "three"})
    return org


@pytest.fixture
def query(org: SalesforceOrg) -> Query:
    def ask(text: str) -> Result:
        return run(text, org.tables, version="68.0", now=org.now(), include_deleted=False)

    return ask


@pytest.fixture
def ask(query: Query) -> Ask:
    def rows(text: str) -> list[dict[str, Any]]:
        result = query(text)
        return [result.show(row) for row in result.rows]

    return rows


def names(records: list[dict[str, Any]]) -> str:
    """The first letters of the last names, in order."""
    return "".join(record["LastName"][0] for record in records)


def test_a_parent_of_several_kinds_is_shown_as_a_name(ask: Ask) -> None:
    rows = ask("SELECT Subject, Who.Type, Who.Name, Who.Email, What.Type, What.Name FROM Task ORDER BY Subject")
    shown = {row["Subject"]: (row["Who"], row["What"]) for row in rows}
    who, what = shown["one"]
    assert who["attributes"]["type"] == "Name"
    assert who["attributes"]["url"].startswith("/services/data/v68.0/sobjects/Contact/003")
    assert (who["Type"], who["Name"], who["Email"]) == ("Contact", "Ada", "ada@example.com")
    assert (what["Type"], what["Name"]) == ("Account", "Apex")
    who, what = shown["two"]
    assert (who["Type"], who["Name"], what["Type"]) == ("Lead", "Eve", "Campaign")
    assert shown["three"] == (None, None)


@pytest.mark.parametrize(
    "where,subjects",
    [
        ("Who.Type = 'Lead'", ["two"]),
        ("Who.Name LIKE 'a%'", ["one"]),
        ("What.Type IN ('Campaign', 'Account')", ["one", "two"]),
        ("Who.Type = null", ["three"]),
    ],
)
def test_tasks_are_found_by_whom_they_are_about(ask: Ask, where: str, subjects: list[str]) -> None:
    assert [row["Subject"] for row in ask(f"SELECT Subject FROM Task WHERE {where} ORDER BY Subject")] == subjects


def test_parents_sort_and_show_two_levels_up(ask: Ask) -> None:
    rows = ask(
        "SELECT Contact.Account.Name, Campaign.Name, Lead.Company FROM CampaignMember"
        " ORDER BY Contact.LastName DESC NULLS LAST"
    )
    assert [row["Contact"] and row["Contact"]["Account"] and row["Contact"]["Account"]["Name"] for row in rows] == [
        None,
        "Acme",
        None,
    ]
    assert [row["Lead"] and row["Lead"]["Company"] for row in rows] == [None, None, "Evil"]
    assert {row["Campaign"]["Name"] for row in rows} == {"Spring"}


@pytest.mark.parametrize(
    "where,found",
    [
        ("Id IN (SELECT ContactId FROM CampaignMember)", "AC"),
        ("Id IN (SELECT ContactId FROM CampaignMember WHERE HasResponded = true)", "A"),
        ("Id NOT IN (SELECT ContactId FROM CampaignMember)", "BD"),
        ("AccountId IN (SELECT Id FROM Account WHERE Name = 'Acme') AND LastName != 'Ada'", "B"),
        ("Id IN (SELECT WhoId FROM Task WHERE What.Name = 'Apex')", "A"),
        ("Id IN (SELECT ContactId FROM CampaignMember WHERE Status = 'nobody')", ""),
        ("Id IN (SELECT ContactId FROM CampaignMember ORDER BY Contact.LastName LIMIT 1)", ""),
    ],
)
def test_semi_joins_find_what_other_records_refer_to(ask: Ask, where: str, found: str) -> None:
    assert names(ask(f"SELECT LastName FROM Contact WHERE {where} ORDER BY LastName")) == found


def test_children_are_nested_and_null_where_there_are_none(ask: Ask, org: SalesforceOrg) -> None:
    rows = ask(
        "SELECT Name, (SELECT LastName, Account.Name FROM Contacts WHERE Email != null ORDER BY LastName DESC LIMIT 1)"
        " FROM Account ORDER BY Name"
    )
    assert rows[0]["Contacts"]["totalSize"] == 1
    assert rows[0]["Contacts"]["done"] is True
    (child,) = rows[0]["Contacts"]["records"]
    assert child["attributes"]["type"] == "Contact"
    assert (child["LastName"], child["Account"]["Name"]) == ("Bo", "Acme")
    assert rows[1]["Contacts"] is None
    org.delete("Contact", org.records("Contact")[0]["Id"])
    assert ask("SELECT (SELECT Id FROM Contacts) FROM Account WHERE Name = 'Acme'")[0]["Contacts"]["totalSize"] == 1


def test_groups_are_counted_without_regard_to_case(query: Query) -> None:
    result = query("SELECT LeadSource, COUNT(Id) FROM Contact GROUP BY LeadSource ORDER BY COUNT(Id) DESC, LeadSource")
    shown = [result.show(row) for row in result.rows]
    aggregate = {"type": "AggregateResult"}
    assert shown == [
        {"attributes": aggregate, "LeadSource": "Web", "expr0": 2},
        {"attributes": aggregate, "LeadSource": None, "expr0": 1},
        {"attributes": aggregate, "LeadSource": "Other", "expr0": 1},
    ]
    assert (result.total, result.columns, result.is_grouped) == (3, ("LeadSource", "expr0"), True)
    assert result.aggregates == {"expr0"}


def test_aggregates_have_aliases_or_numbers(ask: Ask) -> None:
    (row,) = ask(
        "SELECT COUNT(Email), COUNT_DISTINCT(Email) distinctMails, SUM(MailingLatitude), AVG(MailingLatitude),"
        " MIN(LastName) first, MAX(MailingLatitude) FROM Contact"
    )
    assert {name: value for name, value in row.items() if name != "attributes"} == {
        "expr0": 2,
        "distinctMails": 1,
        "expr1": -1.0,
        "expr2": pytest.approx(-1 / 3),
        "first": "Ada",
        "expr3": 2.5,
    }


def test_nothing_is_one_result_without_groups_and_none_with(ask: Ask) -> None:
    (row,) = ask("SELECT COUNT(Id), SUM(MailingLatitude) total FROM Contact WHERE LastName = 'nobody'")
    assert (row["expr0"], row["total"]) == (0, None)
    assert ask("SELECT Email, COUNT(Id) FROM Contact WHERE LastName = 'nobody' GROUP BY Email") == []


def test_groups_go_by_parents_fields_and_aliases(ask: Ask) -> None:
    rows = ask(
        "SELECT Campaign.Name, Status answer, COUNT(Id) members FROM CampaignMember"
        " GROUP BY Campaign.Name, Status ORDER BY members DESC LIMIT 1"
    )
    assert [{name: row[name] for name in row if name != "attributes"} for row in rows] == [
        {"Name": "Spring", "answer": "Sent", "members": 2}
    ]
