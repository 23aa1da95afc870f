"""Databases that hold the current schema, copied from one that was migrated: a copy costs a fraction of the revisions.

Tests that are about the schema's coming to be, or about the first opening of a database, begin with none.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy.engine import Engine

from crmsync.storage.sql import SqlRepository, schema
from crmsync.storage.sql.database import make_engine, open_database, parse_url
from crmsync.storage.sql.layout import split_layout
from tests.postgres import new_database


def migrate(url: str) -> None:
    """Bring the database at a URL to the current schema."""
    parsed, layout = split_layout(parse_url(url))
    engine = make_engine(parsed, layout)
    schema.upgrade(engine, "migrated")
    engine.dispose()


@cache
def _sqlite_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "migrated.db"
        migrate(f"sqlite:///{path}")
        return path.read_bytes()


def new_sqlite(path: Path) -> str:
    """The URL of a new file there, readable by its owner alone as those that the library makes."""
    path.touch(0o600)
    path.write_bytes(_sqlite_file())
    return f"sqlite:///{path}"


@asynccontextmanager
async def open_in_memory() -> AsyncIterator[SqlRepository]:
    """A repository at ``sqlite://``."""
    async with open_database("sqlite://") as database:
        await database.manage(fill)
        yield SqlRepository(database)


def fill(engine: Engine) -> None:
    """Give an engine's empty SQLite database in memory the current schema."""
    with tempfile.TemporaryDirectory() as folder:
        new_sqlite(Path(folder) / "migrated.db")
        with closing(sqlite3.connect(Path(folder) / "migrated.db")) as migrated, engine.connect() as connection:
            target = connection.connection.driver_connection
            assert isinstance(target, sqlite3.Connection)
            migrated.backup(target)


@contextmanager
def new_postgresql(server: str) -> Iterator[str]:
    """The URL of a database on a server from which others are copied (``new_database(server, template=...)``)."""
    with new_database(server) as url:
        migrate(url)
        yield url
