"""Backups of one database, restored into another."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import boto3
import pytest
import sqlalchemy as sa
from moto.server import ThreadedMotoServer
from sqlalchemy.engine import Connection

from crmsync.errors import ConfigurationError, StorageError, VaultError
from crmsync.models.backups import RestoreOptions
from crmsync.models.integrations import MappingTemplate
from crmsync.security.vault import Vault
from crmsync.service.backups import back_up, inspect_backup, restore
from crmsync.storage.sql import open_repository, schema
from crmsync.storage.sql.database import open_database
from crmsync.storage.sql.maintenance import open_maintenance
from crmsync.storage.sql.revision import HEAD
from crmsync.storage.sql.tables import metadata
from crmsync.testing.repository_isolation import contents, fill
from crmsync.testing.repository_subject import CONTACT, NOW, OURS, THEIRS, TTL, full_link, link, store_links

pytestmark = pytest.mark.anyio

VAULT = Vault.from_key(Vault.generate_key())
TEMPLATE = MappingTemplate(id="t", provider="p", name="O'Brien é", mappings={}, created_at=NOW)
UNSAFE = "NUL \x00, half \ud83d, = <é> 日本"


@pytest.fixture
def anyio_backend() -> str:
    """Backups run in a thread and see no event loop: one will do."""
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty bookkeeping."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'crmsync.db'}"
        return
    with_prefix = sa.make_url(request.getfixturevalue("postgres_url")).update_query_dict({"table_prefix": "backup_"})
    yield with_prefix.render_as_string(hide_password=False)
    async with open_maintenance(with_prefix.render_as_string(hide_password=False)) as database:
        await database.downgrade(schema.BASE)


@pytest.fixture
def other(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> str:
    """A bookkeeping in the other kind of database."""
    if not url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'other.db'}"
    return str(request.getfixturevalue("other_postgres"))


@pytest.fixture
async def other_postgres(postgres_url: str) -> AsyncIterator[str]:
    place = sa.make_url(postgres_url).update_query_dict({"table_prefix": "other_"})
    yield place.render_as_string(hide_password=False)
    async with open_maintenance(place.render_as_string(hide_password=False)) as database:
        await database.downgrade(schema.BASE)


async def make(url: str, links: int = 0) -> None:
    async with open_repository(url) as repository:
        await fill(repository, OURS, UNSAFE.replace("\x00", "").replace("\ud83d", ""))
        await fill(repository, THEIRS, "of the others")
        await store_links(repository, [full_link(), link(99, problems=()), *(link(n) for n in range(100, 100 + links))])
        await repository.change_integration(OURS, lambda one: one.model_copy(update={"settings": {"x": UNSAFE}}))
        await repository.save_template(TEMPLATE)


async def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""

    def read(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
        tables = metadata.sorted_tables
        return {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
            for table in tables
            if table.name != "crm_sync_cursors"
        }

    async with open_database(url) as database:
        return await database.read(read)


async def save(url: str, place: Path) -> None:
    async with open_maintenance(url) as database:
        await back_up(database, VAULT, str(place))


async def put(url: str, place: Path | str, options: RestoreOptions | None = None, vault: Vault = VAULT) -> None:
    async with open_maintenance(url) as database:
        await restore(database, vault, str(place), options)


async def test_a_backup_of_one_database_is_restored_into_the_other_kind(url: str, other: str, tmp_path: Path) -> None:
    place = tmp_path / "backup"
    await make(url, links=600)
    await save(url, place)
    assert place.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if "partial" in path.name) == []
    content = place.read_bytes()
    # With a space, and so nothing that the letters and digits of a cipher may spell.
    assert b"of the others" not in content
    await put(other, place, RestoreOptions(pause=False))
    assert await rows(other) == await rows(url)
    async with open_repository(other) as repository:
        lease = await repository.acquire_lease(OURS, CONTACT, "worker-1", now=NOW, ttl=TTL)
        assert lease.fence > 1_000_000
        await repository.add_journal(lease, [])
        assert await repository.list_templates() == [TEMPLATE]
        await store_links(repository, [link("new")])


async def test_syncs_are_paused_by_a_restore_and_old_leases_are_void(url: str, tmp_path: Path) -> None:
    await make(url)
    await save(url, tmp_path / "backup")
    async with open_repository(url) as repository:
        before = await contents(repository, THEIRS)
        old = await repository.acquire_lease(OURS, CONTACT, "worker-1", now=NOW, ttl=TTL)
        await repository.delete_integration(OURS)
        await put(url, tmp_path / "backup", RestoreOptions(replace=True))
        assert not (await repository.get_integration(OURS)).sync_enabled
        after = await contents(repository, THEIRS)
        assert {name for name in before if before[name] != after[name]} == {"integration"}
        with pytest.raises(StorageError, match="took over"):
            await repository.add_journal(old, [])


async def test_a_bookkeeping_that_is_not_empty_is_left_alone_unless_told(url: str, tmp_path: Path) -> None:
    await make(url)
    await save(url, tmp_path / "backup")
    async with open_repository(url) as repository:
        await repository.delete_integration(OURS)
        before = await rows(url)
        with pytest.raises(StorageError, match="is not empty: restore into an empty one"):
            await put(url, tmp_path / "backup")
        assert await rows(url) == before


async def test_a_backup_shows_one_moment_while_others_write(url: str, other: str) -> None:
    """It is stopped after its first lines; what is written then is not in it, and nobody waits."""
    await make(url, links=700)
    before = await rows(url)
    started, go_on = threading.Event(), threading.Event()
    lines: list[bytes] = []

    def consume(source: Iterator[bytes]) -> None:
        lines.extend(next(source) for _ in range(2))
        started.set()
        assert go_on.wait(30)
        lines.extend(source)

    async def write() -> None:
        await anyio.to_thread.run_sync(started.wait)
        async with open_repository(url) as repository:
            await store_links(repository, [link(n, crm_id=f"changed{n}") for n in range(100, 900)])
            await repository.delete_integration(THEIRS)
        go_on.set()

    async with open_maintenance(url) as database, anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await database.dump(consume)
    async with open_maintenance(other) as database:
        await database.load(lambda: (line.rstrip(b"\n") for line in lines), RestoreOptions(pause=False))
    assert await rows(other) == before


@pytest.mark.parametrize("revision", ["0007", "0016"])
async def test_a_backup_of_an_earlier_revision_is_upgraded(url: str, other: str, revision: str) -> None:
    await make(url)
    async with open_database(url) as database:
        # What a crmsync of that revision would have written: neither the later tables nor the later columns.
        old = await database.manage(partial(as_of, revision=revision))
    async with open_maintenance(other) as database:
        await database.load(lambda: iter(old), RestoreOptions(pause=False))
        assert await database.revision() == HEAD
        assert await database.check() == []
    async with open_repository(other) as repository:
        assert [one.id for one in await repository.list_integrations()] == [OURS, THEIRS]
        found = await repository.scan_links(OURS, CONTACT)
        assert len(found) == 5
        assert all(each.created_at and each.created_at > NOW for each in found)


def as_of(engine: sa.Engine, revision: str) -> list[bytes]:
    """The lines of a database that is brought back to a revision."""
    import json

    from crmsync.storage.sql.snapshot import _cut, _line, _plain

    schema.downgrade(engine, "x", revision)
    with engine.connect() as connection:
        there = sa.inspect(connection)
        prefix = "backup_" if connection.dialect.name == "postgresql" else ""
        columns = {
            table.name: [column["name"] for column in there.get_columns(prefix + table.name)]
            for table in metadata.sorted_tables
            if there.has_table(prefix + table.name)
        }
        head = {"crmsync_backup": 1, "revision": revision, "made_at": NOW.isoformat(), "tables": columns}
        lines, counts = [json.dumps(head).encode()], {}
        for name, kept in columns.items():
            table = _cut(name, kept, revision)
            found = connection.execute(sa.select(*(table.c[each] for each in kept))).all()
            lines.append(_line({"table": name}).strip())
            lines += [
                _line([_plain(v, isinstance(table.c[c].type, sa.JSON)) for v, c in zip(row, kept, strict=True)]).strip()
                for row in found
            ]
            counts[name] = len(found)
    return [*lines, json.dumps({"end": counts}).encode()]


async def test_a_backup_that_is_damaged_or_not_ours_is_refused_and_nothing_is_restored(
    url: str, tmp_path: Path
) -> None:
    await make(url)
    await save(url, tmp_path / "backup")
    before = await rows(url)
    whole = (tmp_path / "backup").read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for number, content in enumerate((flipped, whole[:-1], whole[:middle], whole + b"\0", b"", b"PK\x03\x04")):
        path = tmp_path / f"bad{number}"
        path.write_bytes(content)
        with pytest.raises(StorageError, match=r"damaged or incomplete|no backup of crmsync"):
            await put(url, path, RestoreOptions(replace=True))
    with pytest.raises(VaultError, match="key"):
        await put(url, tmp_path / "backup", RestoreOptions(replace=True), Vault.from_key(Vault.generate_key()))
    with pytest.raises(StorageError, match="No such file"):
        await put(url, tmp_path / "none", RestoreOptions(replace=True))
    assert await rows(url) == before
    async with open_maintenance(url) as database:
        assert (await inspect_backup(database, VAULT, str(tmp_path / "backup"))).rows["crm_integrations"] == 2


HEAD_LINE = b'{"crmsync_backup":1,"revision":"%s","made_at":"2026-11-26T12:00:00+00:00","tables":%s}'
ONE = b'{"crm_field_mapping_templates":["id"]}'


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"[]"],
        [b"[" * 100_000],
        [HEAD_LINE % (b"9999", b"{}"), b'{"end":{}}'],
        [HEAD_LINE % (b"0001", b'{"users":["id"]}'), b'{"end":{"users":0}}'],
        [HEAD_LINE % (b"0001", b'{"../../etc/passwd":["id"]}')],
        [HEAD_LINE % (b"0001", b'{"crm_integrations":["id; DROP TABLE x"]}')],
        [HEAD_LINE % (b"0001", ONE), b'["t"]', b'{"end":{"crm_field_mapping_templates":1}}'],
        [HEAD_LINE % (b"0001", ONE), b'{"table":"crm_field_mapping_templates"}', b'["t","u"]'],
        [HEAD_LINE % (b"0001", ONE), b'{"table":"crm_field_mapping_templates"}', b'[{"pickle":"x"}]'],
        [HEAD_LINE % (b"0001", ONE), b'{"table":"crm_field_mapping_templates"}', b'[{"time":"soon"}]'],
        [HEAD_LINE % (b"0001", ONE), b'{"end":{"crm_field_mapping_templates":1}}'],
        [HEAD_LINE % (b"0001", ONE), b'{"end":{"crm_field_mapping_templates":0}}', b"[]"],
        [HEAD_LINE % (b"0001", ONE)],
    ],
)
async def test_lines_that_no_backup_has_are_refused(tmp_path: Path, lines: list[bytes]) -> None:
    async with open_maintenance(f"sqlite:///{tmp_path / 'x.db'}") as database:
        with pytest.raises(StorageError, match=r"damaged or incomplete|newer crmsync|does not know"):
            await database.load(lambda: iter(lines), RestoreOptions())
        assert await database.revision() == schema.BASE


async def test_what_is_there_is_not_overwritten_by_a_backup(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    await make(url)
    target = tmp_path / "precious"
    target.write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("precious", "link", "none/backup"):
        with pytest.raises(StorageError, match=r"exists already|cannot be written"):
            await save(url, tmp_path / name)
    assert target.read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()


async def test_a_backup_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    async with open_maintenance(url) as database:
        with pytest.raises(StorageError, match="run `crmsync db upgrade` first"):
            await back_up(database, VAULT, str(tmp_path / "backup"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.db"]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket of an S3 server on loopback; the environment says where it is."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://127.0.0.1:{port}"
    assert host
    named = {
        "AWS_ENDPOINT_URL": address,
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        "AWS_ALLOW_HTTP": "true",
    }
    before = {name: os.environ.get(name) for name in named}
    os.environ.update(named)
    place = {"LocationConstraint": "eu-central-1"}
    boto3.client("s3", region_name="eu-central-1").create_bucket(Bucket="backups", CreateBucketConfiguration=place)
    try:
        yield "s3://backups"
    finally:
        server.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


async def test_a_backup_lives_in_an_s3_compatible_store(s3: str, tmp_path: Path) -> None:
    url, again = (f"sqlite:///{tmp_path / name}" for name in ("x.db", "y.db"))
    await make(url, links=600)
    async with open_maintenance(url) as database:
        await back_up(database, VAULT, f"{s3}/crmsync/monday")
        with pytest.raises(StorageError, match="exists already"):
            await back_up(database, VAULT, f"{s3}/crmsync/monday")
    await put(again, f"{s3}/crmsync/monday", RestoreOptions(pause=False))
    assert await rows(again) == await rows(url)


async def test_a_store_that_cannot_be_used_is_named_without_its_secrets(s3: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    for place, message in (
        (f"{s3}/nothing", "is not there"),
        ("s3://no-such-bucket/x", "is not there|cannot be reached"),
    ):
        with pytest.raises(StorageError, match=message) as caught:
            await put(url, place)
        assert "s3cr3t" not in str(caught.value)
    for place in ("s3://bucket", "s3://backups/../x", "s3://backups//x", "https://example.org/backup"):
        with pytest.raises(ConfigurationError, match=r"s3://bucket"):
            await put(url, place)
