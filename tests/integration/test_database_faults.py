"""Runs whose bookkeeping fails under them: each ends in a clear error or goes on, and nothing is lost."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from crmsync.errors import ConcurrentUpdateError, StorageError
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.runs import RunStatus
from crmsync.storage.sql import SqlRepository, open_repository, schema
from crmsync.storage.sql.attempts import WRITES
from crmsync.storage.sql.maintenance import open_maintenance
from crmsync.testing.repository_subject import CONTACT, OURS, ids_in, integration, lease_of, link, store_links
from crmsync.testing.world import FakeClock, World, world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(fields=(two_way("email", "Email", field_type="email"), two_way("name", "Name")))
PEOPLE = 60


@pytest.fixture
def anyio_backend() -> str:
    """The faults strike in worker threads: one event loop will do."""
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'crmsync.db'}"
        return
    place = sa.make_url(request.getfixturevalue("postgres_url")).update_query_dict({"table_prefix": "faults_"})
    yield place.render_as_string(hide_password=False)
    async with open_maintenance(place.render_as_string(hide_password=False)) as database:
        await database.downgrade(schema.BASE)


@pytest.fixture
async def w(url: str) -> AsyncIterator[World]:
    """People on both sides, nothing synced yet."""
    async with open_repository(url) as repository, world(MAPPING, repository=repository) as made:
        for number in range(PEOPLE):
            made.local.add(email=f"p{number}@x.org", name=f"P{number}")
        for number in range(PEOPLE // 2, PEOPLE + PEOPLE // 2):
            made.remote.add(Email=f"p{number}@x.org", Name=f"P{number}")
        yield made


def engine_of(w: World) -> Engine:
    assert isinstance(w.repository, SqlRepository)
    return w.repository._database.engine


async def completed(w: World) -> None:
    """The next run brings everything in step: nobody is there twice, and nothing is left to do."""
    w.clock.tick(600)
    assert (await w.sync()).status is RunStatus.SUCCESS
    assert len(w.local.snapshot()) == len(w.remote.snapshot()) == PEOPLE + PEOPLE // 2
    local = {str(r["email"]): r["name"] for r in w.local.snapshot().values()}
    assert local == {str(r["Email"]): r["Name"] for r in w.remote.snapshot().values()}
    assert (await w.sync()).written == 0
    assert await w.repository.list_journal("acme", CONTACT) == []


@attrs.define
class Fault:
    """``strike`` happens in each writing transaction from some time on, ``once`` before the first of these."""

    strike: str = ""
    once: tuple[str, ...] = ()
    mend: tuple[str, ...] = ()


NO_ROOM = """
CREATE FUNCTION faults_full() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION USING ERRCODE = ''disk_full''; END'
"""
FULL = {
    # No file can grow; the server says what it says when a disk is full.
    "sqlite": Fault("PRAGMA max_page_count = 1"),
    "postgresql": Fault(
        once=(
            NO_ROOM,
            "CREATE TRIGGER faults_full BEFORE INSERT ON faults_crm_sync_status EXECUTE FUNCTION faults_full()",
        ),
        mend=("DROP TRIGGER faults_full ON faults_crm_sync_status", "DROP FUNCTION faults_full"),
    ),
}
READ_ONLY = {"sqlite": Fault("PRAGMA query_only = ON"), "postgresql": Fault("SET TRANSACTION READ ONLY")}


@pytest.mark.parametrize(
    "faults, message", [(FULL, "disk"), (READ_ONLY, "is read-only")], ids=["disk full", "read-only"]
)
async def test_a_database_that_cannot_be_written_ends_the_run_and_the_next_one_completes_it(
    w: World, faults: dict[str, Fault], message: str
) -> None:
    engine = engine_of(w)
    fault = faults[engine.dialect.name]
    with striking(engine, fault, after=2), pytest.raises(StorageError, match=message):
        await w.sync()
    assert len(w.local.snapshot()) + len(w.remote.snapshot()) > 2 * PEOPLE, "some writes had taken effect"
    engine.dispose()
    await completed(w)


@contextmanager
def striking(engine: Engine, fault: Fault, *, after: int) -> Iterator[None]:
    left = after

    def begun(connection: Connection) -> None:
        nonlocal left
        if not connection.get_execution_options().get(WRITES):
            return
        left -= 1
        if left == -1:
            with engine.connect() as other:
                for statement in fault.once:
                    other.exec_driver_sql(statement)
                other.commit()
        if left < 0 and fault.strike:
            connection.exec_driver_sql(fault.strike)

    event.listen(engine, "begin", begun)
    try:
        yield
        assert left < 0, "it never struck"
    finally:
        event.remove(engine, "begin", begun)
        with engine.connect() as other:
            for statement in fault.mend:
                other.exec_driver_sql(statement)
            other.commit()


UNTIL_THE_FILE_IS_FULL = """
import resource, sys, anyio
from crmsync.errors import StorageError
from crmsync.storage.sql import open_repository
from crmsync.testing.repository_subject import link, store_links

async def main(url, size):
    async with open_repository(url) as repository:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        for page in range(1000):
            try:
                await store_links(repository, [link(f"{page:04}-{n:02}") for n in range(20)])
            except StorageError as error:
                print(page, error)
                return

