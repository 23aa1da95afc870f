"""Bringing a database to the current schema."""

from __future__ import annotations

import threading

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from crmsync.errors import StorageError

VERSION_TABLE = "crmsync_alembic_version"
"""A table of our own, so that an application's own Alembic migrations may live in the same database."""

HEAD = "0001"
"""The revision that this crmsync works with."""

_ALEMBIC = threading.Lock()
"""Alembic keeps what it works on in globals. Who waits here holds its own database's lock and needs no other."""

_LOCK = 0x63726D73796E63
"""The key of PostgreSQL's advisory lock: ``crmsync`` in ASCII."""


def upgrade(connection: Connection, name: str) -> None:
    """Upgrade within the connection's transaction, after whoever upgrades at this moment. ``name`` is for messages.

    :raises StorageError: it is read-only, or newer than this code.
    """
    # On SQLite the transaction holds the write lock already, and a read-only database refused it.
    if connection.dialect.name == "postgresql":
        if connection.scalar(sa.text("SHOW transaction_read_only")) == "on":
            msg = f"the database {name} is read-only: connect to the primary server, or as a user who may write"
            raise StorageError(msg)
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    current = current_revision(connection)
    if current == HEAD:
        return
    config = configuration(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        msg = f"the database {name} was written by a newer crmsync (schema {current}, not {HEAD}): upgrade crmsync"
        raise StorageError(msg)
    with _ALEMBIC:
        command.upgrade(config, "head")


def current_revision(connection: Connection) -> str | None:
    """The schema revision of a database; None if it has none of our tables."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE)))


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for our migrations on this connection."""
    config = Config()
    config.set_main_option("script_location", "crmsync.storage.sql:migrations")
    config.attributes["connection"] = connection
    return config
