"""What migrations do to tables that may be large and in use, so that nobody waits for them.

Rules for a new migration: a new column may be NULL or has a constant default (both are instant); an index on a table
that was there before comes from `create_index`, after everything else; a column becomes NOT NULL by way of a check that
is added NOT VALID and validated, since PostgreSQL would keep everybody out while it looks. `schema` sees to it that no
statement waits for a lock, with everybody else behind it, for longer than `LOCK_WAIT`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.revision import LOCK_WAIT


def add_columns(table: str, columns: Sequence[sa.Column[Any]]) -> None:
    """Add columns, those that are not there yet: `create_index` after them may break off and be tried again."""
    again = op.get_context().dialect.name == "postgresql"
    for column in columns:
        op.add_column(table, column, if_not_exists=again)


def create_index(name: str, table: str, columns: Sequence[str], where: str | None = None) -> None:
    """Create an index while others read and write the table, of the rows ``where`` if only some are in it.

    On PostgreSQL this commits what the migration did before, so that must bear to be done again (`add_columns`).
    """
    context = op.get_context()
    some: dict[str, Any] = {}
    if where is not None:
        some = {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}
    if context.dialect.name != "postgresql" or (not context.as_sql and _is_empty(table)):
        op.create_index(name, table, list(columns), **some)
        return
    with context.autocommit_block():
        # Building waits for the transactions that are at work, which holds nobody up: it may take its time.
        op.execute("SET lock_timeout = 0")
        # One that broke off has left an index that is not valid.
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
        op.create_index(name, table, list(columns), postgresql_concurrently=True, **some)
        op.execute(f"SET lock_timeout = '{LOCK_WAIT}'")


def drop_index(name: str, table: str) -> None:
    """Drop an index while others read and write the table; nothing if it is gone. On PostgreSQL this commits, too."""
    context = op.get_context()
    if context.dialect.name != "postgresql" or (not context.as_sql and _is_empty(table)):
        op.drop_index(name, table, if_exists=True)
        return
    with context.autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
        op.execute(f"SET lock_timeout = '{LOCK_WAIT}'")


def _is_empty(table: str) -> bool:
    query = sa.select(sa.literal(1)).select_from(sa.Table(table, sa.MetaData())).limit(1)
    return op.get_bind().execute(query).first() is None
