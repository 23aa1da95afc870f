"""Running a query: which rows, in which order, shown how."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import frozen

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.rendering import attributes
from crmsync.testing.salesforce.soql import syntax
from crmsync.testing.salesforce.soql.access import candidates
from crmsync.testing.salesforce.soql.filters import compile_condition, folds_case
from crmsync.testing.salesforce.soql.parsing import parse
from crmsync.testing.salesforce.soql.resolving import Resolver, unsupported_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from crmsync.testing.salesforce.schema import FieldDef, ObjectDef
    from crmsync.testing.salesforce.store import Row, Table

MAX_OFFSET = 2_000
MAX_FIELDS_LIMIT = 200


@frozen(kw_only=True)
class Result:
    """A query's outcome. ``total`` is COUNT()'s number or that of ``rows``; ``show`` makes a row the API's record."""

    rows: Sequence[Row]
    show: Callable[[Row], dict[str, Any]]
    total: int
    columns: tuple[str, ...] = ()


def run(text: str, tables: Mapping[str, Table], *, version: str, now: datetime, include_deleted: bool) -> Result:
    """Run a SOQL query on the tables as readers see them.

    :param version: of the API, such as ``"68.0"``, for the records' URLs.
    :param include_deleted: whether the recycle bin is searched too, as queryAll does.
    :raises CallError: as Salesforce refuses the query.
    """
    query = parse(text)
    table = _table(query, tables)
    table.settle(now)
    resolver = Resolver(query, table, tables)
    _require_bounds(query)
    show, columns = _projection(resolver, version)
    rows = _rows(resolver, now, include_deleted=include_deleted)
    if isinstance(query.select[0], syntax.CountAll):
        return Result(rows=[], show=show, total=len(rows), columns=columns)
    if isinstance(query.select[0], syntax.CountField):
        return _counted(resolver, rows)
    return Result(rows=rows, show=show, total=len(rows), columns=columns)


def _table(query: syntax.Query, tables: Mapping[str, Table]) -> Table:
    for name, table in tables.items():
        if name.lower() == query.object_name.lower():
            return table
    raise unsupported_object(query)


def _require_bounds(query: syntax.Query) -> None:
    if query.offset > MAX_OFFSET:
        message = f"Maximum SOQL offset allowed is {MAX_OFFSET}"
        raise CallError(400, "NUMBER_OUTSIDE_VALID_RANGE", message)
    # "SOQL and SOSL Reference", page "FIELDS()": ALL and CUSTOM need a LIMIT of at most 200.
    groups = [item.group for item in query.select if isinstance(item, syntax.FieldsOf)]
    unbounded = query.limit is None or query.limit > MAX_FIELDS_LIMIT
    if unbounded and any(group in ("ALL", "CUSTOM") for group in groups):
        message = "The SOQL FIELDS function must have a LIMIT of at most 200"
        raise CallError(400, "MALFORMED_QUERY", message)


def _rows(resolver: Resolver, now: datetime, *, include_deleted: bool) -> list[Row]:
    query = resolver.query
    test = None if query.where is None else compile_condition(query.where, resolver, now)
    found = candidates(resolver, query.where)
    matching = iter(found.rows) if test is None else filter(test, found.rows)
    if not include_deleted:
        matching = (row for row in matching if not row.get("IsDeleted"))
    stop = None if query.limit is None else query.offset + query.limit
    if found.in_order and _is_keyset_order(resolver):
        return list(islice(matching, query.offset, stop))
    ordered = _ordered(resolver, list(matching))
    return ordered[query.offset : stop]


def _is_keyset_order(resolver: Resolver) -> bool:
    keys = [(resolver.names(item.path), item.descending) for item in resolver.query.order]
    names = [".".join(parts).lower() for parts, descending in keys if not descending]
    return len(names) == len(keys) and names in ([], ["systemmodstamp"], ["systemmodstamp", "id"])


def _ordered(resolver: Resolver, rows: list[Row]) -> list[Row]:
    for item in reversed(resolver.query.order):
        field, read = resolver.resolve(item.path)
        if not field.is_sortable:
            message = f"field '{field.name}' can not be sorted in a query call"
            raise CallError(400, "INVALID_FIELD", resolver.error_at(item.path, message))
        fold = folds_case(field)
        nulls = [row for row in rows if read(row) is None]
        filled = [row for row in rows if read(row) is not None]
        filled.sort(key=partial(_sort_key, read, fold), reverse=item.descending)
        rows = filled + nulls if item.nulls_last else nulls + filled
    return rows


def _sort_key(read: Callable[[Row], Any], fold: bool, row: Row) -> Any:
    value = read(row)
    return value.casefold() if fold else value


def _projection(resolver: Resolver, version: str) -> tuple[Callable[[Row], dict[str, Any]], tuple[str, ...]]:
    paths = _paths(resolver)
    names = [".".join(resolver.names(path)) for path in paths]
    if len({name.lower() for name in names}) < len(names):
        twice = next(name for place, name in enumerate(names) if name.lower() in (n.lower() for n in names[:place]))
        raise CallError(400, "INVALID_FIELD", f"duplicate field selected: {twice}")
    flat: list[tuple[str, Callable[[Row], Any]]] = []
    nested: dict[str, list[tuple[str, ...]]] = {}
    for path in paths:
        parts = resolver.names(path)
        field, read = resolver.resolve(path)
        if len(parts) == 1:
            flat.append((field.name, read))
            continue
        relationship = parts[0]
        if relationship.lower() not in (known.lower() for known in nested):
            nested[relationship] = []
            flat.append((relationship, _Parent(resolver, relationship, nested[relationship], version, path)))
        next(tails for known, tails in nested.items() if known.lower() == relationship.lower()).append(parts[1:])
    definition = resolver.table.definition
    prefix = attributes(definition, "", version)["url"]

    def show(row: Row) -> dict[str, Any]:
        record: dict[str, Any] = {"attributes": {"type": definition.name, "url": prefix + row["Id"]}}
        for name, read in flat:
            record[name] = read(row)
        return record

    return show, tuple(names)


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


class _Parent:
    """Shows the parent of a row as a record of its own, with the selected fields and parents of it."""

    def __init__(
        self, resolver: Resolver, relationship: str, tails: list[tuple[str, ...]], version: str, path: syntax.Path
    ) -> None:
        self._link, self._table = resolver.parent(resolver.table, relationship, path)
        self._resolver = resolver
        self._tails = tails
        self._version = version
        self._show: Callable[[Row], dict[str, Any]] | None = None

    def __call__(self, row: Row) -> dict[str, Any] | None:
        parent = self._table.rows.get(self._link(row))
        if parent is None:
            return None
        if self._show is None:
            select = tuple(syntax.Path(tail, 0) for tail in self._tails)
            query = syntax.Query(
                text="",
                select=select,
                object_name=self._table.definition.name,
                object_position=0,
                alias=None,
                where=None,
                order=(),
                limit=None,
                offset=0,
            )
            inner = Resolver(query, self._table, self._resolver.tables)
            self._show, _ = _projection(inner, self._version)
        return self._show(parent)


def _counted(resolver: Resolver, rows: list[Row]) -> Result:
    item = resolver.query.select[0]
    assert isinstance(item, syntax.CountField)
    _, read = resolver.resolve(item.path)
    count = sum(1 for row in rows if read(row) is not None)
    name = item.alias or "expr0"
    aggregate: Row = {"attributes": {"type": "AggregateResult"}, name: count}
    return Result(rows=[aggregate], show=lambda row: row, total=1, columns=(name,))
