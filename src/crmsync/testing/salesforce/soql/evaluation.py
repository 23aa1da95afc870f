"""Running a query: which rows, in which order, shown how."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import frozen

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.soql import syntax
from crmsync.testing.salesforce.soql.access import candidates
from crmsync.testing.salesforce.soql.filters import compile_condition, folds_case
from crmsync.testing.salesforce.soql.parsing import parse
from crmsync.testing.salesforce.soql.projection import projection
from crmsync.testing.salesforce.soql.resolving import Resolver, unsupported_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

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
    show, columns = projection(resolver, version)
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


def _counted(resolver: Resolver, rows: list[Row]) -> Result:
    item = resolver.query.select[0]
    assert isinstance(item, syntax.CountField)
    _, read = resolver.resolve(item.path)
    count = sum(1 for row in rows if read(row) is not None)
    name = item.alias or "expr0"
    aggregate: Row = {"attributes": {"type": "AggregateResult"}, name: count}
    return Result(rows=[aggregate], show=lambda row: row, total=1, columns=(name,))
