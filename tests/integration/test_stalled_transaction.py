"""A process that is stopped inside a transaction of PostgreSQL, and one that wants what it has locked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from crmsync.storage.sql import SqlRepository, open_repository
from crmsync.testing.world import FakeClock
from tests.migrated import new_postgresql

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """What matters is the other process's."""
    return "asyncio"


STALL = 1.0

RUN = """
import os, signal, sys, time, anyio
from sqlalchemy import event
from crmsync import ObjectMapping, two_way
from crmsync.errors import CRMError
from crmsync.storage.sql import open_repository
from crmsync.testing.world import world

MAPPING = ObjectMapping(fields=(two_way("email", "Email", field_type="email"), two_way("name", "Name")))

async def main(url):
    async with open_repository(url) as repository, world(MAPPING, repository=repository) as w:
        for number in range(3):
            w.local.add(email=f"p{number}@example.org", name=f"P{number}")
        links = []

        def executed(connection, cursor, statement, *_):
            if statement.startswith("INSERT") and "crm_sync_status" in statement:
                links.append(connection)

        def ends(connection):
            if links == [connection]:
                links.append(None)
                os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(0.2)  # another thread may be the first to stop

        event.listen(repository._database.engine, "after_cursor_execute", executed)
        event.listen(repository._database.engine, "commit", ends)
        try:
            print((await w.sync()).status)
        except CRMError as error:
            print(f"{type(error).__name__}: {error}")

anyio.run(main, sys.argv[1], backend="trio")
"""
"""A run that is stopped by itself where its first links are written and not yet committed."""


def started(url: str) -> subprocess.Popen[str]:
    """The process of that run, once it is stopped."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    return process


async def books(repository: SqlRepository) -> list[Any]:
    """What the bookkeeping holds of the object."""
    return [
        await repository.scan_links("acme", "Contact", limit=100),
        await repository.list_journal("acme", "Contact"),
        await repository.get_cursors("acme", "Contact"),
    ]


def said(process: subprocess.Popen[str]) -> str:
    """What it says at its end, once it may go on."""
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return out.strip()


@pytest.fixture(scope="module")
def url(postgres_url: str) -> Iterator[str]:
    """A database with the current schema."""
    with new_postgresql(postgres_url) as made:
        yield sa.make_url(made).update_query_dict({"stall_timeout": f"{STALL}"}).render_as_string(hide_password=False)


async def test_a_run_that_is_stopped_in_a_transaction_keeps_nobody_out_and_ends_when_it_wakes_up(url: str) -> None:
    async with open_repository(url) as repository:
        with started(url) as process:
            try:
                began = anyio.current_time()
                # The run's own clock stands at noon: its lease is long over.
                now, ttl = FakeClock().now() + timedelta(hours=1), timedelta(hours=1)
                lease = await repository.acquire_lease("acme", "Contact", "another", now=now, ttl=ttl)
                waited = anyio.current_time() - began
                before = await books(repository)
                told = said(process)
            finally:
                process.kill()
        assert waited < STALL + 5
        assert lease.fence == 2, "the run had taken the first one"
        assert told == (
            "LeaseLostError: another run took over 'Contact' of integration 'acme' while this one stood still"
        )
        assert await books(repository) == before
        assert before[0] == [], "what it had not committed is not there"
