"""SOSL and parameterized search: words found in fields of a kind."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"


@pytest.fixture
def org(org: SalesforceOrg) -> SalesforceOrg:
    people = [
        {"FirstName": "Ada", "LastName": "Lovelace", "Email": "ada.lovelace@analytical.example", "Title": "Countess"},
        {"FirstName": "Grace", "LastName": "Hopper", "Email": "grace@navy.example", "Title": "Admiral, knows Ada"},
        {"FirstName": "Ada", "LastName": "O'Brien", "Email": "ob@x.example", "Phone": "+44 20 1234"},
    ]
    for person in people:
        org.create("Contact", person)
    org.create("Lead", {"LastName": "Lovelace", "Company": "Engines"})
    gone = org.create("Contact", {"LastName": "Lovelace"})
    org.delete("Contact", gone)
    return org


async def found(client: httpx2.AsyncClient, sosl: str) -> list[dict[str, Any]]:
    """Return the records that a SOSL text finds."""
    response = await client.get(f"{DATA}/search", params={"q": sosl})
    assert response.status_code == 200, response.text
    records: list[dict[str, Any]] = response.json()["searchRecords"]
    return records


@pytest.mark.parametrize(
    "term,scope,names",
    [
        ("Ada", "ALL", ["Lovelace", "Hopper", "O'Brien"]),
        ("ada", "NAME", ["Lovelace", "O'Brien"]),
        ("Ada Lovelace", "NAME", ["Lovelace"]),
        ("grace@navy.example", "EMAIL", ["Hopper"]),
        ("analytical", "EMAIL", ["Lovelace"]),
        ("love*", "NAME", ["Lovelace"]),
        ("love", "NAME", []),
        ("gra?e", "NAME", ["Hopper"]),
        ('"Ada Lovelace"', "NAME", ["Lovelace"]),
        ('"Lovelace Ada"', "NAME", []),
        ("O\\'Brien", "NAME", ["O'Brien"]),
        ("1234", "PHONE", ["O'Brien"]),
        ("Countess", "NAME", []),
    ],
)
async def test_words_are_found_in_the_fields_of_the_scope(
    client: httpx2.AsyncClient, term: str, scope: str, names: list[str]
) -> None:
    records = await found(client, f"FIND {{{term}}} IN {scope} FIELDS RETURNING Contact(Id, LastName)")
    assert [record["LastName"] for record in records] == names


async def test_without_returning_every_object_is_searched_and_ids_come_back(client: httpx2.AsyncClient) -> None:
    records = await found(client, "find {Lovelace}")
    assert [record["attributes"]["type"] for record in records] == ["Contact", "Lead"]
    assert [set(record) for record in records] == [{"attributes", "Id"}] * 2


async def test_returning_takes_soqls_conditions_order_and_limits(client: httpx2.AsyncClient) -> None:
    records = await found(
        client,
        "FIND {Ada} RETURNING Contact(LastName WHERE Email LIKE '%example' AND LastName != '(a' ORDER BY LastName DESC"
        " LIMIT 2), Lead LIMIT 1",
    )
    assert [record["LastName"] for record in records] == ["O'Brien"]
    records = await found(client, "FIND {Ada} RETURNING Contact(LastName LIMIT 2)")
    assert [record["LastName"] for record in records] == ["Lovelace", "Hopper"]
    records = await found(client, "FIND {Lovelace} RETURNING Lead(Company), Contact(LastName)")
    assert [record["attributes"]["type"] for record in records] == ["Lead", "Contact"]


@pytest.mark.parametrize(
    "sosl",
    [
        "SELECT Id FROM Contact",
        "FIND {Ada",
        "FIND {Ada|Grace}",
        "FIND {Marie-Pier}",
        "FIND {A}",
        "FIND {*}",
        "FIND {Ada} IN ALL TYPE",
        "FIND {Ada} RETURNING",
        "FIND {Ada} RETURNING Contact(Id",
        "FIND {Ada} RETURNING Contact Lead",
    ],
)
async def test_what_is_no_sosl_is_refused(client: httpx2.AsyncClient, sosl: str) -> None:
    response = await client.get(f"{DATA}/search", params={"q": sosl})
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "MALFORMED_SEARCH")


async def test_a_refusal_points_at_its_place(client: httpx2.AsyncClient) -> None:
    response = await client.get(f"{DATA}/search", params={"q": "FIND {John|jane} RETURNING Contact"})
    assert response.json()[0]["message"] == (
        "\nFIND {John|jane} RETURNING Contact\n          ^\nERROR at Row:1:Column:11\n"
        "line 1:11 mismatched character '|' expecting '}'"
    )


async def test_soqls_refusals_come_through(client: httpx2.AsyncClient) -> None:
    for returning, code in (("Nope", "INVALID_TYPE"), ("Contact(Nope)", "INVALID_FIELD")):
        response = await client.get(f"{DATA}/search", params={"q": f"FIND {{Ada}} RETURNING {returning}"})
        assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)


async def test_before_v37_the_answer_is_a_bare_list(client: httpx2.AsyncClient) -> None:
    response = await client.get("/services/data/v36.0/search", params={"q": "FIND {Hopper}"})
    assert len(response.json()) == 1


async def test_parameters_search_without_sosl(client: httpx2.AsyncClient) -> None:
    path = f"{DATA}/parameterizedSearch"
    everything = (await client.get(path, params={"q": "Lovelace"})).json()["searchRecords"]
    assert [record["attributes"]["type"] for record in everything] == ["Contact", "Lead"]
    params = {
        "q": "ob@x.example",
        "sobject": "Contact",
        "Contact.fields": "Id,LastName",
        "Contact.where": "LastName LIKE 'O%'",
        "Contact.limit": "1",
        "in": "EMAIL",
    }
    (one,) = (await client.get(path, params=params)).json()["searchRecords"]
    assert one["LastName"] == "O'Brien"
    body = {
        "q": "O'Brien",
        "fields": ["LastName"],
        "sobjects": [{"name": "Contact"}, {"name": "Lead"}],
        "defaultLimit": 5,
        "overallLimit": 1,
    }
    assert [row["LastName"] for row in (await client.post(path, json=body)).json()["searchRecords"]] == ["O'Brien"]
    wrong: list[Any] = [
        {},
        {"q": "Ada", "in": "NOWHERE"},
        {"q": "Ada", "sobjects": [1]},
        {"q": "Ada", "overallLimit": "x"},
    ]
    for refused in wrong:
        assert (await client.post(path, json=refused)).status_code == 400
