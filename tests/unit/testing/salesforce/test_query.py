"""Queries over the REST API: shapes and pages."""

from __future__ import annotations

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"
EXPIRED = [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}]


def fill(org: SalesforceOrg, count: int) -> list[str]:
    """Create contacts and return their ids."""
    return [org.create("Contact", {"LastName": f"N{number:05}"}) for number in range(count)]


async def test_an_empty_result_and_a_count_have_their_recorded_shapes(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    empty = await client.get(f"{DATA}/query", params={"q": "SELECT Id FROM Contact"})
    assert empty.text == '{"totalSize":0,"done":true,"records":[]}'
    fill(org, 3)
    count = await client.get(f"{DATA}/query/", params={"q": "SELECT count() FROM Contact"})
    assert count.text == '{"totalSize":3,"done":true,"records":[]}'


async def test_a_result_is_read_in_pages_to_its_end(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    ids = fill(org, 450)
    first = await client.get(
        f"{DATA}/query",
        params={"q": "SELECT Id FROM Contact ORDER BY LastName"},
        headers={"Sforce-Query-Options": "batchSize=200"},
    )
    page = first.json()
    assert list(page) == ["totalSize", "done", "nextRecordsUrl", "records"]
    assert (page["totalSize"], page["done"]) == (450, False)
    assert page["nextRecordsUrl"].startswith(f"{DATA}/query/01g")
    assert page["nextRecordsUrl"].endswith("-200")
    seen = [record["Id"] for record in page["records"]]
    while not page["done"]:
        page = (await client.get(page["nextRecordsUrl"])).json()
        assert page["totalSize"] == 450
        seen += [record["Id"] for record in page["records"]]
    assert "nextRecordsUrl" not in page
    assert seen == ids


@pytest.mark.parametrize(
    "asked,given", [("batchSize=1", 200), ("batchSize=250", 250), ("batchSize=9999", 2000), ("", 2000)]
)
async def test_a_page_has_200_to_2000_records(
    client: httpx2.AsyncClient, org: SalesforceOrg, asked: str, given: int
) -> None:
    fill(org, 2001)
    response = await client.get(
        f"{DATA}/query", params={"q": "SELECT Id FROM Contact"}, headers={"Sforce-Query-Options": asked}
    )
    assert len(response.json()["records"]) == given


async def test_a_cursor_keeps_the_result_as_it_was(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    ids = fill(org, 201)
    params = {"q": "SELECT LastName FROM Contact ORDER BY LastName"}
    first = (await client.get(f"{DATA}/query", params=params, headers={"Sforce-Query-Options": "batchSize=200"})).json()
    org.update("Contact", ids[-1], {"LastName": "Changed"})
    org.delete("Contact", ids[0])
    second = (await client.get(first["nextRecordsUrl"])).json()
    assert [record["LastName"] for record in second["records"]] == ["N00200"]
    replayed = (await client.get(first["nextRecordsUrl"])).json()
    assert replayed == second


async def test_a_cursor_dies_of_fifteen_idle_minutes(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    fill(org, 500)
    params, headers = {"q": "SELECT Id FROM Contact"}, {"Sforce-Query-Options": "batchSize=200"}
    url = (await client.get(f"{DATA}/query", params=params, headers=headers)).json()["nextRecordsUrl"]
    org.advance(15 * 60)
    assert (await client.get(url)).status_code == 200
    org.advance(15 * 60 + 1)
    gone = await client.get(url)
    assert (gone.status_code, gone.json()) == (400, EXPIRED)


async def test_an_eleventh_cursor_closes_the_oldest(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    fill(org, 201)
    params, headers = {"q": "SELECT Id FROM Contact"}, {"Sforce-Query-Options": "batchSize=200"}
    urls = [
        (await client.get(f"{DATA}/query", params=params, headers=headers)).json()["nextRecordsUrl"] for _ in range(11)
    ]
    answers = [(await client.get(url)).status_code for url in urls]
    assert answers == [400, *[200] * 10]


async def test_an_unknown_locator_is_refused(client: httpx2.AsyncClient) -> None:
    for locator in ("01g000000000001AAA-2000", "nonsense", "01g000000000001AAA"):
        response = await client.get(f"{DATA}/query/{locator}")
        assert (response.status_code, response.json()) == (400, EXPIRED)


async def test_query_all_shows_the_recycle_bin_and_pages_under_query(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    ids = fill(org, 201)
    org.delete("Contact", ids[0])
    params, headers = {"q": "SELECT Id, IsDeleted FROM Contact"}, {"Sforce-Query-Options": "batchSize=200"}
    assert (await client.get(f"{DATA}/query", params=params)).json()["totalSize"] == 200
    everything = (await client.get(f"{DATA}/queryAll", params=params, headers=headers)).json()
    assert everything["totalSize"] == 201
    rest = (await client.get(everything["nextRecordsUrl"])).json()
    shown = [*everything["records"], *rest["records"]]
    assert [record["Id"] for record in shown if record["IsDeleted"]] == [ids[0]]


async def test_a_refused_query_has_its_message_before_its_code(client: httpx2.AsyncClient) -> None:
    response = await client.get(f"{DATA}/query", params={"q": "SELECT Foo FROM Contact"})
    assert response.status_code == 400
    assert list(response.json()[0]) == ["message", "errorCode"]
    missing = await client.get(f"{DATA}/query")
    assert missing.json()[0]["errorCode"] == "MALFORMED_QUERY"


async def columns(client: httpx2.AsyncClient, text: str) -> list[tuple[str, bool, list[str]]]:
    """The columns of a query as the sf CLI asks for them: name, whether aggregated, and those joined to it."""
    body = (await client.get(f"{DATA}/query", params={"q": text, "columns": "true"})).json()
    return [
        (column["displayName"], column["aggregate"], [joined["columnName"] for joined in column["joinColumns"]])
        for column in body["columnMetadata"]
    ]


async def test_column_metadata_is_given_to_those_who_ask_as_the_sf_cli_does(client: httpx2.AsyncClient) -> None:
    shown = await columns(client, "SELECT Id, Account.Name, Account.Site FROM Contact")
    assert shown == [("Id", False, []), ("Account", False, ["Name", "Site"])]
    shown = await columns(client, "SELECT Status, COUNT(Id) total FROM Lead GROUP BY Status")
    assert shown == [("Status", False, []), ("total", True, [])]
    shown = await columns(client, "SELECT Name, (SELECT Id, Email FROM Contacts) FROM Account")
    assert shown == [("Name", False, []), ("Contacts", True, ["Id", "Email"])]


async def test_answers_are_compressed_for_clients_that_take_it(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    fill(org, 100)
    params = {"q": "SELECT Id FROM Contact"}
    packed = await client.get(f"{DATA}/query", params=params, headers={"Accept-Encoding": "gzip"})
    plain = await client.get(f"{DATA}/query", params=params, headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.json() == plain.json()
