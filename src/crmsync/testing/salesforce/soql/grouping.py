"""Grouped queries: one result for each group, or one for everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.schema import COMPOUND_TYPES, NUMBER_TYPES, FieldDef
from crmsync.testing.salesforce.soql import syntax
from crmsync.testing.salesforce.soql.filters import folds_case
from crmsync.testing.salesforce.soql.selection import sorted_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crmsync.testing.salesforce.soql.resolving import Resolver
    from crmsync.testing.salesforce.store import Row

Read: TypeAlias = Callable[["Row"], Any]

_UNGROUPED: Final = frozenset({"double", "currency", "percent", "address", "location", "datetime", "multipicklist"})
_UNORDERED: Final = frozenset({"boolean", "address", "location", "id", "reference", "multipicklist"})


@frozen
class Column:
    """One column of a grouped result: its name, and its value for the rows of a group."""

    name: str
    value: Callable[[Sequence[Row]], Any]
    aggregates: bool


def is_grouped(query: syntax.Query) -> bool:
    """Whether the query's results are of groups, not of records."""
    return bool(query.group) or any(isinstance(item, syntax.Aggregate) for item in query.select)


def columns(resolver: Resolver) -> tuple[Column, ...]:
    """Return the columns of a grouped query.

    :raises CallError: MALFORMED_QUERY: a field is neither grouped nor aggregated, or does not support it.
    """
    found: list[Column] = []
    unnamed = 0
    for item in resolver.query.select:
        if isinstance(item, syntax.Aggregate):
            name = item.alias
            if name is None:
                name, unnamed = f"expr{unnamed}", unnamed + 1
            found.append(Column(name, aggregate(resolver, item), aggregates=True))
        elif isinstance(item, (syntax.Path, syntax.Aliased)):
            path = item if isinstance(item, syntax.Path) else item.path
            found.append(_grouped_column(resolver, path, item))
        else:
            raise CallError(400, "MALFORMED_QUERY", "Grouped queries select fields and aggregates only")
    names = [column.name.lower() for column in found]
    for name in names:
        if names.count(name) > 1:
            raise CallError(400, "MALFORMED_QUERY", f"duplicate alias: {name}")
    return tuple(found)


def _grouped_column(resolver: Resolver, path: syntax.Path, item: syntax.Path | syntax.Aliased) -> Column:
    field, read = resolver.resolve(path)
    if not _is_grouped_by(resolver, path):
        message = f"Field must be grouped or aggregated: {field.name}"
        raise CallError(400, "MALFORMED_QUERY", resolver.error_at(path, message))
    name = item.alias if isinstance(item, syntax.Aliased) else field.name
    return Column(name, lambda rows: read(rows[0]), aggregates=False)


def aggregate(resolver: Resolver, item: syntax.Aggregate) -> Callable[[Sequence[Row]], Any]:
    """Return the function that computes an aggregate of a group's rows.

    :raises CallError: MALFORMED_QUERY: there is no such function, or not for the field.
    """
    field, read = resolver.resolve(item.path)
    compute = _FUNCTIONS.get(item.function)
    if compute is None:
        raise CallError(400, "MALFORMED_QUERY", f"unexpected token: '{item.function}'")
    numeric = item.function in ("SUM", "AVG")
    unfit = field.type not in NUMBER_TYPES if numeric else item.function in ("MIN", "MAX") and field.type in _UNORDERED
    if unfit or field.type in COMPOUND_TYPES or field.is_long_text:
        message = f"field {field.name} does not support aggregate operator {item.function}"
        raise CallError(400, "MALFORMED_QUERY", resolver.error_at(item.path, message))
    key = _key(field, read)
    return lambda rows: compute([value for row in rows if (value := key(row)) is not None])


def _average(values: Sequence[Any]) -> float | None:
    return sum(values) / len(values) if values else None


_FUNCTIONS: Final[dict[str, Callable[[Sequence[Any]], Any]]] = {
    "COUNT": len,
    "COUNT_DISTINCT": lambda values: len(set(values)),
    "SUM": lambda values: sum(values) if values else None,
    "AVG": _average,
    "MIN": lambda values: min(values, default=None),
    "MAX": lambda values: max(values, default=None),
}


def _key(field: FieldDef, read: Read) -> Read:
    if not folds_case(field):
        return read
    return lambda row: _Folded(value) if (value := read(row)) is not None else None


class _Folded(str):
    """A text that is equal to and sorted with others without regard to case."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.casefold() == other.casefold()

    def __hash__(self) -> int:
        return hash(self.casefold())

    def __lt__(self, other: str) -> bool:
        return self.casefold() < other.casefold()

    def __gt__(self, other: str) -> bool:
        return self.casefold() > other.casefold()


def grouped(resolver: Resolver, rows: Iterable[Row]) -> tuple[list[Row], tuple[Column, ...]]:
    """Return the results of a grouped query with their columns, in its order and within its bounds.

    :raises CallError: MALFORMED_QUERY or INVALID_FIELD.
    """
    shown = columns(resolver)
    query = resolver.query
    keys = [_order_key(resolver, item, shown) for item in query.order]
    results: list[Row] = []
    for group in _groups(resolver, rows):
        ordering = {f"${place}": value(group) for place, (value, _) in enumerate(keys)}
        results.append({column.name: column.value(group) for column in shown} | ordering)
    for place, item in reversed(list(enumerate(query.order))):
        results = sorted_by(results, keys[place][1], itemgetter(f"${place}"), item)
    stop = None if query.limit is None else query.offset + query.limit
    return results[query.offset : stop], shown


def _order_key(
    resolver: Resolver, item: syntax.OrderItem, shown: Sequence[Column]
) -> tuple[Callable[[Sequence[Row]], Any], FieldDef | None]:
    if isinstance(item.key, syntax.Aggregate):
        return aggregate(resolver, item.key), None
    alias = next((column for column in shown if column.aggregates and (column.name,) == item.key.parts), None)
    if alias is not None:
        return alias.value, None
    field, read = resolver.resolve(item.key)
    if not _is_grouped_by(resolver, item.key):
        message = f"Ordered field must be grouped or aggregated: {field.name}"
        raise CallError(400, "MALFORMED_QUERY", resolver.error_at(item.key, message))
    return (lambda rows: read(rows[0])), field


def _is_grouped_by(resolver: Resolver, path: syntax.Path) -> bool:
    wanted = [part.lower() for part in resolver.names(path)]
    return any([part.lower() for part in resolver.names(key)] == wanted for key in resolver.query.group)


def _groups(resolver: Resolver, rows: Iterable[Row]) -> Iterator[list[Row]]:
    keys: list[Read] = []
    for path in resolver.query.group:
        field, read = resolver.resolve(path)
        if field.type in _UNGROUPED or field.is_long_text:
            message = f"field '{field.name}' can not be grouped in a query call"
            raise CallError(400, "MALFORMED_QUERY", resolver.error_at(path, message))
        keys.append(_key(field, read))
    if not keys:
        yield list(rows)
        return
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(key(row) for key in keys), []).append(row)
    yield from found.values()
