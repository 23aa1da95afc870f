"""Bringing a database to a revision of the schema: the current one, or back to an earlier one."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError

from crmsync.errors import ConfigurationError, StorageError
from crmsync.storage.sql.isolation import extend_isolation, isolated_tables
from crmsync.storage.sql.layout import layout_of
from crmsync.storage.sql.revision import HEAD, LOCK_WAIT, check_writable, current_revision

BASE: Final = "base"
"""Before the first revision: no tables of ours."""

CONNECTION: Final = "connection"
"""Under this name the migrations find the connection to work on."""

PATIENCE: Final = 600.0
"""Seconds that an upgrade goes on trying: while another process upgrades, or keeps a table locked."""

_ALEMBIC = threading.Lock()
"""Alembic keeps what it works on in globals. Who waits here holds its own database's lock and needs no other."""

_LOCK = 0x63726D73796E63
"""The key of PostgreSQL's advisory lock: ``crmsync`` in ASCII."""

_LOCK_NOT_AVAILABLE = "55P03"


def upgrade(engine: Engine, name: str, target: str = HEAD) -> None:
    """Upgrade to a revision, after whoever upgrades at this moment. ``name`` is for messages.

    On SQLite all of it happens or nothing. On PostgreSQL each revision is a transaction, and waits for no lock for
    longer than a moment: it tries again until `PATIENCE` ends.

    :raises StorageError: it is read-only, or newer than this code.
    :raises ConfigurationError: there is no such revision.
    """
    with engine.connect() as connection, connection.begin():
        current = current_revision(connection)
        _check_known(current, name)
        if current == HEAD:
            check_writable(connection, name)
    if current != target:
        _check_target(target)
        _move(engine, partial(_upgrade, name=name, target=target))


def downgrade(engine: Engine, name: str, target: str) -> None:
    """Go back to an earlier revision, or to `BASE`. What only later revisions keep is lost.

    :raises StorageError: the database is read-only, newer than this code, or older than the revision.
    :raises ConfigurationError: there is no such revision.
    """
    _check_target(target)
    _move(engine, partial(_downgrade, name=name, target=target))


def write_sql(url: str, start: str = BASE, target: str = HEAD) -> str:
    """The statements that bring a database from one revision to a later one, for those who run them themselves.

    :param url: the storage URL; it is not connected to.
    :raises ConfigurationError: there is no such revision, or the URL is malformed.
    """
    for revision in (start, target):
        _check_target(revision)
    if _order(start) > _order(target):
        raise ConfigurationError(f"the revision {start} comes after {target}")
    written = io.StringIO()
    config = configuration(output_buffer=written)
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    with _ALEMBIC:
        command.upgrade(config, f"{start}:{target}", sql=True)
    return written.getvalue()


@cache
def revisions() -> tuple[str, ...]:
    """Every revision, the first one first."""
    found = ScriptDirectory.from_config(configuration()).walk_revisions()
    return tuple(script.revision for script in found)[::-1]


def configuration(connection: Connection | None = None, output_buffer: io.StringIO | None = None) -> Config:
    """Alembic's configuration for our migrations, on this connection."""
    config = Config(output_buffer=output_buffer)
    config.set_main_option("script_location", "crmsync.storage.sql:migrations")
    config.attributes[CONNECTION] = connection
    return config


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """A connection for migrations, while no other process migrates.

    :raises StorageError: another process was at it for longer than `PATIENCE`.
    """
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            with _advisory_lock(connection):
                yield connection
        else:
            # The transaction holds SQLite's write lock.
            with connection.begin():
                yield connection


@contextmanager
def _advisory_lock(connection: Connection) -> Iterator[None]:
    # Waiting inside PostgreSQL would hold a snapshot, for which the other's CREATE INDEX CONCURRENTLY waits in turn.
    until = time.monotonic() + PATIENCE
    while not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_LOCK))):
        connection.commit()
        if time.monotonic() > until:
            raise StorageError("another process has been upgrading the database for a long time: try again later")
        time.sleep(0.05)
    connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_WAIT}'")
    # An index on a large table takes as long as it takes.
    connection.exec_driver_sql("SET statement_timeout = 0")
    if (name := layout_of(connection).schema) is not None:
        # Some of Alembic's statements do not pass through SQLAlchemy's translation of schemas.
        connection.exec_driver_sql(f"SET search_path TO {name}")
    connection.commit()
    try:
        yield
    finally:
        # The lock and the settings go with the session.
        connection.invalidate()


def _move(engine: Engine, work: Callable[[Connection], None]) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with alone(engine) as connection:
                return work(connection)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE or time.monotonic() > until:
                raise
        # Meanwhile those who stood behind us have their turn.
        time.sleep(0.5)


def _upgrade(connection: Connection, name: str, target: str) -> None:
    current = _current(connection, name)
    if _order(current) < _order(target):
        with _ALEMBIC:
            command.upgrade(configuration(connection), target)
        if target == HEAD and connection.dialect.name == "postgresql" and isolated_tables(connection):
            extend_isolation(connection)
            connection.commit()


def _downgrade(connection: Connection, name: str, target: str) -> None:
    current = _current(connection, name)
    if _order(current) < _order(target):
        raise StorageError(f"the database {name} is at revision {current}, which comes before {target}")
    with _ALEMBIC:
        command.downgrade(configuration(connection), target)


def _current(connection: Connection, name: str) -> str:
    current = current_revision(connection)
    _check_known(current, name)
    if connection.dialect.name == "postgresql":
        # Alembic begins its own.
        connection.commit()
    return current or BASE


def _order(revision: str) -> int:
    return 0 if revision == BASE else revisions().index(revision) + 1


def _check_target(revision: str) -> None:
    known = revisions()
    if revision != BASE and revision not in known:
        raise ConfigurationError(f"there is no revision {revision!r}: there are {BASE} and {known[0]} to {known[-1]}")


def _check_known(current: str | None, name: str) -> None:
    if current is not None and current not in revisions():
        msg = f"the database {name} was written by a newer crmsync (schema {current}, not {HEAD}): upgrade crmsync"
        raise StorageError(msg)
