"""``query`` and ``queryAll``, with their pages."""

from __future__ import annotations

import re
from typing import Any, Final

from crmsync.testing.salesforce.cursors import Cursor
from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable, truth
from crmsync.testing.salesforce.soql.evaluation import Result, run

MIN_BATCH: Final = 200
MAX_BATCH: Final = 2_000
_BATCH_SIZE: Final = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)
_LOCATOR: Final = re.compile(r"(01g[0-9A-Za-z]{12,15})-(\d+)")


def query(call: Call) -> Reply:
    """Run a query over the records outside the recycle bin."""
    return _run(call, include_deleted=False)


def query_all(call: Call) -> Reply:
    """Run a query over all records."""
    return _run(call, include_deleted=True)


def _run(call: Call, *, include_deleted: bool) -> Reply:
    text = call.query.get("q")
    if text is None:
        raise CallError(400, "MALFORMED_QUERY", "The query parameter 'q' is required")
    org = call.org
    result = run(text, call.tables, version=call.version, now=org.now(), include_deleted=include_deleted)
    if truth(call.query.get("columns", "")):
        return Reply(_columns(result))
    size = batch_size(call)
    if len(result.rows) <= size:
        records = [result.show(row) for row in result.rows]
        return Reply({"totalSize": result.total, "done": True, "records": records})
    cursor = Cursor(user_id=call.user_id, rows=result.rows, show=result.show, batch_size=size, used_at=org.now())
    locator = org.cursors.open(cursor)
    return Reply(_page(call, cursor, locator, 0))


def more(call: Call) -> Reply:
    """Return a further page of a cursor, by a ``nextRecordsUrl``."""
    match = _LOCATOR.fullmatch(call.params["locator"])
    cursor = call.org.cursors.resume(match[1], call.user_id, call.org.now()) if match else None
    if match is None or cursor is None:
        raise CallError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return Reply(_page(call, cursor, match[1], int(match[2])))


def batch_size(call: Call) -> int:
    """Return the page size asked for by ``Sforce-Query-Options``, within its bounds of 200 and 2,000."""
    match = _BATCH_SIZE.search(call.headers.get("sforce-query-options", ""))
    return min(max(int(match[1]), MIN_BATCH), MAX_BATCH) if match else MAX_BATCH


def _page(call: Call, cursor: Cursor, locator: str, start: int) -> dict[str, Any]:
    stop = start + cursor.batch_size
    done = stop >= len(cursor.rows)
    body: dict[str, Any] = {"totalSize": len(cursor.rows), "done": done}
    if not done:
        body["nextRecordsUrl"] = f"{call.data_root}/query/{locator}-{stop}"
    body["records"] = [cursor.show(row) for row in cursor.rows[start:stop]]
    return body


def _columns(result: Result) -> dict[str, Any]:
    metadata: list[dict[str, Any]] = []
    for name in result.columns:
        _add_column(metadata, name.split("."), aggregate=name in result.aggregates)
    for relationship, names in result.children.items():
        for name in names:
            _add_column(metadata, [relationship, *name.split(".")], aggregate=True)
    return {"columnMetadata": metadata, "groupBy": result.is_grouped, "idSelected": "Id" in result.columns}


def _add_column(columns: list[dict[str, Any]], parts: list[str], *, aggregate: bool) -> None:
    """Add a column, a parent's in the ``joinColumns`` of its relationship."""
    name = parts[0]
    column = next((known for known in columns if known["columnName"] == name), None)
    if column is None:
        column = {"aggregate": aggregate, "columnName": name, "displayName": name, "foreignKeyName": None}
        column["joinColumns"] = []
        columns.append(column)
    if len(parts) > 1:
        column["foreignKeyName"] = name
        _add_column(column["joinColumns"], parts[1:], aggregate=False)


ROUTES: RouteTable = (
    ("/query", {"GET": query}),
    ("/queryAll", {"GET": query_all}),
    ("/query/{locator}", {"GET": more}),
    ("/queryAll/{locator}", {"GET": more}),
)
