"""How a stored row looks in an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crmsync.testing.salesforce.values import address, location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crmsync.testing.salesforce.schema import FieldDef, ObjectDef
    from crmsync.testing.salesforce.store import Row


def getter(definition: ObjectDef, field: FieldDef) -> Callable[[Row], Any]:
    """Return the function that reads a field, compound ones too, from a stored row."""
    name = field.name
    if field.type == "address":
        return lambda row: address(definition, name, row)
    if field.type == "location":
        return lambda row: location(definition, name, row)
    if field.masked:
        return lambda row: row.get(name) and "*" * len(row[name])
    return lambda row: row.get(name)


def render(definition: ObjectDef, row: Row, fields: Iterable[FieldDef] | None = None) -> dict[str, Any]:
    """Return the named fields of a row, by default all, without ``attributes``."""
    chosen = definition.fields.values() if fields is None else fields
    return {entry.name: getter(definition, entry)(row) for entry in chosen}


def attributes(definition: ObjectDef, record_id: str, version: str) -> dict[str, str]:
    """Return what every record in an answer begins with."""
    return {"type": definition.name, "url": f"/services/data/v{version}/sobjects/{definition.name}/{record_id}"}
