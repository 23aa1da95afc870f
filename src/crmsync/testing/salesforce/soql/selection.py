"""Which rows a query is about, and in which order."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.soql import syntax
from crmsync.testing.salesforce.soql.access import candidates
from crmsync.testing.salesforce.soql.filters import compile_condition, folds_case
from crmsync.testing.salesforce.soql.resolving import Resolver, unsupported_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from crmsync.testing.salesforce.schema import FieldDef
    from crmsync.testing.salesforce.store import Row, Table


def table_of(query: syntax.Query, tables: Mapping[str, Table]) -> Table:
    """Return the rows that a query is from.

    :raises CallError: INVALID_TYPE.
    """
    for name, table in tables.items():
        if name.lower() == query.object_name.lower():
            return table
    raise unsupported_object(query)


def matching(resolver: Resolver, now: datetime, *, include_deleted: bool) -> tuple[Iterator[Row], tuple[str, ...]]:
    """Return the rows that meet the query's WHERE, and the fields, in small letters, by which they come."""
    found = candidates(resolver, resolver.query.where)
    return tested(resolver, found.rows, now, include_deleted=include_deleted), found.order


def tested(resolver: Resolver, rows: Iterable[Row], now: datetime, *, include_deleted: bool) -> Iterator[Row]:
    """Yield those of the rows that meet the query's WHERE."""
    where = resolver.query.where
    kept = iter(rows) if where is None else filter(compile_condition(where, resolver, now), rows)
    return kept if include_deleted else (row for row in kept if not row.get("IsDeleted"))


def selected(resolver: Resolver, now: datetime, *, include_deleted: bool) -> list[Row]:
    """Return the query's rows in its order, within its LIMIT and OFFSET."""
    rows, order = matching(resolver, now, include_deleted=include_deleted)
    query = resolver.query
    stop = None if query.limit is None else query.offset + query.limit
    if _is_order(resolver, order):
        return list(islice(rows, query.offset, stop))
    return ordered(resolver, list(rows))[query.offset : stop]


def ordered(resolver: Resolver, rows: list[Row]) -> list[Row]:
    """Return the rows in the query's order.

    :raises CallError: INVALID_FIELD: a field cannot be sorted by; MALFORMED_QUERY: an aggregate is.
    """
    for item in reversed(resolver.query.order):
        if isinstance(item.key, syntax.Aggregate):
            message = "An aggregate can only be ordered by in a grouped query"
            raise CallError(400, "MALFORMED_QUERY", resolver.error_at(item.key.path, message))
        field, read = resolver.resolve(item.key)
        if not field.is_sortable:
            message = f"field '{field.name}' can not be sorted in a query call"
            raise CallError(400, "INVALID_FIELD", resolver.error_at(item.key, message))
        rows = sorted_by(rows, field, read, item)
    return rows


def sorted_by(rows: list[Row], field: FieldDef | None, read: Callable[[Row], Any], item: syntax.OrderItem) -> list[Row]:
    """Return the rows by one key, nulls in their place; text of a ``field`` that ignores case without case."""
    fold = field is not None and folds_case(field)
    nulls = [row for row in rows if read(row) is None]
    filled = [row for row in rows if read(row) is not None]
    filled.sort(key=partial(_sort_key, read, fold), reverse=item.descending)
    return filled + nulls if item.nulls_last else nulls + filled


def _sort_key(read: Callable[[Row], Any], fold: bool, row: Row) -> Any:
    value = read(row)
    return value.casefold() if fold else value


def _is_order(resolver: Resolver, order: tuple[str, ...]) -> bool:
    """Whether rows that come by some fields come as the query wants them."""
    keys = [(item.key, item.descending) for item in resolver.query.order]
    names = [
        ".".join(resolver.names(key)).lower()
        for key, descending in keys
        if not descending and isinstance(key, syntax.Path)
    ]
    return len(names) == len(keys) and tuple(names) == order[: len(names)]
