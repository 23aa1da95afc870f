"""How queries are refused: the error code and the message, with Salesforce's excerpt and caret."""

from __future__ import annotations

import pytest

from crmsync.testing.salesforce import CallError, SalesforceOrg
from crmsync.testing.salesforce.soql.evaluation import run

FIELD_ADVICE = (
    "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please"
    " reference your WSDL or the describe call for the appropriate names."
)


def refusal(text: str) -> CallError:
    """Return the error that a query meets."""
    org = SalesforceOrg()
    with pytest.raises(CallError) as caught:
        run(text, org.tables, version="68.0", now=org.now(), include_deleted=False)
    assert caught.value.status == 400
    return caught.value


def test_an_unknown_field_is_shown_with_a_caret_under_it() -> None:
    error = refusal("SELECT Id, Foo FROM Contact")
    assert error.code == "INVALID_FIELD"
    assert error.message == (
        "\nSELECT Id, Foo FROM Contact\n           ^\nERROR at Row:1:Column:12\n"
        f"No such column 'Foo' on entity 'Contact'. {FIELD_ADVICE}"
    )
    assert error.as_body() == [{"message": error.message, "errorCode": "INVALID_FIELD"}]


def test_an_unknown_object_is_an_invalid_type() -> None:
    error = refusal("select Id from XYZZY limit 1")
    assert error.code == "INVALID_TYPE"
    assert error.message.startswith("\nselect Id from XYZZY limit 1\n               ^\nERROR at Row:1:Column:16\n")
    assert "sObject type 'XYZZY' is not supported." in error.message


def test_rows_and_columns_count_from_one_over_several_lines() -> None:
    error = refusal("SELECT Id\nFROM Contact\nWHERE Foo = 1")
    assert "ERROR at Row:3:Column:7" in error.message


@pytest.mark.parametrize(
    "text,token",
    [
        ("", "<EOF>"),
        ("SELECT", "<EOF>"),
        ("SELECT Id FROM", "<EOF>"),
        ("SELECT Id Contact", "<EOF>"),
        ("SELECT Id name Contact", "Contact"),
        ("SELECT * FROM Contact", None),
        ("DELETE FROM Contact", "DELETE"),
        ("SELECT Id FROM Contact WHERE", "<EOF>"),
        ("SELECT Id FROM Contact WHERE LastName = 'O'Brien'", "Brien"),
        ("SELECT Id FROM Contact WHERE LastName = 'Ng", None),
        ("SELECT Id FROM Contact WHERE LastName = 'a' AND LastName = 'b' OR LastName = 'c'", "OR"),
        ("SELECT Id FROM Contact WHERE CreatedDate > 2026-11-24 20:34:26", "20"),
        ("SELECT Id FROM Contact WHERE CreatedDate > 2026-11-24T20:34:26 01:00", None),
        ("SELECT Id FROM Contact LIMIT -1", "-1"),
        ("SELECT Id FROM Contact LIMIT 1 WHERE LastName = 'x'", "WHERE"),
        ("SELECT Id FROM Contact WHERE LastName IN ()", ")"),
    ],
)
def test_what_does_not_parse_is_malformed_and_names_the_token(text: str, token: str | None) -> None:
    error = refusal(text)
    assert error.code == "MALFORMED_QUERY"
    if token is not None:
        assert error.message.endswith(f"unexpected token: '{token}'")


