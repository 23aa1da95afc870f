"""From a SELECT list to the function that shows a row as the API's record, parents nested in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.rendering import attributes, getter
from crmsync.testing.salesforce.soql import syntax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crmsync.testing.salesforce.schema import FieldDef, ObjectDef
    from crmsync.testing.salesforce.soql.resolving import Resolver
    from crmsync.testing.salesforce.store import Row, Table

Show: TypeAlias = Callable[["Row"], dict[str, Any]]


def projection(resolver: Resolver, version: str) -> tuple[Show, tuple[str, ...]]:
    """Return the function that shows a row, and the names of the columns.

    :raises CallError: INVALID_FIELD: a field is unknown or selected twice.
    """
    paths = _paths(resolver)
    for path in paths:
        resolver.resolve(path)
    names = [resolver.names(path) for path in paths]
    seen: set[str] = set()
    for parts in names:
        name = ".".join(parts)
        if name.lower() in seen:
            raise CallError(400, "INVALID_FIELD", f"duplicate field selected: {name}")
        seen.add(name.lower())
    return _show(resolver, resolver.table, names, version), tuple(".".join(parts) for parts in names)


def _show(resolver: Resolver, table: Table, names: Sequence[tuple[str, ...]], version: str) -> Show:
    definition = table.definition
    parents: dict[str, list[tuple[str, ...]]] = {}
    for parts in names:
        if len(parts) > 1:
            parents.setdefault(parts[0].lower(), []).append(parts[1:])
    columns: dict[str, Callable[[Row], Any]] = {}
    for parts in names:
        if len(parts) > 1:
            link = definition.by_relationship[parts[0].lower()]
            assert link.relationship is not None
            columns.setdefault(link.relationship, _parent(resolver, link, parents[parts[0].lower()], version))
        else:
            field = definition.find(parts[0])
            assert field is not None
            columns[field.name] = getter(definition, field)
    prefix = attributes(definition, "", version)["url"]

    def show(row: Row) -> dict[str, Any]:
        record: dict[str, Any] = {"attributes": {"type": definition.name, "url": prefix + row["Id"]}}
        for name, read in columns.items():
            record[name] = read(row)
        return record

    return show


def _parent(
    resolver: Resolver, link: FieldDef, names: Sequence[tuple[str, ...]], version: str
) -> Callable[[Row], dict[str, Any] | None]:
    table = resolver.target(link)
    rows, show, key = table.rows, _show(resolver, table, names, version), link.name
    return lambda row: None if (found := rows.get(row.get(key, ""))) is None else show(found)


def _paths(resolver: Resolver) -> list[syntax.Path]:
    paths: list[syntax.Path] = []
    for item in resolver.query.select:
        if isinstance(item, syntax.Path):
            paths.append(item)
        elif isinstance(item, syntax.FieldsOf):
            paths += [syntax.Path((field.name,), item.position) for field in _group(resolver.table.definition, item)]
        elif len(resolver.query.select) > 1:
            message = "Grouped query fields are not supported by this emulator"
            raise CallError(400, "MALFORMED_QUERY", message)
    return paths


def _group(definition: ObjectDef, item: syntax.FieldsOf) -> list[FieldDef]:
    if item.group not in ("ALL", "STANDARD", "CUSTOM"):
        raise CallError(400, "MALFORMED_QUERY", f"unexpected token: '{item.group}'")
    fields = definition.fields.values()
    return [field for field in fields if item.group == "ALL" or field.custom == (item.group == "CUSTOM")]
