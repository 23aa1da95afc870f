"""Running a query: which rows, in which order, shown how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.soql import grouping, syntax
from crmsync.testing.salesforce.soql.joins import children, with_ids
from crmsync.testing.salesforce.soql.parsing import parse
from crmsync.testing.salesforce.soql.projection import projection
from crmsync.testing.salesforce.soql.resolving import Resolver
from crmsync.testing.salesforce.soql.selection import matching, selected, table_of
from crmsync.testing.salesforce.times import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from crmsync.testing.salesforce.store import Row, Table

MAX_OFFSET = 2_000
MAX_FIELDS_LIMIT = 200
_MARKED = {"VIEW": "LastViewedDate", "REFERENCE": "LastReferencedDate"}


@frozen(kw_only=True)
class Result:
    """A query's outcome. ``total`` is COUNT()'s number or that of ``rows``; ``show`` makes a row the API's record.

    ``children`` are the columns of inner SELECTs, ``aggregates`` those of the ``columns`` that are computed;
    ``is_grouped`` tells that no row is a record.
    """

    rows: Sequence[Row]
    show: Callable[[Row], dict[str, Any]]
    total: int
    columns: tuple[str, ...] = ()
    children: Mapping[str, tuple[str, ...]] = field(factory=dict)
    aggregates: frozenset[str] = frozenset()
    is_grouped: bool = False


def run(text: str, tables: Mapping[str, Table], *, version: str, now: datetime, include_deleted: bool) -> Result:
    """Run a SOQL query on the tables as readers see them. ``FOR VIEW`` and ``FOR REFERENCE`` mark what is found.

    :param version: of the API, such as ``"68.0"``, for the records' URLs.
    :param include_deleted: whether the recycle bin is searched too, as queryAll does.
    :raises CallError: as Salesforce refuses the query.
    """
    query = parse(text)
    table = table_of(query, tables)
    for each in tables.values():
        each.settle(now)
    _require_bounds(query)
    resolver = with_ids(Resolver(query, table, tables), now)
    if grouping.is_grouped(query):
        return _grouped(resolver, now, include_deleted=include_deleted)
    inner = children(resolver, version, now)
    show, columns = projection(resolver, version, {name: child.read for name, child in inner.items()})
    rows = selected(resolver, now, include_deleted=include_deleted)
    if isinstance(query.select[0], syntax.CountAll):
        return Result(rows=[], show=show, total=len(rows), columns=columns)
    _mark(table, rows, query.purposes, now)
    inner_columns = {name: child.columns for name, child in inner.items()}
    return Result(rows=rows, show=show, total=len(rows), columns=columns, children=inner_columns)


def _mark(table: Table, rows: Sequence[Row], purposes: frozenset[str], now: datetime) -> None:
    """Note that the rows were looked at, in fields that no save touches.

    ("SOQL and SOSL Reference", page "FOR VIEW and FOR REFERENCE".) The dates are the user's own in Salesforce; here all
    users share them.
    """
    names = [_MARKED[purpose] for purpose in purposes]
    marks = {name: stamp(now) for name in names if name in table.definition.fields}
    if marks:
        for row in rows:
            table.mark(row["Id"], marks)


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


def _grouped(resolver: Resolver, now: datetime, *, include_deleted: bool) -> Result:
    found, _ = matching(resolver, now, include_deleted=include_deleted)
    rows, columns = grouping.grouped(resolver, found)
    names = tuple(column.name for column in columns)

    def show(row: Row) -> dict[str, Any]:
        return {"attributes": {"type": "AggregateResult"}, **{name: row[name] for name in names}}

    computed = frozenset(column.name for column in columns if column.aggregates)
    return Result(rows=rows, show=show, total=len(rows), columns=names, aggregates=computed, is_grouped=True)
