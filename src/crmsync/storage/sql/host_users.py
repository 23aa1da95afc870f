"""`user_id` as a reference to the host application's own table of users.

A column of its own is added, `user_key`: what `user_id` says, in the type of the host's key, NULL where it says
nothing. The database works it out by itself and keeps it a foreign key, so no code of ours knows of it.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError, NoSuchTableError

from crmsync.errors import ConfigurationError
from crmsync.storage.sql.isolation import qualified
from crmsync.storage.sql.layout import layout_of
from crmsync.storage.sql.revision import LOCK_WAIT
from crmsync.storage.sql.tables import integrations

COLUMN: Final = "user_key"
OnDelete = Literal["restrict", "cascade"]

_PLACE: Final = re.compile(r"(?:(?P<schema>\w+)\.)?(?P<table>\w+)\.(?P<column>\w+)")


def reference_users(connection: Connection, place: str, on_delete: OnDelete) -> None:
    """Let every ``user_id`` that is not empty refer to ``table.column`` or ``schema.table.column``.

    :raises ConfigurationError: there is no such column, it is referred to already, or a user is missing there.
    """
    found = _PLACE.fullmatch(place)
    if found is None:
        raise ConfigurationError(f"the users' key reads like users.id or app.users.id, not {place!r}")
    if is_referring(connection):
        raise ConfigurationError("user_id refers to users already: undo that first")
    schema, table, column = found["schema"], found["table"], found["column"]
    quote = connection.dialect.identifier_preparer.quote
    kind = _kind(connection, schema, table, column)
    target = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
    is_postgres = connection.dialect.name == "postgresql"
    worked_out = f"CAST(nullif(user_id, '') AS {kind})"
    refers = f"REFERENCES {target} ({quote(column)}) ON DELETE {on_delete.upper()}"
    # SQLite adds no column that it would have to fill in, and PostgreSQL has foreign keys on those alone.
    kept = "STORED" if is_postgres else "VIRTUAL"
    ours = qualified(connection, integrations.name)
    if is_postgres:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
    everybody_is_there = True
    try:
        connection.exec_driver_sql(
            f"ALTER TABLE {ours} ADD COLUMN {COLUMN} {kind} {refers} GENERATED ALWAYS AS ({worked_out}) {kept}"
        )
        if not is_postgres:
            everybody_is_there = connection.exec_driver_sql(f"PRAGMA foreign_key_check({ours})").first() is None
    except IntegrityError:
        everybody_is_there = False
    if not everybody_is_there:
        raise ConfigurationError(f"an integration's user is not in {place}: add the user, or correct the user_id")


def unreference_users(connection: Connection) -> None:
    """Let ``user_id`` be any text again.

    :raises ConfigurationError: it is.
    """
    if not is_referring(connection):
        raise ConfigurationError("user_id refers to no users")
    connection.exec_driver_sql(f"ALTER TABLE {qualified(connection, integrations.name)} DROP COLUMN {COLUMN}")


def is_referring(connection: Connection) -> bool:
    """Whether ``user_id`` refers to a table of users."""
    layout = layout_of(connection)
    columns = sa.inspect(connection).get_columns(layout.name(integrations.name), schema=layout.schema)
    return any(column["name"] == COLUMN for column in columns)


def _kind(connection: Connection, schema: str | None, table: str, column: str) -> str:
    try:
        columns = sa.inspect(connection).get_columns(table, schema=schema)
    except NoSuchTableError:
        raise ConfigurationError(f"there is no table {table!r}") from None
    kinds = [one["type"] for one in columns if one["name"] == column]
    if not kinds:
        raise ConfigurationError(f"the table {table!r} has no column {column!r}")
    return kinds[0].compile(dialect=connection.dialect)
