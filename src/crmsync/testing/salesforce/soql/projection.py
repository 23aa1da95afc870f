"""From a SELECT list to the function that shows a row as the API's record, parents nested in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.rendering import attributes, getter
from crmsync.testing.salesforce.soql import syntax
from crmsync.testing.salesforce.soql.parents import parent_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crmsync.testing.salesforce.schema import FieldDef, ObjectDef
    from crmsync.testing.salesforce.soql.resolving import Resolver
    from crmsync.testing.salesforce.store import Row

Show: TypeAlias = Callable[["Row"], dict[str, Any]]


def projection(
    resolver: Resolver, version: str, children: Mapping[str, Callable[[Row], Any]]
) -> tuple[Show, tuple[str, ...]]:
    """Return the function that shows a row, and the names of the columns.

    :param children: what reads a child relationship's records from a row, by the relationship's name.
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
    definition = resolver.table.definition
    columns = {**_columns(resolver, definition, names, version), **children}
    prefix = attributes(definition, "", version)["url"]

    def show(row: Row) -> dict[str, Any]:
        record: dict[str, Any] = {"attributes": {"type": definition.name, "url": prefix + row["Id"]}}
        for name, read in columns.items():
            record[name] = read(row)
        return record

    return show, tuple(".".join(parts) for parts in names)


def _columns(
    resolver: Resolver, definition: ObjectDef, names: Sequence[tuple[str, ...]], version: str
) -> dict[str, Callable[[Row], Any]]:
    parents: dict[str, list[tuple[str, ...]]] = {}
    for parts in names:
        if len(parts) > 1:
            parents.setdefault(parts[0].lower(), []).append(parts[1:])
    columns: dict[str, Callable[[Row], Any]] = {}
    for parts in names:
        if len(parts) > 1:
            link = definition.by_relationship[parts[0].lower()]
            assert link.relationship is not None
            if link.relationship not in columns:
                columns[link.relationship] = _nested(resolver, link, parents[parts[0].lower()], version)
        else:
            field = definition.find(parts[0])
            assert field is not None
            columns[field.name] = getter(definition, field)
    return columns


def _nested(
    resolver: Resolver, link: FieldDef, names: Sequence[tuple[str, ...]], version: str
) -> Callable[[Row], dict[str, Any] | None]:
    parent = parent_of(link, resolver.tables)
    assert parent is not None
    columns = _columns(resolver, parent.definition, names, version)
    kind, find, url, key = parent.definition.name, parent.find, parent.url, link.name

    def show(row: Row) -> dict[str, Any] | None:
        found = find(row.get(key))
        if found is None:
            return None
        record: dict[str, Any] = {"attributes": {"type": kind, "url": url(found, version)}}
        for name, read in columns.items():
            record[name] = read(found)
        return record

    return show


def _paths(resolver: Resolver) -> list[syntax.Path]:
    paths: list[syntax.Path] = []
    for item in resolver.query.select:
        match item:
            case syntax.Path():
                paths.append(item)
            case syntax.FieldsOf():
                paths += [
                    syntax.Path((field.name,), item.position) for field in _group(resolver.table.definition, item)
                ]
            case syntax.Aliased():
                message = "only aggregate expressions use field aliasing"
                raise CallError(400, "MALFORMED_QUERY", resolver.error_at(item.path, message))
            case syntax.CountAll() if len(resolver.query.select) > 1:
                raise CallError(400, "MALFORMED_QUERY", "COUNT() must be the only item of the SELECT list")
    return paths


def _group(definition: ObjectDef, item: syntax.FieldsOf) -> list[FieldDef]:
    if item.group not in ("ALL", "STANDARD", "CUSTOM"):
        raise CallError(400, "MALFORMED_QUERY", f"unexpected token: '{item.group}'")
    fields = definition.fields.values()
    return [field for field in fields if item.group == "ALL" or field.custom == (item.group == "CUSTOM")]
