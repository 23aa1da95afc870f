"""The revision of a database's schema. One that is current is opened without Alembic, whose import takes a while."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.errors import StorageError
from crmsync.storage.sql.layout import VERSION_TABLE, has_tables

HEAD: Final = "0019"
"""The revision that this crmsync works with."""

LOCK_WAIT: Final = "2s"
"""How long what changes a table waits for a lock. Whoever comes after it waits too, so it gives up for a while."""

_VERSIONS: Final = sa.Table(VERSION_TABLE, sa.MetaData(), sa.Column("version_num", sa.String))


def current_revision(connection: Connection) -> str | None:
    """The schema revision of a database; None if it has none of our tables."""
    if not has_tables(connection):
        return None
    return connection.scalar(sa.select(_VERSIONS.c.version_num))


def check_writable(connection: Connection, name: str) -> None:
    """Refuse a read-only database now, and not in the middle of a run.

    :raises StorageError: it is read-only.
    """
    if connection.dialect.name == "postgresql":
        if connection.scalar(sa.select(sa.func.current_setting("transaction_read_only"))) == "on":
            msg = f"the database {name} is read-only: connect to the primary server, or as a user who may write"
            raise StorageError(msg)
    else:
        # Changes nothing, and yet is a write.
        connection.execute(sa.update(_VERSIONS).values(version_num=HEAD).where(sa.false()))
