"""sObject Collections: up to 200 records a call, one outcome for each in the order sent."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.errors import CallError, RowError, not_found
from crmsync.testing.salesforce.ids import canonical_id
from crmsync.testing.salesforce.org import MultipleMatchesError
from crmsync.testing.salesforce.part_faults import COLLECTIONS
from crmsync.testing.salesforce.rendering import attributes, render
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable, truth
from crmsync.testing.salesforce.routes.rows import chosen_fields, external_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crmsync.testing.salesforce.store import Table

MAX_RECORDS: Final = 200
MAX_RETRIEVED: Final = 2_000
#: Consecutive records of one type form a chunk.
MAX_CHUNKS: Final = 10


class _RolledBackError(Exception):
    """Some record failed in an all-or-none call."""


def create(call: Call) -> Reply:
    """Create records of one or more objects."""
    records, all_or_none = _records(call)

    def save(record: dict[str, Any]) -> dict[str, Any]:
        name = _object_name(call, record)
        if _pop_id(dict(record)) is not None:
            raise RowError("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ("Id",))
        return _success(call.org.create(name, _without_id(record), by=call.user_id))

    return _run(call, records, save, all_or_none=all_or_none)


def update(call: Call) -> Reply:
    """Change records of one or more objects by their ids."""
    records, all_or_none = _records(call)

    def save(record: dict[str, Any]) -> dict[str, Any]:
        name = _object_name(call, record)
        record_id = _pop_id(dict(record))
        if not record_id:
            raise RowError("MISSING_ARGUMENT", "Id not specified in an update call", ("Id",))
        known = _checked_id(call.tables[name], record_id)
        call.org.update(name, known, _without_id(record), by=call.user_id)
        return _success(known)

    return _run(call, records, save, all_or_none=all_or_none)


def upsert(call: Call) -> Reply:
    """Create or change records of one object by an external id, or by ``Id`` (null creates)."""
    table = call.table()
    definition = table.definition
    records, all_or_none = _records(call)
    by_id = call.params["field"].lower() == "id"
    key = definition.fields["Id"] if by_id else external_key(definition, call.params["field"])
    seen: set[str] = set()

    def save(record: dict[str, Any]) -> dict[str, Any]:
        _object_name(call, record)
        if by_id:
            return _upsert_by_id(call, table, record)
        values = {name: value for name, value in record.items() if name.lower() != key.name.lower()}
        given = next((value for name, value in record.items() if name.lower() == key.name.lower()), None)
        external_id = "" if given is None else str(given).strip()
        if not external_id:
            raise RowError("MISSING_ARGUMENT", f"{key.name} not specified")
        folded = external_id if key.case_sensitive else external_id.casefold()
        if folded in seen:
            raise RowError("DUPLICATE_VALUE", f"Duplicate external id specified: {external_id}", (key.name,))
        seen.add(folded)
        try:
            outcome = call.org.upsert(definition.name, key.name, external_id, values, by=call.user_id)
        except MultipleMatchesError as error:
            message = f"{key.name}: more than one record found for external id field: [{', '.join(error.ids)}]"
            raise RowError("DUPLICATE_EXTERNAL_ID", message) from None
        return {**_success(outcome.id), "created": outcome.created}

    return _run(call, records, save, all_or_none=all_or_none)


def _upsert_by_id(call: Call, table: Table, record: dict[str, Any]) -> dict[str, Any]:
    record_id = _pop_id(dict(record))
    if not record_id:
        created = call.org.create(table.definition.name, _without_id(record), by=call.user_id)
        return {**_success(created), "created": True}
    known = _checked_id(table, record_id)
    call.org.update(table.definition.name, known, _without_id(record), by=call.user_id)
    return {**_success(known), "created": False}


def delete(call: Call) -> Reply:
    """Move records of one or more objects to the recycle bin, by ``?ids=``."""
    ids = [part.strip() for part in call.query.get("ids", "").split(",") if part.strip()]
    _require_count(len(ids), MAX_RECORDS)

    def remove(record_id: str) -> dict[str, Any]:
        known = canonical_id(record_id)
        table = next((t for t in call.tables.values() if record_id.startswith(t.definition.key_prefix)), None)
        if known is None or table is None or not call.org.tables[table.name].definition.deletable:
            raise RowError("MALFORMED_ID", f"bad id {record_id}")
        call.org.delete(table.definition.name, known, by=call.user_id)
        return _success(known)

    return _run(call, ids, remove, all_or_none=truth(call.query.get("allOrNone", "")))


def retrieve(call: Call) -> Reply:
    """Return records of one object by their ids in the order asked, null for one that is not there."""
    table = call.table()
    if call.method == "GET":
        ids: Any = call.query.get("ids", "").split(",")
        names: Any = call.query.get("fields", "").split(",")
    else:
        body = call.json_object()
        ids, names = body.get("ids"), body.get("fields")
    if not _is_text_list(ids) or not _is_text_list(names):
        raise CallError(400, "MALFORMED_QUERY", "The parameters 'ids' and 'fields' are required")
    _require_count(len(ids), MAX_RETRIEVED)
    fields = chosen_fields(table.definition, names)
    records: list[dict[str, Any] | None] = []
    for record_id in ids:
        row = table.rows.get(canonical_id(record_id.strip()) or "")
        if row is None or row.get("IsDeleted"):
            records.append(None)
            continue
        head = {"attributes": attributes(table.definition, row["Id"], call.version)}
        records.append({**head, **render(table.definition, row, fields)})
    return Reply(records, pretty=True)


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, str) and entry for entry in value)


def _records(call: Call) -> tuple[list[dict[str, Any]], bool]:
    body = call.json_object()
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CallError(400, "JSON_PARSER_ERROR", "The request body needs a list 'records' at [line:1, column:1]")
    _require_count(len(records), MAX_RECORDS)
    chunks = sum(1 for _ in groupby(records, key=_type_of))
    if chunks > MAX_CHUNKS:
        message = (
            f"Cannot have more than {MAX_CHUNKS} chunks in a single operation. Please rearrange the data to reduce"
            " chunking."
        )
        raise CallError(400, "LIMIT_EXCEEDED", message)
    return records, truth(body.get("allOrNone", False))


def _require_count(count: int, limit: int) -> None:
    if count > limit:
        message = f"record limit reached. cannot submit more than {limit} records into this call"
        raise CallError(400, "EXCEEDED_ID_LIMIT", message)


def _type_of(record: dict[str, Any]) -> str:
    head = record.get("attributes")
    return str(head.get("type", "")) if isinstance(head, dict) else ""


def _object_name(call: Call, record: dict[str, Any]) -> str:
    name = _type_of(record)
    table = call.find_table(name)
    if table is None:
        message = f"sObject type '{name}' is not supported." if name else "The record needs attributes.type."
        raise CallError(400, "INVALID_TYPE", message)
    return table.name


def _pop_id(record: dict[str, Any]) -> str | None:
    for name in list(record):
        if name.lower() == "id":
            value = record.pop(name)
            return None if value is None else str(value)
    return None


def _without_id(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name.lower() != "id"}


def _checked_id(table: Table, record_id: str) -> str:
    known = canonical_id(record_id)
    if known is None or not known.startswith(table.definition.key_prefix):
        message = f"{table.definition.label} ID: id value of incorrect type: {record_id}"
        raise RowError("MALFORMED_ID", message, ("Id",))
    return known


def _success(record_id: str) -> dict[str, Any]:
    return {"id": record_id, "success": True, "errors": []}


def _failure(error: RowError) -> dict[str, Any]:
    return {"success": False, "errors": [error.as_row()]}


def _run(call: Call, items: Sequence[Any], save: Callable[[Any], dict[str, Any]], *, all_or_none: bool) -> Reply:
    if not items:
        raise not_found() if call.method == "DELETE" else CallError(400, "MALFORMED_QUERY", "No records were given")
    outcomes: list[dict[str, Any]] = []
    try:
        # A malformed record fails the whole call, so its transaction undoes those before it.
        with call.org.transaction():
            for item in items:
                try:
                    _meet_fault(call, item)
                    outcomes.append(save(item))
                except RowError as error:
                    outcomes.append(_failure(error))
            if all_or_none:
                _require_success(outcomes)
    except _RolledBackError:
        message = "Record rolled back because not all records were valid and the request was using AllOrNone header"
        undone = _failure(RowError("ALL_OR_NONE_OPERATION_ROLLED_BACK", message))
        outcomes = [undone if outcome["success"] else outcome for outcome in outcomes]
    return Reply(outcomes, pretty=True)


def _meet_fault(call: Call, item: Any) -> None:
    """Fail in the place of a record, if a fault waits for it."""
    part = _type_of(item) if isinstance(item, dict) else item
    fault = call.org.faults.parts.take(COLLECTIONS, call.method, f"{call.data_root}/sobjects/{part}")
    if fault is not None:
        raise fault.row_error


def _require_success(outcomes: list[dict[str, Any]]) -> None:
    if not all(outcome["success"] for outcome in outcomes):
        raise _RolledBackError


ROUTES: RouteTable = (
    ("/composite/sobjects", {"POST": create, "PATCH": update, "DELETE": delete}),
    ("/composite/sobjects/{object}", {"POST": retrieve, "GET": retrieve}),
    ("/composite/sobjects/{object}/{field}", {"PATCH": upsert}),
)