anyio.run(main, sys.argv[1], int(sys.argv[2]))
"""


async def test_a_file_that_really_cannot_grow_keeps_all_that_was_acknowledged(tmp_path: Path) -> None:
    """The operating system refuses to write past a size, as a full disk does."""
    path = tmp_path / "crmsync.db"
    url = f"sqlite:///{path}"
    async with open_repository(url) as repository:
        await repository.save_integration(integration())
    size = path.stat().st_size + 100_000
    program = [sys.executable, "-c", UNTIL_THE_FILE_IS_FULL, url, str(size)]
    done = await anyio.run_process(program, check=False)
    pages, _, message = done.stdout.decode().partition(" ")
    assert "the disk" in message, done.stderr.decode()
    async with open_repository(url) as repository:
        assert len(await ids_in(repository)) == 20 * int(pages) > 0
        await store_links(repository, [link("more")])
    async with open_maintenance(url) as database:
        assert await database.check() == []


async def test_a_clock_that_goes_back_loses_no_edit(url: str) -> None:
    """Ours goes back by a day, between runs and in the middle of one; those of the two sides go on."""
    theirs = FakeClock()
    sides = {"clock": theirs}
    async with (
        open_repository(url) as repository,
        world(MAPPING, repository=repository, local=sides, remote=sides) as w,
    ):
        person = w.local.add(email="a@x.org", name="A")
        for number in range(6):
            w.clock.tick(-86_400 if number % 2 else 60)
            theirs.tick(3600)
            w.local.edit(person, name=f"A {number}")
            w.remote.add(Email=f"p{number}@x.org", Name=f"P {number}")
            w.observers = [GoesBack(w.clock)] if number == 3 else []
            assert (await w.sync()).status is RunStatus.SUCCESS
            [counterpart] = [r["Name"] for r in w.remote.snapshot().values() if r["Email"] == "a@x.org"]
            assert counterpart == f"A {number}"
            assert len(w.local.snapshot()) == number + 2
        assert (await w.sync()).written == 0


class GoesBack:
    """Moves the clock back whenever a run tells something."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def __getattr__(self, name: str) -> Callable[..., None]:
        def tell(*_: object, **__: object) -> None:
            self._clock.tick(-3600)

        return tell


async def test_a_lease_from_the_future_keeps_others_out_with_a_clear_error_and_ends_by_itself(url: str) -> None:
    """Its holder crashed, and then the clock went back."""
    async with open_repository(url) as repository:
        await repository.save_integration(integration())
        held = await lease_of(repository, owner="crashed")
        now = held.expires_at - timedelta(days=1)
        with pytest.raises(ConcurrentUpdateError, match="'crashed' is running 'Contact'"):
            await repository.acquire_lease(OURS, CONTACT, "next", now=now, ttl=timedelta(minutes=1))
        later = await repository.acquire_lease(OURS, CONTACT, "next", now=held.expires_at, ttl=timedelta(minutes=1))
        assert later.fence == held.fence + 1


DAMAGE = {
    "a status that there is not": "sync_status = 'sYnced'",
    "problems of another form": "problems = '[[1]]'",
    "candidates that are no list": "candidates = '7'",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_a_damaged_link_keeps_no_other_from_being_synced_and_loses_no_edit(
    w: World, url: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    await completed(w)
    email = f"p{PEOPLE // 2}@x.org"
    [damaged] = [key for key, r in w.local.snapshot().items() if r["email"] == email]
    [counterpart] = [key for key, r in w.remote.snapshot().items() if r["Email"] == email]
    prefix = "" if url.startswith("sqlite") else "faults_"
    with engine_of(w).connect() as connection:
        where = f"WHERE crm_id = '{counterpart}'"
        connection.exec_driver_sql(f"UPDATE {prefix}crm_sync_status SET {damage} {where}")
        connection.commit()
    async with open_maintenance(url) as database:
        assert [finding.code for finding in await database.check()] == ["damaged"]
    w.local.edit(damaged, name="edited here")
    for key, record in w.remote.snapshot().items():
        if record["Email"] != email:
            w.remote.edit(key, Name=f"{record['Name']} there")
    w.clock.tick(600)
    await w.sync()
    assert f"markmail_id {damaged!r} cannot be read" in caplog.text
    assert "edited here" not in caplog.text
    names = {str(r["email"]): str(r["name"]) for r in w.local.snapshot().values()}
    assert names.pop(email) == "edited here"
    assert all(name.endswith(" there") for name in names.values())
    await completed(w)
    async with open_maintenance(url) as database:
        assert await database.check() == [], "the row was written anew"


async def test_a_damaged_row_of_another_kind_is_named_and_others_are_read(url: str) -> None:
    prefix = "" if url.startswith("sqlite") else "faults_"
    async with open_repository(url) as repository:
        for name in (OURS, "sound"):
            await repository.save_integration(integration(name))
        with repository._database.engine.connect() as connection:
            bad = '\'{"Contact": {"fields": "SECRET"}}\''
            connection.exec_driver_sql(
                f"UPDATE {prefix}crm_integrations SET field_mappings = {bad} WHERE id = '{OURS}'"
            )
            connection.commit()
        with pytest.raises(
            StorageError, match=f"the row of crm_integrations with id '{OURS}' cannot be read"
        ) as caught:
            await repository.get_integration(OURS)
        assert "SECRET" not in str(caught.value)
        assert (await repository.get_integration("sound")).id == "sound"
        await lease_of(repository, ("sound", CONTACT))
