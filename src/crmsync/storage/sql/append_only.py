"""The triggers that let the audit log only grow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.engine import Connection

from crmsync.storage.sql.layout import layout_of

_TABLE: Final = "crm_audit_log"


def named(connection: Connection) -> str:
    """The log's name with the layout's prefix and schema, for statements that are written by hand."""
    quoted = connection.dialect.identifier_preparer.quote(_TABLE)
    schema = layout_of(connection).schema
    return quoted if schema is None else f"{connection.dialect.identifier_preparer.quote(schema)}.{quoted}"


def sqlite_triggers(table: str) -> Iterator[str]:
    """The statements that make them in SQLite, for the log of this name."""
    for what in ("UPDATE", "DELETE"):
        yield (
            f"CREATE TRIGGER {table}_no_{what.lower()} BEFORE {what} ON {table}"
            " BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )


def postgresql_triggers(table: str) -> Iterator[str]:
    """The statements that make them in PostgreSQL, for the log of this name."""
    yield (
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''the audit log is append-only''; END'"
    )
    yield (
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
    )


@contextmanager
def lifted(connection: Connection) -> Iterator[None]:
    """Let the log be emptied within: for restoring a backup, whose log takes the place of this one.

    It takes the rights of the table's owner. Within the transaction: nobody else can use the gap.
    """
    table = named(connection)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
        yield
        connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER append_only")
        return
    for what in ("update", "delete"):
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_no_{what}")
    yield
    for statement in sqlite_triggers(table):
        connection.exec_driver_sql(statement)
