"""Upgrades of PostgreSQL while others read and write: nobody waits for long, and nobody is kept out."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import psycopg
import pytest
import sqlalchemy as sa

from crmsync.storage.sql import open_repository, schema
from crmsync.storage.sql.database import Database, open_database
from crmsync.storage.sql.revision import current_revision
from crmsync.testing.repository_subject import CONTACT, OURS, integration, link, shadows, store_links

pytestmark = pytest.mark.anyio

TABLE = "online_crm_sync_conflicts"
BEFORE, AFTER = "0004", "0005"
"""Between them the conflicts get columns and an index."""

CONFLICT = f"""
INSERT INTO {TABLE} (id, integration_id, entity_type, markmail_id, field, crm_field, policy, status, run_id, created_at)
VALUES (%s, 'ours', 'Contact', 'm', 'f', 'F', 'manual', 'open', 'r', now())
"""


@pytest.fixture
def anyio_backend() -> str:
    """Sessions of the server wait for each other, not tasks."""
    return "asyncio"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """Of the earlier revision, with a conflict in it."""
    url = sa.make_url(postgres_url).update_query_dict({"table_prefix": "online_"})
    async with open_database(url.render_as_string(hide_password=False)) as opened:
        await opened.manage(partial(schema.upgrade, name="x", target=BEFORE))
        with psycopg.connect(postgres_url) as connection:
            connection.execute(
                b"INSERT INTO online_crm_integrations (id, user_id, provider, credentials, settings, field_mappings,"
                b" sync_enabled, created_at, updated_at) VALUES ('ours', '', 'p', '', '{}', '{}', true, now(), now())"
            )
            connection.execute(CONFLICT.encode(), ("first",))
        yield opened
        await opened.manage(partial(schema.downgrade, name="x", target=schema.BASE))


async def upgrade(database: Database) -> None:
    await database.manage(partial(schema.upgrade, name="x", target=AFTER))


@contextmanager
def transaction(url: str, *statements: bytes) -> Iterator[psycopg.Connection[Any]]:
    """A session that did something and goes on with its transaction."""
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)
        yield connection


async def longest_wait(url: str, seconds: float) -> float:
    """Others write conflicts all the time, each at once; the longest that one had to wait."""

    def write() -> float:
        longest, until, number = 0.0, time.monotonic() + seconds, 0
        with psycopg.connect(url, autocommit=True) as connection:
            while time.monotonic() < until:
                began = time.monotonic()
                connection.execute(CONFLICT.encode(), (f"{began}-{number}",))
                longest = max(longest, time.monotonic() - began)
                number += 1
                time.sleep(0.01)
        return longest

    return await anyio.to_thread.run_sync(write)


async def test_behind_a_long_reader_writers_wait_for_a_moment_and_the_upgrade_tries_again(
    database: Database, postgres_url: str
) -> None:
    """A column cannot be added while somebody reads. Who wants it has everybody else waiting behind, so it gives up."""
    waited = 0.0
    async with anyio.create_task_group() as tasks:
        with transaction(postgres_url, f"SELECT * FROM {TABLE}".encode()):
            tasks.start_soon(upgrade, database)
            waited = await longest_wait(postgres_url, 4.0)
            assert await database.read(current_revision) == BEFORE
    assert 1.0 < waited < 3.5, "it waited for the lock, and let go"
    assert await database.read(current_revision) == AFTER


async def test_while_an_index_is_built_others_write_and_no_strong_lock_is_held(
    database: Database, postgres_url: str
) -> None:
    """The build waits for an old snapshot. Nobody waits for the build."""
    locks = """
        SELECT l.mode FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE l.relation = %s::regclass AND a.query LIKE 'CREATE INDEX CONCURRENTLY%%' AND l.granted
    """
    old = (b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", b"SELECT 1")
    async with anyio.create_task_group() as tasks:
        with psycopg.connect(postgres_url, autocommit=True) as looking, transaction(postgres_url, *old):
            tasks.start_soon(upgrade, database)
            modes: set[str] = set()
            with anyio.fail_after(20):
                while not modes:
                    modes = {row[0] for row in looking.execute(locks.encode(), (TABLE,))}
                    await anyio.sleep(0.02)
            assert await longest_wait(postgres_url, 0.5) < 0.4
            modes |= {row[0] for row in looking.execute(locks.encode(), (TABLE,))}
            assert modes == {"ShareUpdateExclusiveLock"}
    assert await database.read(current_revision) == AFTER
    with psycopg.connect(postgres_url) as connection:
        valid = b"SELECT indisvalid FROM pg_index WHERE indexrelid = 'online_ix_crm_sync_conflicts_erased_at'::regclass"
        assert connection.execute(valid).fetchone() == (True,)


async def test_an_index_whose_building_broke_off_is_built_anew(database: Database, postgres_url: str) -> None:
    """The columns are there already, and an index that is not valid."""
    await upgrade(database)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"UPDATE online_crmsync_alembic_version SET version_num = '{BEFORE}'".encode())
        connection.execute(
            b"UPDATE pg_index SET indisvalid = false"
            b" WHERE indexrelid = 'online_ix_crm_sync_conflicts_erased_at'::regclass"
        )
    await upgrade(database)
    with psycopg.connect(postgres_url) as connection:
        valid = b"SELECT indisvalid FROM pg_index WHERE indexrelid = 'online_ix_crm_sync_conflicts_erased_at'::regclass"
        assert connection.execute(valid).fetchone() == (True,)


async def test_two_who_upgrade_at_once_do_not_wait_for_each_other_for_ever(database: Database) -> None:
    """Waiting for the other inside the server would be what the other's index waits for."""
    url = database.url.update_query_dict({"table_prefix": "online_"}).render_as_string(hide_password=False)
    with anyio.fail_after(20):
        async with open_database(url) as other, anyio.create_task_group() as tasks:
            tasks.start_soon(upgrade, database)
            tasks.start_soon(upgrade, other)
    assert await database.read(current_revision) == AFTER