@pytest.mark.parametrize(
    "where,code,message",
    [
        ("LastName = 5", "INVALID_FIELD", "must be of type string and should be enclosed in quotes"),
        ("LastName = Today", "INVALID_FIELD", "must be of type string and should be enclosed in quotes"),
        ("CreatedDate = '2026-11-24T00:00:00Z'", "INVALID_FIELD", "of type dateTime and should not be enclosed"),
        ("CreatedDate = 2026-11-24", "INVALID_FIELD", "must be of type dateTime"),
        ("Birthdate = 2026-11-24T00:00:00Z", "INVALID_FIELD", "must be of type date and"),
        ("HasOptedOutOfEmail = 'true'", "INVALID_FIELD", "must be of type boolean and should not be enclosed"),
        ("MailingLatitude = '1'", "INVALID_FIELD", "must be of type double and should not be enclosed"),
        ("AccountId = 'nope'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: nope"),
        ("Id = '003'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: 003"),
        ("Description = 'x'", "INVALID_FIELD", "field 'Description' can not be filtered in a query call"),
        ("HasOptedOutOfEmail > true", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on boolean field"),
        ("CreatedDate LIKE '2026%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on datetime field"),
        ("LastName INCLUDES ('a')", "INVALID_QUERY_FILTER_OPERATOR", "only valid on multipicklist field"),
        ("CreatedDate = SOMEDAY", "MALFORMED_QUERY", "unexpected token: 'SOMEDAY'"),
        ("CreatedDate = LAST_N_DAYS", "MALFORMED_QUERY", "unexpected token: 'LAST_N_DAYS'"),
        ("Birthdate = 2026-02-30", "MALFORMED_QUERY", "invalid date: 2026-02-30"),
        (r"LastName = 'a\qb'", "MALFORMED_QUERY", r"Illegal character sequence '\q' in string literal"),
        ("Boss.Name = 'x'", "INVALID_FIELD", "Didn't understand relationship 'Boss' in field path"),
        ("Account.Foo = 'x'", "INVALID_FIELD", "No such column 'Foo' on entity 'Account'"),
    ],
)
def test_a_filter_that_does_not_fit_its_field_is_refused(where: str, code: str, message: str) -> None:
    error = refusal(f"SELECT Id FROM Contact WHERE {where}")
    assert error.code == code
    assert message in error.message


@pytest.mark.parametrize(
    "text,code,message",
    [
        ("SELECT Id, LastName, id FROM Contact", "INVALID_FIELD", "duplicate field selected: id"),
        ("SELECT Id FROM Contact ORDER BY Description", "INVALID_FIELD", "can not be sorted in a query call"),
        ("SELECT Id FROM Contact ORDER BY Foo", "INVALID_FIELD", "No such column 'Foo'"),
        ("SELECT Id FROM Contact LIMIT 1 OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset"),
        ("SELECT FIELDS(ALL) FROM Contact", "MALFORMED_QUERY", "must have a LIMIT of at most 200"),
        ("SELECT FIELDS(CUSTOM) FROM Contact LIMIT 201", "MALFORMED_QUERY", "must have a LIMIT of at most 200"),
        ("SELECT FIELDS(SOME) FROM Contact LIMIT 2", "MALFORMED_QUERY", "unexpected token: 'SOME'"),
        ("SELECT Id one FROM Contact", "MALFORMED_QUERY", "only aggregate expressions use field aliasing"),
        ("SELECT Id, COUNT() FROM Contact", "MALFORMED_QUERY", "COUNT() must be the only item"),
        ("SELECT LastName, COUNT(Id) FROM Contact", "MALFORMED_QUERY", "must be grouped or aggregated: LastName"),
        ("SELECT Id FROM Contact GROUP BY LastName", "MALFORMED_QUERY", "must be grouped or aggregated: Id"),
        ("SELECT SUM(LastName) FROM Contact", "MALFORMED_QUERY", "does not support aggregate operator SUM"),
        ("SELECT MAX(HasOptedOutOfEmail) FROM Contact", "MALFORMED_QUERY", "does not support aggregate operator MAX"),
        ("SELECT MEDIAN(MailingLatitude) FROM Contact", "MALFORMED_QUERY", "unexpected token: 'MEDIAN'"),
        ("SELECT COUNT(Id) FROM Contact GROUP BY Description", "MALFORMED_QUERY", "can not be grouped"),
        ("SELECT COUNT(Id) n, MAX(Email) n FROM Contact", "MALFORMED_QUERY", "duplicate alias: n"),
        ("SELECT COUNT(Id) FROM Contact GROUP BY Email ORDER BY LastName", "MALFORMED_QUERY", "Ordered field must be"),
        ("SELECT Id FROM Contact ORDER BY COUNT(Id)", "MALFORMED_QUERY", "only be ordered by in a grouped query"),
        ("SELECT Id, (SELECT Id FROM Children) FROM Contact", "INVALID_TYPE", "relationship 'Children' in FROM part"),
        ("SELECT Id, (SELECT Foo FROM Contacts) FROM Account", "INVALID_FIELD", "No such column 'Foo'"),
        (
            "SELECT Id FROM Contact WHERE Id IN (SELECT LeadId FROM CampaignMember)",
            "MALFORMED_QUERY",
            "same object type",
        ),
        ("SELECT Id FROM Contact WHERE Id IN (SELECT Id, Name FROM Contact)", "MALFORMED_QUERY", "selects one field"),
        (
            "SELECT Id FROM Contact WHERE Name = 'a' OR Id IN (SELECT ContactId FROM CampaignMember)",
            "MALFORMED_QUERY",
            "not allowed with the 'OR' operator",
        ),
        ("SELECT Who.Birthdate FROM Task", "INVALID_FIELD", "No such column 'Birthdate' on entity 'Name'"),
        ("SELECT Id FROM Contact WHERE " + " " * 100_000, "QUERY_TOO_COMPLICATED", "100,000 characters"),
    ],
)
def test_a_query_beyond_its_bounds_is_refused(text: str, code: str, message: str) -> None:
    error = refusal(text)
    assert error.code == code
    assert message in error.message
