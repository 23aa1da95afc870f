"""Reading records: by query, by id, by the values of a field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import quote

import attrs

from crmsync.errors import SchemaChangedError, UnexpectedResponseError
from crmsync.models.records import Record
from crmsync.providers.salesforce import composite, soql
from crmsync.providers.salesforce.backoff import LostAnswerError
from crmsync.providers.salesforce.client import Answer, SalesforceClient
from crmsync.providers.salesforce.errors import call_error
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.rows import RowReader

T = TypeVar("T")

MAX_RETRIEVE: Final = 2000
"""Ids a call ("Get Records With a Request Body Using sObject Collections", REST API Developer Guide)."""

_WHOLE_BATCHES: Final = {"Sforce-Query-Options": "batchSize=2000"}
"""The most, and what we count on; fewer come if rows are wide ("Query Options Header", REST API Developer Guide)."""


async def query(client: SalesforceClient, statement: str, *, deleted: bool = False) -> tuple[Answer, list[Any], bool]:
    """Run a query; its first batch of rows, and whether that was all. ``deleted`` shows the recycle bin too.

    One that is too long for a URI, because it asks for hundreds of fields, goes in the body of a composite request
    (help 000386264), which is one call like any other.
    """
    path = "/queryAll" if deleted else "/query"
    if soql.encoded_length(statement) <= soql.MAX_ENCODED:
        answer = await client.call("GET", path, params={"q": statement}, headers=_WHOLE_BATCHES)
    else:
        answer = await _long_query(client, path, statement)
    rows, done = _batch(answer)
    return answer, rows, done


async def _long_query(client: SalesforceClient, path: str, statement: str) -> Answer:
    url = f"/services/data/v{await client.version()}{path}?q={quote(statement, safe='')}"
    head = {"method": "GET", "url": url, "httpHeaders": _WHOLE_BATCHES}
    content = composite.body_of([(head, None)])

    async def attempt() -> Answer:
        answer = await client.call("POST", composite.PATH, content=content)
        [told] = composite.answers_of(answer.body, 1)
        try:
            status, body = int(told["httpStatusCode"]), told["body"]
        except (KeyError, TypeError, ValueError) as error:
            raise UnexpectedResponseError("Salesforce's answer to a composite request is not as documented") from error
        if status != HTTPStatus.OK:
            raise call_error(status, json.dumps(body).encode())
        return attrs.evolve(answer, body=body)

    return await client.back_off.run(attempt)


async def query_all(client: SalesforceClient, statement: str, *, deleted: bool = False) -> list[Any]:
    """Every row of a query, batch by batch. ``deleted`` shows the recycle bin too."""
    answer, rows, done = await query(client, statement, deleted=deleted)
    while not done:
        path = answer.body.get("nextRecordsUrl")
        if not isinstance(path, str) or not path.startswith("/services/data/"):
            raise UnexpectedResponseError("Salesforce's query has more rows, but does not say where")
        answer = await client.send("GET", path, repeatable=True)
        more, done = _batch(answer)
        rows += more
    return rows


async def count(client: SalesforceClient, statement: str) -> tuple[Answer, int]:
    """Run a query that counts; how many records there are."""
    answer = await client.call("GET", "/query", params={"q": statement})
    try:
        return answer, int(answer.body["totalSize"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedResponseError("Salesforce's answer to a count is not as documented") from error


def _batch(answer: Answer) -> tuple[list[Any], bool]:
    try:
        return list(answer.body["records"]), bool(answer.body["done"])
    except (KeyError, TypeError) as error:
        raise UnexpectedResponseError("Salesforce's answer to a query is not as documented") from error


async def changed_ids(client: SalesforceClient, object_name: str, since: datetime) -> set[str]:
    """The ids of the living records that changed since a time."""
    statement = soql.select(("Id",), object_name, where=soql.compare("SystemModstamp", ">=", since))
    try:
        return {found for row in await query_all(client, statement) if (found := full_id(row["Id"]))}
    except (KeyError, TypeError) as error:
        raise UnexpectedResponseError("Salesforce's answer to a query is not as documented") from error


async def retrieve(
    client: SalesforceClient, reader: RowReader, ids: Sequence[str], fields: Sequence[str]
) -> Mapping[str, Record]:
    """The living records with these 18-character ids, by id."""
    records = await retrieve_told(client, reader, ids, fields)
    return {record.id: record for record in records if not record.deleted}


async def retrieve_told(
    client: SalesforceClient, reader: RowReader, ids: Sequence[str], fields: Sequence[str]
) -> list[Record]:
    """As `retrieve`, with the tombstones of those that only tell what became of them: converted leads."""
    found: list[Record] = []
    columns = reader.columns(fields)
    if any("." in column for column in columns):
        # "fields" of a retrieve are the object's own; only a query reaches its parents.
        for statement in soql.select_in(columns, reader.sobject.schema.name, "Id", ids):
            found += reader.records(await query_all(client, statement), fields)
        return found
    pages = list(_sliced(ids, MAX_RETRIEVE))
    for some in _sliced(pages, client.settings.collections_per_call):
        for rows in await _retrieved(client, reader.sobject.schema.name, some, columns):
            found += reader.records([row for row in rows if row is not None], fields)
    return found


async def _retrieved(
    client: SalesforceClient, object_name: str, pages: Sequence[Sequence[str]], columns: Sequence[str]
) -> list[list[Any]]:
    """The rows of each page of ids: in one call or, where that does not give all of them, in a call each."""
    path = f"/composite/sobjects/{object_name}"
    bodies = [json.dumps({"ids": list(page), "fields": columns}) for page in pages]
    if len(pages) > 1 and (rows := await _joined(client, path, bodies)) is not None:
        return rows
    answers = [await client.call("POST", path, content=body.encode()) for body in bodies]
    if not all(isinstance(answer.body, list) for answer in answers):
        raise UnexpectedResponseError("Salesforce's answer to a retrieve is not as documented")
    return [answer.body for answer in answers]


async def _joined(client: SalesforceClient, path: str, bodies: Sequence[str]) -> list[list[Any]] | None:
    """The rows of each page, all in one call; None if it did not give them: it is not made twice."""
    head = {"method": "POST", "url": f"/services/data/v{await client.version()}{path}"}
    content = composite.body_of([(head, body) for body in bodies])
    try:
        answer = await client.call("POST", composite.PATH, content=content, repeatable=False)
    except (LostAnswerError, SchemaChangedError, UnexpectedResponseError):
        return None
    found = list(composite.answers_of(answer.body, len(bodies)))
    given = all(one.get("httpStatusCode") == HTTPStatus.OK and isinstance(one.get("body"), list) for one in found)
    return [one["body"] for one in found] if given else None


def _sliced(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def tombstones(client: SalesforceClient, reader: RowReader, ids: Sequence[str]) -> Mapping[str, Record]:
    """What there is of these 18-character ids, in the recycle bin too, by id: no fields, but what became of each."""
    columns = reader.columns((), deleted=True)
    found: dict[str, Record] = {}
    for statement in soql.select_in(columns, reader.sobject.schema.name, "Id", ids):
        rows = await query_all(client, statement, deleted=True)
        found.update((record.id, record) for record in reader.records(rows, ()))
    return found


async def find(
    client: SalesforceClient, reader: RowReader, field: str, values: Iterable[str], fields: Sequence[str]
) -> list[Record]:
    """Every living record whose field equals one of the values, in as few queries as fit into URIs.

    Where conversion is followed, converted leads are among them, as deleted.
    """
    known = reader.sobject.fields[field]
    wanted = dict.fromkeys(value for value in values if value and len(value) <= (known.length or len(value)))
    columns = reader.columns((*fields, field))
    found: dict[str, Record] = {}
    for statement in soql.select_in(columns, reader.sobject.schema.name, field, wanted):
        records = reader.records(await query_all(client, statement), fields)
        found.update((record.id, record) for record in records)
    return list(found.values())
