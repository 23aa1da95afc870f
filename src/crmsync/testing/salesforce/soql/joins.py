"""Inner queries: semi-joins in WHERE, and the records that belong to each record."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.schema import ID_TYPES, FieldDef
from crmsync.testing.salesforce.soql import syntax
from crmsync.testing.salesforce.soql.projection import projection
from crmsync.testing.salesforce.soql.resolving import Resolver
from crmsync.testing.salesforce.soql.selection import ordered, selected, table_of, tested

if TYPE_CHECKING:
    from datetime import datetime

    from crmsync.testing.salesforce.store import Row, Table


def with_ids(resolver: Resolver, now: datetime) -> Resolver:
    """Return the query with the ids that its semi-joins found in their place.

    "SOQL and SOSL Reference", page "Comparison Operators": an inner query selects one id or reference field, and cannot
    stand beside OR.

    :raises CallError: MALFORMED_QUERY.
    """
    where = resolver.query.where
    return (
        resolver
        if where is None
        else evolve(resolver, query=evolve(resolver.query, where=_filled(resolver, where, now)))
    )


def _filled(resolver: Resolver, condition: syntax.Condition, now: datetime) -> syntax.Condition:
    match condition:
        case syntax.MemberOf():
            return _ids(resolver, condition, now)
        case syntax.And(terms):
            return syntax.And(tuple(_filled(resolver, term, now) for term in terms))
        case syntax.Or(terms):
            for term in terms:
                if isinstance(term, syntax.MemberOf):
                    message = "Semi join sub-selects are not allowed with the 'OR' operator"
                    raise CallError(400, "MALFORMED_QUERY", resolver.error_at(term.path, message))
            return syntax.Or(tuple(_filled(resolver, term, now) for term in terms))
        case syntax.Not(term):
            return syntax.Not(_filled(resolver, term, now))
        case _:
            return condition


def _ids(resolver: Resolver, condition: syntax.MemberOf, now: datetime) -> syntax.Member:
    query = evolve(condition.query, text=resolver.query.text)
    inner = Resolver(query, table_of(query, resolver.tables), resolver.tables)
    item = query.select[0]
    if len(query.select) != 1 or not isinstance(item, syntax.Path):
        message = "The inner query of a semi join selects one field"
        raise CallError(400, "MALFORMED_QUERY", resolver.error_at(condition.path, message))
    outer_field, _ = resolver.resolve(condition.path)
    inner_field, read = inner.resolve(item)
    if not _objects(resolver.table, outer_field) & _objects(inner.table, inner_field):
        message = (
            f"The selected field '{inner_field.name}' in the subquery and the left operand field '{outer_field.name}'"
            " in the where expression in the outer query should point to the same object type"
        )
        raise CallError(400, "MALFORMED_QUERY", resolver.error_at(condition.path, message))
    found = {read(row) for row in selected(inner, now, include_deleted=False)} - {None}
    literals = tuple(syntax.Text(value) for value in sorted(found))
    return syntax.Member(condition.path, literals, negated=condition.negated)


def _objects(table: Table, field: FieldDef) -> set[str]:
    if field.type not in ID_TYPES:
        return set()
    return {table.name} if field.type == "id" else set(field.references)


@frozen
class Children:
    """An inner SELECT: what reads the records of a row, and the names of their columns."""

    read: Callable[[Row], dict[str, Any] | None]
    columns: tuple[str, ...]


def children(resolver: Resolver, version: str, now: datetime) -> dict[str, Children]:
    """Return the inner SELECTs by the names of their relationships.

    :raises CallError: INVALID_TYPE: there is no such child relationship; and as an inner query is refused.
    """
    found: dict[str, Children] = {}
    for item in resolver.query.select:
        if isinstance(item, syntax.Children):
            query = evolve(item.query, text=resolver.query.text)
            table, link = _relationship(resolver, query)
            assert link.children is not None
            found[link.children] = _inner(Resolver(query, table, resolver.tables), link, version, now)
    return found


def _relationship(resolver: Resolver, query: syntax.Query) -> tuple[Table, FieldDef]:
    wanted = query.object_name.lower()
    for table in resolver.tables.values():
        for field in table.definition.fields.values():
            if resolver.table.name in field.references and (field.children or "").lower() == wanted:
                return table, field
    message = f"Didn't understand relationship '{query.object_name}' in FROM part of query call."
    raise CallError(400, "INVALID_TYPE", resolver.error_at(syntax.Path((), query.object_position), message))


def _inner(resolver: Resolver, link: FieldDef, version: str, now: datetime) -> Children:
    resolver = with_ids(resolver, now)
    show, columns = projection(resolver, version, {})
    query = resolver.query
    stop = None if query.limit is None else query.offset + query.limit

    def read(row: Row) -> dict[str, Any] | None:
        own = resolver.table.matching(link.name, row["Id"])
        rows = list(tested(resolver, own, now, include_deleted=False))
        rows = ordered(resolver, rows)[query.offset : stop]
        records = [show(child) for child in rows]
        return {"totalSize": len(records), "done": True, "records": records} if records else None

    return Children(read, columns)
