"""Each released schema to the current one and back, with data in every table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, cast

import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.diff import Shadow, sync_hash
from crmsync.diff.packing import Kept
from crmsync.errors import ConfigurationError, StorageError
from crmsync.models.state import Link, LinkStatus
from crmsync.storage.sql import open_repository, schema, tables
from crmsync.storage.sql.database import Database, open_database
from crmsync.storage.sql.layout import VERSION_TABLE, layout_of
from crmsync.storage.sql.revision import HEAD, current_revision
from crmsync.testing.repository_subject import integration, link, store_links

pytestmark = pytest.mark.anyio

REVISIONS = schema.revisions()
Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]


@pytest.fixture
def anyio_backend() -> str:
    """Migrations run in a thread and see no event loop: one will do."""
    return "asyncio"


async def to(database: Database, target: str) -> None:
    await database.manage(partial(schema.upgrade, name=database.name, target=target))


async def back_to(database: Database, target: str) -> None:
    await database.manage(partial(schema.downgrade, name=database.name, target=target))


async def test_what_each_revision_holds_survives_the_way_up_and_the_way_back(new_url: str) -> None:
    """A row in every table at every revision. On the way back goes only what the earlier revision has no place for."""
    held: dict[str, Tables] = {}
    async with open_database(new_url) as database:
        for revision in REVISIONS:
            await to(database, revision)
            held[revision] = await database.write(partial(fill, revision))
        for revision in reversed(REVISIONS):
            await back_to(database, revision)
            found = await database.read(contents)
            for stored in (held[name] for name in REVISIONS[: REVISIONS.index(revision) + 1]):
                for table, rows in stored.items():
                    for row in rows:
                        assert any(row.items() <= other.items() for other in found[table]), (revision, table, row)
        await back_to(database, schema.BASE)
        assert set(await database.read(lambda connection: sa.inspect(connection).get_table_names())) == {VERSION_TABLE}
        await to(database, HEAD)
        assert await database.read(current_revision) == HEAD


async def test_a_database_that_went_back_works_after_it_comes_forward_again(new_url: str) -> None:
    async with open_repository(new_url) as repository, open_database(new_url) as database:
        await repository.save_integration(integration())
        await store_links(repository, [link(1)])
        for revision in ("0006", "0003", "0001"):
            await back_to(database, revision)
            await to(database, HEAD)
        [kept] = await repository.scan_links("ours", "Contact")
        assert (kept.markmail_id, kept.crm_id) == ("m1", "c1")
        await store_links(repository, [link(1, flips=b"x" * 24), link(2)])


async def test_links_from_before_they_were_counted_are_counted_by_the_upgrade(new_url: str) -> None:
    async with open_repository(new_url) as repository, open_database(new_url) as database:
        await repository.save_integration(integration())
        await store_links(repository, [link(1), link(2), link(3, status=LinkStatus.REJECTED)])
        await back_to(database, "0011")
        await to(database, HEAD)
        held = await database.read(
            lambda connection: connection.execute(sa.select(tables.counts.c.links)).scalars().all()
        )
        assert sorted(held) == [1, 2]
        assert await repository.count_links("ours", "Contact") == {LinkStatus.SYNCED: 2, LinkStatus.REJECTED: 1}


def links_in_use() -> list[Link]:
    """Of two versions of a mapping, with all that a link can hold, and one without a counterpart."""
    fields = {number.to_bytes(3, "big"): number.to_bytes(6, "big") for number in range(20)}
    plain = Shadow(b"a local.", fields).encode()
    other = Shadow(b"a remote", {**fields, b"set": frozenset([b"elemen"])}).encode()
    held = [(plain, plain), (plain, other), (other, plain), (plain, b""), (b"", b"")]
    found = [
        link(number, local_shadow=ours, remote_shadow=theirs, last_sync_hash=sync_hash(ours, theirs))
        for number, (ours, theirs) in enumerate(held)
    ]
    return [attrs.evolve(each, mapping_version="ab" * 16) for each in found] + [
        attrs.evolve(found[0], markmail_id="m8", crm_id="c8", mapping_version="cd" * 16),
        attrs.evolve(found[0], markmail_id="m9", crm_id=None, last_sync_hash="ef" * 32),
    ]


def raw_links(connection: Connection) -> list[Kept]:
    columns = "local_shadow, remote_shadow, mapping_version, last_sync_hash"
    rows = connection.execute(sa.text(f"SELECT {columns} FROM crm_sync_status ORDER BY markmail_id"))
    return [(local, remote, version, hashed) for local, remote, version, hashed in rows]


async def test_links_are_packed_by_the_upgrade_and_unpacked_on_the_way_back(new_url: str) -> None:
    stored = links_in_use()
    async with open_repository(new_url) as repository, open_database(new_url) as database:
        await repository.save_integration(integration())
        await store_links(repository, stored)
        before = await repository.scan_links("ours", "Contact")
        packed = await database.read(raw_links)
        await back_to(database, "0014")
        plain = await database.read(raw_links)
        assert plain == [
            (each.local_shadow, each.remote_shadow, each.mapping_version, each.last_sync_hash) for each in stored
        ]
        await to(database, HEAD)
        assert await database.read(raw_links) == packed
        assert await repository.scan_links("ours", "Contact") == before
    assert sum(len(part) for row in packed for part in row) < sum(len(part) for row in plain for part in row) / 2


async def test_a_link_whose_outline_is_gone_is_read_and_goes_back_as_one_that_nothing_is_known_of(new_url: str) -> None:
    async with open_repository(new_url) as repository, open_database(new_url) as database:
        await repository.save_integration(integration())
        await store_links(repository, links_in_use()[:1])
        await database.write(lambda connection: connection.execute(sa.text("DELETE FROM crm_sync_outlines")))
    async with open_repository(new_url) as repository, open_database(new_url) as database:
        [found] = await repository.scan_links("ours", "Contact")
        assert (found.status, found.local_shadow) == (LinkStatus.REJECTED, b"")
        await back_to(database, "0014")
        assert await database.read(raw_links) == [(b"", b"", "", "")]


async def test_links_call_their_integration_by_a_number_from_the_upgrade_on(new_url: str) -> None:
    """The times, too, are the same on the way there and back, and another tenant's links stay another's."""
    async with open_repository(new_url) as repository, open_database(new_url) as database:
        for name in ("x", "ours", "theirs"):
            await repository.save_integration(integration(name))
        for name in ("theirs", "ours"):
            await store_links(repository, [link(number, (name, "Contact")) for number in range(3)])
        before = [await repository.scan_links(name, "Contact") for name in ("ours", "theirs")]
        await back_to(database, "0015")
        query = sa.text("SELECT integration_id, created_at FROM crm_sync_status ORDER BY id")
        rows = await database.read(lambda connection: connection.execute(query).all())
        assert [row[0] for row in rows] == ["theirs"] * 3 + ["ours"] * 3
        assert [as_moment(row[1]) for row in rows] == [each.created_at for links in before[::-1] for each in links]
        await to(database, HEAD)
        assert [await repository.scan_links(name, "Contact") for name in ("ours", "theirs")] == before
        await repository.delete_integration("theirs")
        assert await repository.scan_links("ours", "Contact") == before[0]
        assert await repository.count_links("theirs", "Contact") == {}
        query = sa.text("SELECT count(*) FROM crm_sync_status")
        assert await database.read(lambda connection: connection.scalar(query)) == 3


IDS = (
    "00000000-0000-4000-8000-0000000000ff",
    "bd7425dc-b03d-404b-b0a4-f21e0adc3ebe",
    "BD7425DC-B03D-404B-B0A4-F21E0ADC3EBE",
    "bd7425dcb03d404bb0a4f21e0adc3ebe",
    "bd7425dc-b03d-404b-b0a4-f21e0adc3ebe ",
    "{bd7425dc-b03d-404b-b0a4-f21e0adc3ebe}"[:36],
    "100%_\\x",
    "\\xff00",
    "é" * 17,
    "\u00ff" + "a" * 16,
    "日本語",
    "7",
)
"""UUIDs, what is nearly one, and what a database could take for something else."""


async def test_links_have_short_ids_from_the_upgrade_on(new_url: str) -> None:
    """Of two integrations with two objects each, and all are the same after the way there and back."""
    scopes = [(name, kind) for name in ("ours", "theirs") for kind in ("Contact", "Lead")]
    async with open_repository(new_url) as repository, open_database(new_url) as database:
        for name in ("x", "theirs", "ours"):
            await repository.save_integration(integration(name))
        for scope in scopes:
            stored = [link(number, scope, markmail_id=each) for number, each in enumerate(IDS)]
            await store_links(repository, [*stored, link("none", scope, crm_id=None, status=LinkStatus.REJECTED)])
        before = [await repository.scan_links(*scope) for scope in scopes]
        raw = await database.read(raw_ids)
        await back_to(database, "0016")
        query = sa.text(
            "SELECT n.integration_id, s.entity_type, s.markmail_id FROM crm_sync_status s"
            " JOIN crm_integration_numbers n ON n.id = s.integration_id ORDER BY s.id"
        )
        rows = await database.read(lambda connection: [tuple(row) for row in connection.execute(query)])
        assert rows == [(*scope, each) for scope in scopes for each in (*IDS, "mnone")]
        await to(database, HEAD)
        assert [await repository.scan_links(*scope) for scope in scopes] == before
        assert await database.read(raw_ids) == raw
        found = await repository.links_by_local("theirs", "Lead", IDS)
        assert [found[each].crm_id for each in IDS] == [f"c{number}" for number in range(len(IDS))]
        await store_links(
            repository, [link(number, markmail_id=each, crm_id=f"x{number}") for number, each in enumerate(IDS)]
        )
        assert await repository.count_links("ours", "Contact") == {LinkStatus.SYNCED: len(IDS), LinkStatus.REJECTED: 1}
        await repository.delete_integration("theirs")
        assert await repository.scan_links("ours", "Lead") == before[1]
        query = sa.text("SELECT count(*) FROM crm_sync_status")
        assert await database.read(lambda connection: connection.scalar(query)) == 2 * (len(IDS) + 1)


def raw_ids(connection: Connection) -> list[bytes]:
    rows = connection.execute(sa.text("SELECT markmail_id FROM crm_sync_status ORDER BY markmail_id")).scalars().all()
    assert {type(row) for row in rows} == {bytes}
    return [bytes(row) for row in rows]


def as_moment(value: object) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else cast("datetime", value)


async def test_revisions_that_there_are_not_are_refused(new_url: str) -> None:
    async with open_database(new_url) as database:
        await to(database, "0003")
        for move in (to, back_to):
            with pytest.raises(ConfigurationError, match=r"no revision '7': there are base and 0001 to "):
                await move(database, "7")
        with pytest.raises(StorageError, match="is at revision 0003, which comes before 0005"):
            await back_to(database, "0005")
        assert await database.read(current_revision) == "0003"


async def test_a_newer_database_is_neither_upgraded_nor_downgraded(new_url: str) -> None:
    async with open_database(new_url) as database:
        await to(database, HEAD)
        await database.write(
            lambda connection: connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num=99"))
        )
        for move in (partial(to, target=HEAD), partial(back_to, target="0001")):
            with pytest.raises(StorageError, match="newer crmsync"):
                await move(database)


@pytest.mark.parametrize("start", [schema.BASE, "0004"])
async def test_the_plain_sql_brings_a_database_to_the_same_schema(new_url: str, start: str) -> None:
    written = schema.write_sql(new_url, start)
    async with open_database(new_url) as database:
        if start != schema.BASE:
            await to(database, start)
        await database.manage(lambda engine: run_script(engine, written))
        assert await database.read(current_revision) == HEAD
    async with open_repository(new_url) as repository:
        await repository.save_integration(integration())
        await store_links(repository, [link(1)])


async def test_plain_sql_is_written_without_a_connection_and_only_forward() -> None:
    script = schema.write_sql("postgresql://nobody:p%40ss@192.0.2.1/none", "0009")
    assert "ALTER TABLE crm_sync_status ADD COLUMN flips BYTEA" in script
    assert "p%40ss" not in script
    with pytest.raises(ConfigurationError, match="0009 comes after 0001"):
        schema.write_sql("sqlite://", "0009", "0001")


def fill(integration_id: str, connection: Connection) -> Tables:
    """Insert a row into every table, with a value in each column; what was inserted."""
    stored = {}
    for table in reflected(connection):
        row = {column.name: value(column, integration_id) for column in table.columns if not numbered(column)}
        if row.get("integration_id") == integration_id and isinstance(table.c.integration_id.type, sa.Integer):
            number = connection.scalar(sa.text("SELECT max(id) FROM crm_integration_numbers"))
            connection.execute(sa.insert(table), {**row, "integration_id": number})
        else:
            connection.execute(sa.insert(table), row)
        if isinstance(packed := row.get("markmail_id"), bytes):
            row["markmail_id"] = packed.decode()
        stored[table.name] = [row]
    return stored


def contents(connection: Connection) -> Tables:
    """With the integrations' ids and the objects' names, also where there are numbers of theirs."""
    found = {
        table.name: [dict(row._mapping) for row in connection.execute(sa.select(table))]
        for table in reflected(connection)
    }
    numbers = {row["id"]: row for row in found.get("crm_integration_numbers", [])}
    for link_row in found.get("crm_sync_status", []):
        scope = dict(numbers.get(link_row["integration_id"], {}))
        link_row.update((name, scope[name]) for name in ("integration_id", "entity_type") if name in scope)
        if isinstance(link_row["markmail_id"], bytes):
            link_row["markmail_id"] = link_row["markmail_id"].decode()
    return found


def reflected(connection: Connection) -> list[sa.Table]:
    """Our tables as the database has them, those first that others refer to."""
    assert layout_of(connection).schema is None
    metadata = sa.MetaData()
    metadata.reflect(connection, only=lambda name, _: name.startswith("crm_"))
    return metadata.sorted_tables


def numbered(column: sa.Column[Any]) -> bool:
    return column.primary_key and column.name == "id" and isinstance(column.type, sa.Integer)


def value(column: sa.Column[Any], integration_id: str) -> object:
    """A value that fits a column."""
    if column.name == "integration_id" or (column.table.name == "crm_integrations" and column.name == "id"):
        return integration_id
    match column.type:
        case sa.JSON():
            return {"of": [column.name, None]}
        case sa.DateTime():
            return datetime(2026, 11, 26, 12, 0, 0, 123456, tzinfo=UTC)
        case sa.Date():
            return date(2026, 11, 26)
        case sa.Boolean():
            return True
        case sa.Integer():
            return int(integration_id) if column.primary_key else 7
        case sa.LargeBinary() if column.name == "markmail_id":
            return f"{integration_id} {column.name}".encode()
        case sa.LargeBinary():
            return b"\x00\xff" + column.name.encode()
        case _:
            return f"{integration_id} {column.name}"[: getattr(column.type, "length", None)]


def run_script(engine: sa.Engine, script: str) -> None:
    """As psql or sqlite3 would: one statement after the other, each by itself."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        if connection.dialect.name == "sqlite":
            driver.executescript(script)
            return
        driver.autocommit = True
        for statement in script.split(";\n"):
            if statement.strip():
                driver.execute(statement)
        driver.autocommit = False
