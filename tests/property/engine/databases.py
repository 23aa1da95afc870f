"""Bookkeeping in one database for many histories: migrated once, emptied for each, its statements compiled once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import anyio
import attrs
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from crmsync.protocols.repository import SyncRepository
from crmsync.storage.sql import SqlRepository, tables
from crmsync.storage.sql.attempts import WRITES, Attempts
from crmsync.storage.sql.database import Database, make_engine, parse_url
from crmsync.storage.sql.layout import Layout, split_layout
from tests.migrated import fill, migrate, new_sqlite
from tests.property.engine.storages import OPENERS

T = TypeVar("T")

BY_THREADS = 4
"""One in so many histories opens its bookkeeping as users open theirs, with its statements in threads.

Those of the others are carried out where they are asked for, on one connection: to hand one to a thread, to wait for
it, and to have a connection for each, takes longer than it does.
"""


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Callable[[], str]]:
    """Gives the URL of an empty bookkeeping for one history after another.

    One that is opened has a file of its own. What the others share is in memory: a commit does not wait for the disk.
    """
    numbers = count(1)

    def opened() -> str:
        return new_sqlite(folder / f"new-{next(numbers)}.db")

    parsed, layout = split_layout(parse_url("sqlite://"))
    engine = make_engine(parsed, layout)
    fill(engine)
    with _kept(parsed, engine, layout, opened) as storage:
        yield storage


@contextmanager
def on_postgresql(url: str) -> Iterator[Callable[[], str]]:
    """The same in a database of PostgreSQL."""
    migrate(url)
    parsed, layout = split_layout(parse_url(url))
    engine = make_engine(parsed, layout)

    def opened() -> str:
        with engine.begin() as connection:
            _empty(connection)
        return url

    with _kept(parsed, engine, layout, opened) as storage:
        yield storage


@contextmanager
def _kept(url: URL, engine: Engine, layout: Layout, opened: Callable[[], str]) -> Iterator[Callable[[], str]]:
    one, kind, numbers = anyio.CapacityLimiter(1), f"kept-{id(engine)}", count(1)
    try:
        with engine.connect() as connection:
            attempts = _OnOneConnection(engine, connection=connection)
            OPENERS[kind] = partial(_emptied, _Inline(url, engine, layout, attempts, readers=one, writers=one))
            yield lambda: f"{kind}:" if next(numbers) % BY_THREADS else opened()
    finally:
        OPENERS.pop(kind, None)
        engine.dispose()


@asynccontextmanager
async def _emptied(database: Database, _url: str) -> AsyncIterator[SyncRepository]:
    await database.write(_empty)
    yield SqlRepository(database)


def _empty(connection: Connection) -> None:
    connection.execute(sa.delete(tables.integrations))


class _Inline(Database):
    """Carries work out at once, in the task that gives it."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        await anyio.lowlevel.checkpoint()
        return self._attempt(work, writes=False)

    async def write(self, work: Callable[[Connection], T], *, then: Callable[[Connection], object] | None = None) -> T:
        await anyio.lowlevel.checkpoint()

        def whole(connection: Connection) -> T:
            result = work(connection)
            if then is not None:
                then(connection)
            return result

        return self._attempt(whole, writes=True)


@attrs.define(slots=True, eq=False)
class _OnOneConnection(Attempts):
    """One transaction after the other on a connection that stays open."""

    connection: Connection = attrs.field(kw_only=True)

    def _once(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        self.connection.execution_options(**{WRITES: writes})
        with self.connection.begin():
            return work(self.connection)
