"""sObject Tree: records with their children, up to 200 in one request, all created or none.

"sObject Tree" (REST API Developer Guide): the entire request counts as a single call toward the API limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from crmsync.testing.salesforce.errors import CallError, RowError
from crmsync.testing.salesforce.routes.call import Call, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crmsync.testing.salesforce.store import Table

MAX_RECORDS: Final = 200
MAX_TYPES: Final = 5
MAX_DEPTH: Final = 5


@frozen
class _Node:
    """A record to create. ``parent`` is the record above it and the field that refers to that one."""

    reference_id: str
    object_name: str
    values: dict[str, Any] = field(repr=False)
    parent: tuple[_Node, str] | None = field(repr=False)


@frozen
class _Entry:
    """A record as it was sent, with what its place in the tree says about it."""

    record: Any = field(repr=False)
    object_name: str
    parent: tuple[_Node, str] | None = None


class _FailedError(Exception):
    """One record cannot be created."""

    def __init__(self, node: _Node, error: RowError) -> None:
        super().__init__(node.reference_id)
        self.node = node
        self.error = error


def tree(call: Call) -> Reply:
    """Create the records, level by level; the answer has their ids by reference id, or the one that failed."""
    nodes = _nodes(call, call.json_object())
    ids: dict[str, str] = {}
    try:
        with call.org.transaction():
            for node in nodes:
                ids[node.reference_id] = _created(call, node, ids)
    except _FailedError as failure:
        results = [{"referenceId": failure.node.reference_id, "errors": [failure.error.as_row()]}]
        return Reply({"hasErrors": True, "results": results}, status=400)
    results = [{"referenceId": reference_id, "id": record_id} for reference_id, record_id in ids.items()]
    return Reply({"hasErrors": False, "results": results}, status=201)


def _created(call: Call, node: _Node, ids: dict[str, str]) -> str:
    values = node.values
    if node.parent is not None:
        parent, reference = node.parent
        values = {**values, reference: ids[parent.reference_id]}
    try:
        return call.org.create(node.object_name, values, by=call.user_id)
    except RowError as error:
        raise _FailedError(node, error) from None


def _nodes(call: Call, body: dict[str, Any]) -> list[_Node]:
    root = call.table().definition.name
    level = [_Entry(record, root) for record in _records(body)]
    nodes: list[_Node] = []
    for _ in range(MAX_DEPTH):
        deeper: list[_Entry] = []
        for entry in level:
            node, children = _node(call.tables, entry)
            nodes.append(node)
            deeper += children
        level = deeper
        if len(nodes) + len(level) > MAX_RECORDS:
            raise _limit(f"{MAX_RECORDS} records")
    if level:
        raise _limit(f"{MAX_DEPTH} levels")
    if len({node.object_name for node in nodes}) > MAX_TYPES:
        raise _limit(f"{MAX_TYPES} types")
    names = [node.reference_id for node in nodes]
    if len(set(names)) < len(names):
        raise CallError(400, "INVALID_INPUT", "Duplicate ReferenceId provided in the request")
    return nodes


def _records(value: Any) -> list[Any]:
    records = value.get("records") if isinstance(value, dict) else None
    if not isinstance(records, list) or not records:
        raise CallError(400, "JSON_PARSER_ERROR", "The request needs a list 'records'")
    return records


def _node(tables: Mapping[str, Table], entry: _Entry) -> tuple[_Node, list[_Entry]]:
    record = entry.record
    head = record.get("attributes") if isinstance(record, dict) else None
    reference_id = head.get("referenceId") if isinstance(head, dict) else None
    if not isinstance(head, dict) or not isinstance(reference_id, str):
        raise CallError(400, "INVALID_INPUT", "Include a reference ID for each record in the request.")
    if str(head.get("type", "")).lower() != entry.object_name.lower():
        raise CallError(400, "INVALID_INPUT", f"A record here must be of type {entry.object_name}")
    values: dict[str, Any] = {}
    below: list[tuple[str, str, list[Any]]] = []
    for name, value in record.items():
        found = _relationship(tables, entry.object_name, name) if isinstance(value, dict) else None
        if found is not None:
            below.append((*found, _records(value)))
        elif name != "attributes":
            values[name] = value
    node = _Node(reference_id, entry.object_name, values, entry.parent)
    children = [
        _Entry(child, object_name, (node, reference)) for object_name, reference, records in below for child in records
    ]
    return node, children


def _relationship(tables: Mapping[str, Table], parent: str, name: str) -> tuple[str, str] | None:
    for table in tables.values():
        for entry in table.definition.fields.values():
            if parent in entry.references and (entry.children or "").lower() == name.lower():
                return table.definition.name, entry.name
    return None


def _limit(what: str) -> CallError:
    return CallError(400, "LIMIT_EXCEEDED", f"The request can't contain more than {what}.")
