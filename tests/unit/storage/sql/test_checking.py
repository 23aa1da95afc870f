from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from crmsync.errors import StorageError
from crmsync.models.state import LinkStatus
from crmsync.storage.sql import open_repository, schema
from crmsync.storage.sql.database import Database, open_database
from crmsync.storage.sql.maintenance import Maintenance
from crmsync.storage.sql.repository import SqlRepository
from crmsync.testing.repository_subject import CONTACT, OURS, THEIRS, integration, link, store_links

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """A check runs in a thread and sees no event loop: one will do."""
    return "asyncio"


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    """With two integrations and 2,500 links."""
    async with open_repository(migrated_url) as repository, open_database(migrated_url) as opened:
        for name in (OURS, THEIRS):
            await repository.save_integration(integration(name))
        await store_links(repository, [link(number) for number in range(2500)])
        yield opened


async def execute(database: Database, *statements: str) -> None:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    await database.write(work)


async def codes(database: Database) -> list[str]:
    return [finding.code for finding in await Maintenance(database).check()]


async def test_nothing_is_found_where_nothing_is_wrong(database: Database) -> None:
    assert await Maintenance(database).check() == []


async def test_rows_that_cannot_be_read_are_named_by_their_keys(database: Database) -> None:
    await execute(
        database,
        "UPDATE crm_sync_status SET sync_status = 'sYnced' WHERE crm_id IN ('c17', 'c2203')",
        "UPDATE crm_sync_status SET problems = '[[1]]' WHERE crm_id = 'c3'",
        'UPDATE crm_integrations SET field_mappings = \'{"Contact": {"fields": "SECRET"}}\' WHERE id = \'theirs\'',
    )
    findings = await Maintenance(database).check()
    assert [finding.code for finding in findings] == ["damaged"] * 4
    assert findings[0].message.startswith(
        "the row of crm_integrations with id 'theirs' cannot be read; restore a backup"
    )
    named = {finding.message.partition(" cannot")[0].partition("markmail_id ")[2] for finding in findings[1:]}
    assert named == {"'m3'", "'m17'", "'m2203'"}
    assert "SECRET" not in str(findings)


async def test_links_whose_ids_somebody_wrote_by_hand_are_named_and_keep_no_other_from_being_read(
    database: Database,
) -> None:
    is_sqlite = database.engine.dialect.name == "sqlite"
    for crm_id, damaged in (("c5", b"\xff\xff"), ("c6", b"a\x80"), ("c7", b"bd7425dc-b03d-404b-b0a4-f21e0adc3ebe")):
        written = f"X'{damaged.hex()}'" if is_sqlite else f"decode('{damaged.hex()}', 'hex')"
        await execute(database, f"UPDATE crm_sync_status SET markmail_id = {written} WHERE crm_id = '{crm_id}'")
    findings = await Maintenance(database).check()
    named = [finding.message.partition(" cannot")[0].partition("markmail_id ")[2] for finding in findings]
    assert named == [r"b'a\x80'", "b'bd7425dc-b03d-404b-b0a4-f21e0adc3ebe'", r"b'\xff\xff'"]
    found = await SqlRepository(database).scan_links(OURS, CONTACT, limit=10_000)
    assert len(found) == 2_500
    rejected = [each.crm_id for each in found if each.status is LinkStatus.REJECTED]
    assert rejected == ["c6", "c7", "c5"]


async def test_links_that_somebody_deleted_by_hand_are_counted_anew_when_their_counts_are_deleted(
    database: Database,
) -> None:
    await execute(database, "DELETE FROM crm_sync_status WHERE crm_id = 'c17'")
    [finding] = await Maintenance(database).check()
    assert (finding.code, "delete its rows of crm_sync_counts" in finding.message) == ("miscounted", True)
    await execute(database, "DELETE FROM crm_sync_counts WHERE integration_id = 'ours' AND entity_type = 'Contact'")
    assert await codes(database) == []
    repository = SqlRepository(database)
    assert await repository.count_links(OURS, CONTACT) == {LinkStatus.SYNCED: 2499}
    await store_links(repository, [link(9000)])
    assert await codes(database) == []
    assert await repository.count_links(OURS, CONTACT) == {LinkStatus.SYNCED: 2500}


async def test_what_is_missing_from_the_schema_is_named(database: Database) -> None:
    await execute(database, "DROP INDEX ix_crm_sync_status_unsynced")
    assert await codes(database) == ["missing_index"]
    await execute(database, "ALTER TABLE crm_sync_status DROP COLUMN flips", "DROP TABLE crm_stops")
    assert sorted(await codes(database)) == ["missing", "missing", "missing_index"]


async def test_a_database_of_another_revision_is_not_checked(database: Database) -> None:
    await database.manage(lambda engine: schema.downgrade(engine, "x", "0009"))
    with pytest.raises(StorageError, match=r"is at revision 0009, and this .* checks .*: run `crmsync db upgrade`"):
        await Maintenance(database).check()


async def test_a_file_that_others_may_open_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    url = f"sqlite:///{path}"
    async with open_repository(url), open_database(url) as database:
        path.chmod(0o644)
        [finding] = await Maintenance(database).check()
        assert (finding.code, f"chmod 600 {path}" in finding.message) == ("permissions", True)


async def test_a_damaged_file_and_rows_that_belong_to_nothing_are_found(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    url = f"sqlite:///{path}"
    async with open_repository(url) as repository:
        await repository.save_integration(integration())
        await store_links(repository, [link(number, local_version="x" * 500) for number in range(500)])
    with closing(sqlite3.connect(path, isolation_level=None)) as careless:
        careless.execute("DELETE FROM crm_integrations")
    async with open_database(url) as database:
        assert set(await codes(database)) == {"orphan"}
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    async with open_database(url) as database:
        assert "corrupt" in await codes(database)


async def test_an_index_that_was_not_built_to_its_end_is_found(postgres_url: str) -> None:
    async with open_repository(postgres_url), open_database(postgres_url) as database:
        invalid = "UPDATE pg_index SET indisvalid = {} WHERE indexrelid = 'ix_crm_sync_changes_crm_id'::regclass"
        await execute(database, invalid.format("false"))
        try:
            assert await codes(database) == ["invalid_index"]
        finally:
            await execute(database, invalid.format("true"))
