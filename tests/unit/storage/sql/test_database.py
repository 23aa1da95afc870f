from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import psycopg
import pytest
import sqlalchemy as sa

from crmsync.errors import ConfigurationError, StorageError
from crmsync.protocols.repository import RepositoryFactory, SyncRepository
from crmsync.registry import STORAGE, Registry
from crmsync.storage.sql import open_repository
from crmsync.storage.sql.database import open_database
from crmsync.testing.repository_subject import CONTACT, OURS, ids_in, integration, link, store_links

pytestmark = pytest.mark.anyio

PASSWORD = "s3cr3t/pass"


async def refusal(url: str) -> str:
    """What opening says when it refuses."""
    with pytest.raises(StorageError) as caught:
        async with open_repository(url):
            pytest.fail("it was opened")
    return str(caught.value)


def modes(directory: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}


@pytest.mark.parametrize("scheme", ["sqlite", "postgresql"])
async def test_the_registry_finds_it_by_its_scheme(scheme: str, tmp_path: Path, postgres_url: str) -> None:
    factory: RepositoryFactory = Registry().load(STORAGE, scheme)
    async with factory(postgres_url if scheme == "postgresql" else f"sqlite:///{tmp_path / 'x.db'}") as repository:
        assert isinstance(repository, SyncRepository)


async def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with open_repository(f"sqlite:///{path}") as repository:
        await repository.save_integration(integration())
        assert modes(tmp_path) == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    assert modes(tmp_path) == {"state.db": 0o600}, "nothing is left open"


async def test_the_mode_of_a_file_that_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.touch()
    path.chmod(0o640)
    async with open_repository(f"sqlite:///{path}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


async def test_sqlite_keeps_foreign_keys_and_what_was_acknowledged(tmp_path: Path) -> None:
    wanted = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 30_000}
    async with open_database(f"sqlite:///{tmp_path / 'x.db'}") as database:
        for pragma, value in wanted.items():
            assert await database.read(partial(sa.Connection.scalar, statement=sa.text(f"PRAGMA {pragma}"))) == value


async def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    message = await refusal(f"sqlite:///{tmp_path / 'none' / 'state.db'}")
    assert f"the directory {tmp_path / 'none'} does not exist: create it" in message


async def test_a_directory_is_no_database(tmp_path: Path) -> None:
    assert "is a directory: name a file in it" in await refusal(f"sqlite:///{tmp_path}")


async def test_a_file_of_another_kind_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    content = b"email,name\r\n" + b"a@example.com,Ann\r\n" * 100
    path.write_bytes(content)
    assert "is not an SQLite database: name another file" in await refusal(f"sqlite:///{path}")
    assert path.read_bytes() == content


async def test_a_read_only_file_is_refused_even_to_the_superuser(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with open_repository(f"sqlite:///{path}") as repository:
        await repository.save_integration(integration())
    path.chmod(0o444)
    assert "is read-only: make the file writable" in await refusal(f"sqlite:///{path}")
    path.chmod(0o600)
    async with open_repository(f"sqlite:///{path}") as repository:
        assert await repository.get_integration(OURS) == integration()


async def test_a_database_that_sqlite_opens_for_reading_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with open_repository(f"sqlite:///{path}"):
        pass
    message = await refusal(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert "is read-only: make the file and its directory writable" in message


async def test_a_read_only_server_is_refused(postgres_url: str) -> None:
    async with open_repository(postgres_url):
        pass
    mark = "&" if "?" in postgres_url else "?"
    message = await refusal(f"{postgres_url}{mark}options=-cdefault_transaction_read_only%3Don")
    assert "is read-only: connect to the primary server" in message


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cr3t%2Fpass@127.0.0.1:1/db",
        "postgresql://ann@127.0.0.1:1/db?password=s3cr3t%2Fpass",
        "postgres://ann:s3cr3t%2Fpass@127.0.0.1:1/db?connect_timeout=2",
    ],
)
async def test_a_server_out_of_reach_is_named_without_its_password(url: str) -> None:
    message = await refusal(url)
    assert "cannot be reached" in message
    assert "@127.0.0.1:1/db" in message
    assert "Check that the server runs" in message
    assert "s3cr3t" not in message


