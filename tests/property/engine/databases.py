"""Bookkeeping in one database for many histories: migrated once, emptied for each, its statements compiled once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import anyio
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from crmsync.protocols.repository import SyncRepository
from crmsync.storage.sql import SqlRepository, tables
from crmsync.storage.sql.attempts import Attempts
from crmsync.storage.sql.database import Database, make_engine, parse_url
from crmsync.storage.sql.layout import split_layout
from tests.migrated import migrate, new_sqlite
from tests.property.engine.storages import OPENERS

T = TypeVar("T")

BY_THREADS = 4
"""One in so many histories opens its bookkeeping as users open theirs, with its statements in threads.

Those of the others are carried out where they are asked for: to hand one to a thread, and to wait for it, takes as long
as it does.
"""


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Callable[[], str]]:
    """Gives the URL of an empty bookkeeping for one history after another; one that is opened has a file of its own."""
    numbers = count(1)

    def opened() -> str:
        return new_sqlite(folder / f"new-{next(numbers)}.db")

    with _kept(new_sqlite(folder / "kept.db"), opened) as storage:
        yield storage


@contextmanager
def on_postgresql(url: str) -> Iterator[Callable[[], str]]:
    """The same in a database of PostgreSQL."""
    migrate(url)
    parsed, layout = split_layout(parse_url(url))
    engine = make_engine(parsed, layout)

    def opened() -> str:
        _empty(engine)
        return url

    try:
        with _kept(url, opened) as storage:
            yield storage
    finally:
        engine.dispose()


@contextmanager
def _kept(url: str, opened: Callable[[], str]) -> Iterator[Callable[[], str]]:
    parsed, layout = split_layout(parse_url(url))
    engine, one = make_engine(parsed, layout), anyio.CapacityLimiter(1)
    kind, numbers = f"kept-{id(engine)}", count(1)
    OPENERS[kind] = partial(_emptied, _Inline(parsed, engine, layout, Attempts(engine), readers=one, writers=one))
    try:
        yield lambda: f"{kind}:" if next(numbers) % BY_THREADS else opened()
    finally:
        del OPENERS[kind]
        engine.dispose()


@asynccontextmanager
async def _emptied(database: Database, _url: str) -> AsyncIterator[SyncRepository]:
    _empty(database.engine)
    yield SqlRepository(database)


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
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
