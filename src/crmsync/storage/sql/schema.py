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

_VERSIONS = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))

HEAD = "0010"
"""The revision that this crmsync works with."""

_ALEMBIC = threading.Lock()
"""Alembic keeps what it works on in globals. Who waits here holds its own database's lock and needs no other."""

_LOCK = 0x63726D73796E63
"""The key of PostgreSQL's advisory lock: ``crmsync`` in ASCII."""


def upgrade(connection: Connection, name: str) -> None:
    """Upgrade within the connection's transaction, after whoever upgrades at this moment. ``name`` is for messages.

    :raises StorageError: it is read-only, or newer than this code.
    """
    # On SQLite the transaction holds the write lock already.
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    current = current_revision(connection)
    if current == HEAD:
        # Changes nothing, and yet is a write: a read-only database refuses it now, and not in the middle of a run.
        connection.execute(sa.update(_VERSIONS).values(version_num=HEAD).where(sa.false()))
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
    return connection.scalar(sa.select(_VERSIONS.c.version_num))


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for our migrations on this connection."""
    config = Config()
    config.set_main_option("script_location", "crmsync.storage.sql:migrations")
    config.attributes["connection"] = connection
    return config