async def test_links_that_another_process_changes_while_they_are_packed_stay_as_it_wrote_them(
    postgres_url: str,
) -> None:
    """It writes all of them again and again, in the form that it knows, from before the upgrade to after it."""
    url = sa.make_url(postgres_url).update_query_dict({"table_prefix": "packed_"}).render_as_string(hide_password=False)
    statement = b"UPDATE packed_crm_sync_status SET local_shadow = %s, remote_shadow = %s, last_sync_hash = %s"
    names = ("local_shadow", "remote_shadow", "last_sync_hash")
    upgraded = threading.Event()

    def write() -> dict[str, Any]:
        seed, last = 100, False
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            while not last:
                last = upgraded.is_set()
                seed += 1
                connection.execute(statement, [shadows(seed=seed)[name] for name in names])
        return shadows(seed=seed)

    async with open_database(url) as opened:
        async with open_repository(url) as repository:
            await repository.save_integration(integration())
            await store_links(repository, [link(number, **shadows(seed=number)) for number in range(50)])
        await opened.manage(partial(schema.downgrade, name="x", target="0014"))
        written: list[dict[str, Any]] = []
        async with anyio.create_task_group() as tasks:

            async def others() -> None:
                written.append(await anyio.to_thread.run_sync(write))

            tasks.start_soon(others)
            await opened.manage(partial(schema.upgrade, name="x", target="0015"))
            upgraded.set()
        await opened.manage(partial(schema.upgrade, name="x"))
        async with open_repository(url) as repository:
            found = await repository.scan_links(OURS, CONTACT)
        assert len(found) == 50
        assert all(getattr(each, name) == written[0][name] for each in found for name in names)
        await opened.manage(partial(schema.downgrade, name="x", target=schema.BASE))
