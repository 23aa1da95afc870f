"""Bookkeeping in files of SQLite for many histories: migrated once, and its statements compiled once."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import anyio
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.protocols.repository import SyncRepository
from crmsync.storage.sql import SqlRepository, schema, tables
from crmsync.storage.sql.attempts import Attempts
from crmsync.storage.sql.database import Database, make_engine, parse_url
from crmsync.storage.sql.layout import split_layout
from tests.property.engine.storages import OPENERS

T = TypeVar("T")

BY_THREADS = 4
"""One in so many histories has a new file, opened as users open theirs, with its statements in threads."""


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Callable[[], str]]:
    """Gives the URL of an empty bookkeeping for one history after another, until this is left.

    Most have the same file, emptied. Its statements are carried out where they are asked for: to hand them to a thread
    and to wait for it takes as long as they do.
    """
    migrated, path = folder / "migrated.db", folder / "kept.db"
    url, layout = split_layout(parse_url(f"sqlite:///{migrated}"))
    engine = make_engine(url, layout)
    schema.upgrade(engine, migrated.name)
    engine.dispose()
    shutil.copyfile(migrated, path)
    kept = make_engine(url.set(database=str(path)), layout)
    one = anyio.CapacityLimiter(1)
    kind, asked = f"kept-{folder.name}", count(1)
    OPENERS[kind] = partial(_emptied, _Inline(kept.url, kept, layout, Attempts(kept), readers=one, writers=one))

    def storage() -> str:
        number = next(asked)
        if number % BY_THREADS:
            return f"{kind}:"
        new = folder / f"new-{number}.db"
        shutil.copyfile(migrated, new)
        return f"sqlite:///{new}"

    try:
        yield storage
    finally:
        del OPENERS[kind]
        kept.dispose()


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


@asynccontextmanager
async def _emptied(database: Database, _url: str) -> AsyncIterator[SyncRepository]:
    await database.write(lambda connection: connection.execute(sa.delete(tables.integrations)))
    yield SqlRepository(database)