async def test_a_database_that_is_missing_is_named(postgres_url: str) -> None:
    url = sa.make_url(postgres_url).set(database="crmsync_nothing").render_as_string(hide_password=False)
    assert 'database "crmsync_nothing" does not exist' in await refusal(url)


async def test_a_database_that_stays_locked_is_an_error_and_no_hang(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with open_repository(f"sqlite:///{path}"):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "stayed locked by another process" in await refusal(f"sqlite:///{path}?timeout=0.05")


async def test_a_writer_waits_for_another_process_to_finish(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with open_repository(f"sqlite:///{path}") as repository:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(repository.save_integration, integration())
                await anyio.sleep(0.1)
                assert await repository.list_integrations() == [], "readers go on meanwhile"
                other.execute("COMMIT")
        assert await repository.list_integrations() == [integration()]


async def test_it_recovers_when_the_server_drops_its_connections(postgres_url: str) -> None:
    async with open_repository(postgres_url) as repository:
        await repository.list_integrations()
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert await repository.list_integrations() == []


@pytest.mark.parametrize("url", ["mysql://ann:s3cr3t@host/db", "s3cr3t", "sqlite:/s3cr3t"])
async def test_a_url_of_another_kind_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlite://") as caught:
        async with open_repository(url):
            pass
    assert "s3cr3t" not in str(caught.value)


async def test_options_in_the_url_that_are_wrong_are_said_to_be(tmp_path: Path, postgres_url: str) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        async with open_repository(f"sqlite:///{tmp_path / 'x.db'}?timeout=soon"):
            pass
    url = sa.make_url(postgres_url).update_query_dict({"colour": "blue"})
    assert "check the options in its URL" in await refusal(url.render_as_string(hide_password=False))


async def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="poolsize"):
        async with open_repository("sqlite://", poolsize=1):
            pass


async def test_a_repository_does_not_show_its_password(postgres_url: str) -> None:
    url = sa.make_url(postgres_url)
    secret = url.set(username=url.username or "postgres", password=url.password or PASSWORD)
    async with open_repository(secret.render_as_string(hide_password=False)) as repository:
        assert str(secret.password) not in repr(repository)
        assert str(secret.database) in repr(repository)


async def test_text_that_is_not_unicode_is_refused_without_being_shown(tmp_path: Path, postgres_url: str) -> None:
    for url in (f"sqlite:///{tmp_path / 'x.db'}", postgres_url):
        async with open_repository(url) as repository:
            await repository.save_integration(integration("unicode"))
            with pytest.raises(StorageError, match="not valid Unicode"):
                await store_links(repository, [link(1, ("unicode", CONTACT), local_version="half\ud800")])
            assert await ids_in(repository, ("unicode", CONTACT)) == []
            await repository.delete_integration("unicode")


async def test_a_value_that_the_server_refuses_is_not_shown(postgres_url: str) -> None:
    async with open_repository(postgres_url) as repository:
        with pytest.raises(StorageError) as caught:
            await repository.save_integration(integration(user_id="nul\x00SECRET"))
        assert "SECRET" not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize("absent,url", [("psycopg", "postgresql://host/db"), ("alembic", "sqlite://")])
def test_packages_that_are_missing_are_named_by_their_extra(absent: str, url: str) -> None:
    done = _without(absent, url)
    extra = {"psycopg": "postgres", "alembic": "sql"}[absent]
    assert done.stdout == f"MissingExtraError {extra}\n", done.stderr


@pytest.mark.parametrize("broken", ["sqlite3", "crmsync.storage.sql.tables"])
def test_another_module_that_is_missing_is_no_missing_extra(broken: str) -> None:
    done = _without(broken, "sqlite://")
    assert "MissingExtraError" not in done.stdout + done.stderr
    assert "ModuleNotFoundError" in done.stderr


def _without(absent: str, url: str) -> subprocess.CompletedProcess[str]:
    program = f"""
import sys
sys.modules[{absent!r}] = None
import anyio
from crmsync.errors import MissingExtraError

async def main():
    from crmsync.storage.sql import open_repository
    async with open_repository({url!r}):
        pass

try:
    anyio.run(main)
except MissingExtraError as error:
    print(type(error).__name__, error.extra)
"""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
