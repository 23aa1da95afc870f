"""One database, worked on in worker threads: a whole piece of work in one transaction and one hop."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import attrs
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool, StaticPool

from crmsync.errors import ConfigurationError, MissingExtraError, StorageError
from crmsync.storage import admission
from crmsync.storage.sql.attempts import OUTAGE_SECONDS, WRITES, Attempts
from crmsync.storage.sql.failures import shown, translated
from crmsync.storage.sql.isolation import split_tenant
from crmsync.storage.sql.layout import Layout, split_layout
from crmsync.storage.sql.session_limits import split_limits

T = TypeVar("T")

POOL_SIZE = 4
"""Connections to one database. More do not help: SQLite has one writer, and a run works on one page at a time."""

BUSY_SECONDS = 30.0
"""How long SQLite waits for another process that writes."""

PREPARE_AFTER = 5
"""Executions after which psycopg prepares a statement on the server; its own default."""


@attrs.frozen(slots=True)
class Database:
    """An open database. Work given to it is a plain function of a connection; it runs in a worker thread.

    What the database undid is done again (`Attempts`), so work must bear to be called more than once. A cancelled task
    waits for its transaction to end, so nobody ever sees half of one.
    """

    url: URL
    engine: Engine = attrs.field(repr=False)
    layout: Layout
    attempts: Attempts = attrs.field(repr=False)
    readers: anyio.CapacityLimiter = attrs.field(repr=False)
    writers: anyio.CapacityLimiter = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """The URL for people: without its password."""
        return shown(self.url)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run work that only reads.

        :raises StorageError: the database failed.
        """
        return await anyio.to_thread.run_sync(partial(self._attempt, work, writes=False), limiter=self.readers)

    async def write(self, work: Callable[[Connection], T], *, then: Callable[[Connection], object] | None = None) -> T:
        """Run work in a transaction that writes: committed when it returns, undone when it raises.

        ``then`` is run in it last, after what `audited` has to write down.

        :raises StorageError: the database failed; nothing of the work is stored.
        """
        whole = work if then is None else _in_order(work, then)
        return await anyio.to_thread.run_sync(partial(self._attempt, whole, writes=True), limiter=self.writers)

    async def manage(self, work: Callable[[Engine], T], *, writes: bool = True) -> T:
        """Run work that opens and ends its own transactions, as migrations do.

        :raises StorageError: the database failed.
        """

        def managed() -> T:
            with translated(self.url):
                return work(self.engine)

        return await anyio.to_thread.run_sync(managed, limiter=self.writers if writes else self.readers)

    def _attempt(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        with translated(self.url):
            return self.attempts.run(work, writes=writes)


def _in_order(work: Callable[[Connection], T], then: Callable[[Connection], object]) -> Callable[[Connection], T]:
    def both(connection: Connection) -> T:
        result = work(connection)
        then(connection)
        return result

    return both


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """Open ``sqlite:///path``, ``sqlite://`` (in memory, gone at the end) or ``postgresql://...``; no schema is made.

    An SQLite file that does not exist is created, readable and writable by its owner alone. ``table_prefix`` and
    ``schema`` in the URL are a `Layout`, ``tenant_user`` and ``tenant_integration`` a `Tenant`. ``timeout`` is how many
    seconds to wait: for another process that writes to SQLite, or for a server of PostgreSQL that is away for a moment.
    ``stall_timeout`` is how many seconds PostgreSQL waits for a process that stands still in a transaction.

    :raises ConfigurationError: the URL is malformed or of another kind of database.
    :raises MissingExtraError: PostgreSQL's driver is not installed.
    :raises StorageError: it cannot be opened.
    """
    parsed, layout = split_layout(parse_url(url))
    parsed, tenant = split_tenant(parsed)
    outage = _seconds(parsed, OUTAGE_SECONDS)
    engine = await anyio.to_thread.run_sync(make_engine, parsed, layout)
    tenant.apply(engine)
    attempts = Attempts(engine, outage)
    if parsed.get_backend_name() == "sqlite":
        single = anyio.CapacityLimiter(1)
        readers = single if isinstance(engine.pool, StaticPool) else anyio.CapacityLimiter(POOL_SIZE - 1)
        database = Database(parsed, engine, layout, attempts, readers=readers, writers=single)
    else:
        every = anyio.CapacityLimiter(POOL_SIZE)
        database = Database(parsed, engine, layout, attempts, readers=every, writers=every)
    try:
        yield database
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(engine.dispose)


def make_engine(url: URL, layout: Layout) -> Engine:
    """An engine as `open_database` uses it, for `parse_url` and `split_layout`'s URL.

    :raises MissingExtraError: PostgreSQL's driver is not installed.
    :raises StorageError: an SQLite file cannot be created, or is read-only.
    """
    return _sqlite_engine(url, layout) if url.get_backend_name() == "sqlite" else _postgres_engine(url, layout)


def parse_url(url: str) -> URL:
    """A storage URL with the driver that we use.

    :raises ConfigurationError: it is malformed, or of another kind of database.
    """
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        # SQLAlchemy's message quotes the URL, password and all.
        raise ConfigurationError("the storage URL is malformed; it reads like sqlite:///path/to/file.db") from None
    drivers = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
    if parsed.drivername in {"postgresql+psycopg", "sqlite+pysqlite"}:
        return parsed
    if parsed.drivername not in drivers:
        raise ConfigurationError(f"SQL storage knows sqlite:// and postgresql:// URLs, not {parsed.drivername}://")
    return parsed.set(drivername=drivers[parsed.drivername])


def _sqlite_engine(url: URL, layout: Layout) -> Engine:
    in_memory = url.database in {None, "", ":memory:"} or url.query.get("mode") == "memory"
    if not in_memory and not str(url.database).startswith("file:"):
        _prepare_file(Path(str(url.database)))
    patience = _seconds(url, BUSY_SECONDS)
    connect_args: dict[str, Any] = {"check_same_thread": False, "isolation_level": None, "timeout": patience}
    # In memory every connection is a database of its own, so all work shares one.
    pool: dict[str, Any] = {"poolclass": StaticPool} if in_memory else {"poolclass": QueuePool, "pool_size": POOL_SIZE}
    engine = _engine(url, layout, connect_args=connect_args, **pool)
    event.listen(engine, "connect", lambda connection, _entry: _set_pragmas(connection, patience))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _seconds(url: URL, otherwise: float) -> float:
    try:
        return float(str(url.query.get("timeout", otherwise)))
    except ValueError:
        raise ConfigurationError("the storage URL's timeout is not a number of seconds") from None


def _prepare_file(path: Path) -> None:
    if not path.parent.is_dir():
        raise StorageError(f"the directory {path.parent} does not exist: create it, or name another database")
    if path.is_dir():
        raise StorageError(f"{path} is a directory: name a file in it")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        # The superuser could write all the same; whoever took the right away from everybody meant it.
        if not path.stat().st_mode & 0o222:
            msg = f"the database {path} is read-only: make the file writable, or name another database"
            raise StorageError(msg) from None
    except OSError as error:
        raise StorageError(f"the database {path} cannot be created: {error.strerror}") from None


def _set_pragmas(connection: DBAPIConnection, patience: float) -> None:
    with closing(connection.cursor()) as cursor:
        # FULL: what was acknowledged survives a power failure too, as the journal must.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        # Readers go on while one writes. Of two who make this switch on a new file one fails at once: SQLite does not
        # wait here, so we do.
        until = time.monotonic() + patience
        while not _switched_to_wal(cursor, last_try=time.monotonic() > until):
            time.sleep(0.005)


def _switched_to_wal(cursor: DBAPICursor, *, last_try: bool) -> bool:
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if last_try or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once, without waiting, when another wrote meanwhile.
    writes = connection.get_execution_options().get(WRITES, True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres_engine(url: URL, layout: Layout) -> Engine:
    try:
        import psycopg as _psycopg  # noqa: F401, PLC0415  (an extra of its own)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "psycopg":
            raise
        raise MissingExtraError("PostgreSQL storage", "postgres") from error
    url, limits = split_limits(url.difference_update_query(["timeout"]))
    arguments = limits.arguments(url)
    engine = _engine(url, layout, connect_args=arguments, pool_size=POOL_SIZE, max_overflow=0, pool_pre_ping=True)
    event.listen(engine, "connect", lambda connection, _entry: limits.set_on(connection))
    event.listen(engine, "begin", _begin_postgres)
    return engine


def _begin_postgres(connection: Connection) -> None:
    # What is read is planned anew with the ids at hand: a prepared plan, made for any array of ids, compares each row
    # with each of them (55 ms instead of 3 for 500 ids and 10,000 links not yet analysed). Inserts gain by preparing.
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.prepare_threshold = PREPARE_AFTER if connection.get_execution_options().get(WRITES, True) else None


def _engine(url: URL, layout: Layout, **options: Any) -> Engine:
    # hide_parameters: SQLAlchemy's own log and errors would show the values of a failed statement.
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        json_serializer=admission.to_json,
        execution_options=layout.options(),
        **options,
    )
    layout.apply(engine.dialect)
    return engine


__all__ = ["Database", "open_database", "shown"]
