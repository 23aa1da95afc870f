"""Statements that SQLite and PostgreSQL share: insert or replace, and lists of ids of any length."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from crmsync.storage.sql.tables import links, numbers

T = TypeVar("T")
AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"

IDS_PER_STATEMENT = 500
"""SQLite may be built to take no more than 999 variables in a statement."""


def insert_into(connection: Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """The dialect's own insert, which can say ``ON CONFLICT``."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def store(
    connection: Connection,
    table: sa.Table,
    keys: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    kept: Collection[str] = (),
) -> None:
    """Insert rows, or replace those with the same ``keys`` but for their ``kept`` columns."""
    if not rows:
        return
    insert = insert_into(connection, table)
    changes = {name: insert.excluded[name] for name in rows[0] if name not in keys and name not in kept}
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changes), rows)


def parts(ids: Iterable[T]) -> Iterator[list[T]]:
    """The ids without repetition, as many at a time as one statement takes."""
    distinct = list(dict.fromkeys(ids))
    for start in range(0, len(distinct), IDS_PER_STATEMENT):
        yield distinct[start : start + IDS_PER_STATEMENT]


def of_object(table: sa.Table, integration_id: str, entity_type: str) -> sa.ColumnElement[bool]:
    """The rows of one object of one integration."""
    if table is links:
        number = sa.select(numbers.c.id).where(of_object(numbers, integration_id, entity_type)).scalar_subquery()
        return table.c.integration_id == number
    return sa.and_(table.c.integration_id == integration_id, table.c.entity_type == entity_type)
