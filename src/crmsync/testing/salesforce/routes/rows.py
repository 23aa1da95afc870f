"""Single records: create, read, change, delete, and upsert by an external id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crmsync.testing.salesforce import saving
from crmsync.testing.salesforce.errors import CallError, not_found
from crmsync.testing.salesforce.ids import canonical_id
from crmsync.testing.salesforce.org import MultipleMatchesError
from crmsync.testing.salesforce.rendering import attributes, render
from crmsync.testing.salesforce.routes import metadata
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable, truth
from crmsync.testing.salesforce.routes.conditions import entity_tag, is_unchanged, last_modified, require_as_seen
from crmsync.testing.salesforce.times import parse_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from crmsync.testing.salesforce.schema import FieldDef, ObjectDef
    from crmsync.testing.salesforce.store import Row, Table

#: From this version on an upsert that updates answers 200 with a body; before, 204.
FIRST_VERSION_WITH_UPDATE_BODY = 46.0


def create(call: Call) -> Reply:
    """Create a record: 201 with its id."""
    table = call.table()
    record_id = call.org.create(table.definition.name, _values(call, table.definition, {"id"}), by=call.user_id)
    return _created(call, table.definition, {"id": record_id, "success": True, "errors": []})


def read(call: Call) -> Reply:
    """Return a record: all fields, or those of ``?fields=``."""
    table = call.table()
    row = _live(table, call.params["id"])
    return _show(call, table.definition, row)


def update(call: Call) -> Reply:
    """Change a record: 204."""
    table = call.table()
    row = table.newest(canonical_id(call.params["id"]) or "")
    if row is None:
        raise not_found()
    require_as_seen(call, *_seen(table.definition, row))
    values = _values(call, table.definition, {"id"})
    call.org.update(table.definition.name, row["Id"], values, by=call.user_id)
    return Reply(status=204)


def delete(call: Call) -> Reply:
    """Move a record to the recycle bin: 204."""
    table = call.table()
    row = table.newest(canonical_id(call.params["id"]) or "")
    if row is None:
        raise not_found()
    call.org.delete(table.definition.name, row["Id"], by=call.user_id)
    return Reply(status=204)


def read_by_external_id(call: Call) -> Reply:
    """Return the record that holds an external id."""
    table = call.table()
    return _show(call, table.definition, _one_match(call, table))


def delete_by_external_id(call: Call) -> Reply:
    """Move the record that holds an external id to the recycle bin: 204."""
    table = call.table()
    call.org.delete(table.definition.name, _one_match(call, table)["Id"], by=call.user_id)
    return Reply(status=204)


def upsert(call: Call) -> Reply:
    """Create or change the record that holds an external id: 201, 200 or, before v46.0, 204."""
    table = call.table()
    key = external_key(table.definition, call.params["field"])
    values = _values(call, table.definition, {"id", key.name.lower()})
    try:
        outcome = call.org.upsert(
            table.definition.name,
            key.name,
            call.params["value"],
            values,
            by=call.user_id,
            update_only=truth(call.query.get("updateOnly", "")),
        )
    except MultipleMatchesError as error:
        return Reply([_row_url(call, table.definition, found) for found in error.ids], status=300)
    body = {"id": outcome.id, "success": True, "errors": [], "created": outcome.created}
    if outcome.created:
        return _created(call, table.definition, body)
    if float(call.version) < FIRST_VERSION_WITH_UPDATE_BODY:
        return Reply(status=204)
    return Reply(body)


def external_key(definition: ObjectDef, name: str) -> FieldDef:
    """Return the external-id field of this name.

    :raises CallError: 404, there is no such field, or it is not an external id.
    """
    found = definition.find(name)
    if found is None or not found.external_id:
        message = f"Provided external ID field does not exist or is not accessible: {name}"
        raise CallError(404, "NOT_FOUND", message, code_first=True)
    return found


def chosen_fields(definition: ObjectDef, names: Iterable[str]) -> list[FieldDef]:
    """Return the fields of these names.

    :raises RowError: INVALID_FIELD.
    """
    fields: list[FieldDef] = []
    for name in names:
        found = definition.find(name.strip())
        if found is None:
            raise saving.unknown_field(definition, name.strip())
        fields.append(found)
    return fields


def _values(call: Call, definition: ObjectDef, forbidden: set[str]) -> dict[str, Any]:
    values = call.json_object()
    for name in values:
        if name.lower() in forbidden:
            found = definition.find(name)
            shown = found.name if found else name
            raise CallError(400, "INVALID_FIELD", f"The {shown} field should not be specified in the sobject data.")
    return values


def _created(call: Call, definition: ObjectDef, body: dict[str, Any]) -> Reply:
    return Reply(body, status=201, headers={"Location": _row_url(call, definition, body["id"])})


def _row_url(call: Call, definition: ObjectDef, record_id: str) -> str:
    return attributes(definition, record_id, call.version)["url"]


def _live(table: Table, record_id: str) -> Row:
    row = table.rows.get(canonical_id(record_id) or "")
    if row is None or row.get("IsDeleted"):
        raise not_found()
    return row


def _one_match(call: Call, table: Table) -> Row:
    key = external_key(table.definition, call.params["field"])
    matches = [row for row in table.matching(key.name, call.params["value"].strip()) if not row["IsDeleted"]]
    if not matches:
        raise not_found()
    if len(matches) > 1:
        raise MultipleMatchesError(tuple(row["Id"] for row in matches))
    return matches[0]


def _show(call: Call, definition: ObjectDef, row: Row) -> Reply:
    modified, tag = _seen(definition, row)
    headers = {**last_modified(modified), **({} if tag is None else {"ETag": tag})}
    if is_unchanged(call, modified, tag):
        return Reply(status=304, headers=headers)
    names = call.query.get("fields")
    fields = None if names is None else chosen_fields(definition, names.split(","))
    shown = {"attributes": attributes(definition, row["Id"], call.version), **render(definition, row, fields)}
    return Reply(shown, headers=headers)


def _seen(definition: ObjectDef, row: Row) -> tuple[datetime, str | None]:
    # EmailMessageRelation has no LastModifiedDate.
    modified = parse_datetime(row.get("LastModifiedDate") or row["SystemModstamp"])
    assert modified is not None
    # "Conditional Request Headers" (REST API Developer Guide): of all records only accounts have tags.
    return modified, entity_tag(row) if definition.name == "Account" else None


def create_by_id_path(call: Call) -> Reply:
    """Create a record by ``POST sobjects/X/Id``, the form of an upsert without an id."""
    return create(call)


ROUTES: RouteTable = (
    ("/sobjects/{object}", {"GET": metadata.basic_information, "POST": create}),
    ("/sobjects/{object}/Id", {"POST": create_by_id_path}),
    ("/sobjects/{object}/{id}", {"GET": read, "PATCH": update, "DELETE": delete}),
    (
        "/sobjects/{object}/{field}/{value:path}",
        {"GET": read_by_external_id, "PATCH": upsert, "DELETE": delete_by_external_id},
    ),
)
