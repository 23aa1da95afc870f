"""What a lookup reads grows with what is found: shown by the databases' own plans."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.models.state import Acknowledgement, LinkStatus
from crmsync.storage.sql import lookups, open_repository, tables
from crmsync.storage.sql.database import Database, open_database
from crmsync.testing.repository_subject import CONTACT, OURS, integration, link

pytestmark = pytest.mark.anyio


async def fill(url: str) -> None:
    async with open_repository(url) as repository:
        await repository.save_integration(integration())
        lease = await repository.acquire_lease(OURS, CONTACT, "me", now=datetime.now(UTC), ttl=timedelta(minutes=1))
        await repository.acknowledge(lease, Acknowledgement(links=tuple(link(number) for number in range(3_000))))


async def plans(database: Database, explain: str, work: Callable[[Connection], object]) -> list[str]:
    """The plan of every statement that the work executes, a text each."""
    found = []

    def watched(connection: Connection) -> None:
        def note(conn: Connection, _cursor: Any, statement: str, parameters: Any, *_: object) -> None:
            if not statement.startswith(explain):
                found.append("\n".join(str(row) for row in conn.exec_driver_sql(f"{explain} {statement}", parameters)))

        sa.event.listen(connection, "before_cursor_execute", note)
        work(connection)

    await database.read(watched)
    return found


def look_up(connection: Connection, count: int = 1_000) -> None:
    for column in (tables.links.c.crm_id, tables.links.c.markmail_id):
        lookups.by_id(connection, OURS, CONTACT, column, [f"{column.name[0]}{number}" for number in range(count)])


def scan(connection: Connection) -> None:
    lookups.scan(connection, OURS, CONTACT, [LinkStatus.REJECTED, LinkStatus.QUARANTINED], "m1", 100)


async def test_sqlite_searches_by_the_whole_key(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    await fill(url)
    async with open_database(url) as database:
        by_id = await plans(database, "EXPLAIN QUERY PLAN", look_up)
        scanned = await plans(database, "EXPLAIN QUERY PLAN", scan)
    assert all("crm_id=?" in plan for plan in by_id[:2])
    assert all("markmail_id=?" in plan for plan in by_id[2:])
    assert len(by_id) == 4
    assert all("ix_crm_sync_status_unsynced" in plan for plan in scanned)
    assert all("sync_status=? AND markmail_id>?" in plan for plan in scanned)
    assert len(scanned) == 2


async def test_postgres_searches_by_the_whole_key_once_it_knows_the_table(postgres_url: str) -> None:
    try:
        await fill(postgres_url)
        with psycopg.connect(postgres_url) as connection:
            connection.execute("ANALYZE crm_sync_status")
        async with open_database(postgres_url) as database:
            for_crm_id, for_markmail_id = await plans(database, "EXPLAIN", partial(look_up, count=5))
            scanned = await plans(database, "EXPLAIN", scan)
    finally:
        with psycopg.connect(postgres_url) as connection:
            connection.execute("DELETE FROM crm_integrations")
    assert "uq_crm_sync_status_crm_id" in for_crm_id
    assert "pk_crm_sync_status" in for_markmail_id
    assert all("ix_crm_sync_status_unsynced" in plan for plan in scanned)


async def test_postgres_plans_every_lookup_anew_and_prepares_inserts(postgres_url: str) -> None:
    def prepared(connection: Connection) -> set[str]:
        names = connection.execute(sa.text("SELECT split_part(statement, ' ', 1) FROM pg_prepared_statements"))
        return set(names.scalars())

    async with open_repository(postgres_url) as repository, open_database(postgres_url) as database:
        await repository.save_integration(integration())
        for _ in range(20):
            await database.read(look_up)
        assert await database.read(prepared) == set()
        rows = [{"n": number} for number in range(20)]

        def insert(connection: Connection) -> set[str]:
            connection.execute(sa.text("CREATE TEMPORARY TABLE numbers (n integer) ON COMMIT DROP"))
            connection.execute(sa.text("INSERT INTO numbers VALUES (:n)"), rows)
            return prepared(connection)

        assert await database.write(insert) == {"INSERT"}
        await repository.delete_integration(OURS)
