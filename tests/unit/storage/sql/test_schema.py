from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from crmsync.errors import StorageError
from crmsync.models.problems import Problem
from crmsync.models.records import Side
from crmsync.storage.sql import layout, open_repository, schema
from crmsync.storage.sql.database import open_database
from crmsync.storage.sql.revision import HEAD, current_revision
from crmsync.storage.sql.tables import metadata
from crmsync.testing.repository_subject import integration, link, store_links

pytestmark = pytest.mark.anyio

SPECIFIED = {
    "crm_integrations": "id user_id provider org_id credentials settings field_mappings sync_enabled last_sync_at "
    "created_at updated_at",
    "crm_integration_numbers": "id integration_id entity_type",
    "crm_sync_status": "integration_id markmail_id crm_id last_sync_hash sync_status sync_direction "
    "error_message created_at updated_at",
    "crm_sync_logs": "id integration_id sync_type entity_type entity_count success_count error_count started_at "
    "completed_at error_details created_at",
    "crm_field_mapping_templates": "id provider name description mappings is_default created_at",
}
"""The specification has ``id`` and ``entity_type`` in crm_sync_status itself. A link's number had no use but took 32
bytes, and the object's name is behind the number in ``integration_id``, as it would be three times in each link."""


async def test_the_migrated_schema_is_the_one_the_code_expects(new_url: str) -> None:
    async with open_repository(new_url), open_database(new_url) as database:
        assert await database.read(_differences) == []


def _differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True, "version_table": layout.VERSION_TABLE}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


async def test_the_tables_have_the_columns_of_the_specification(new_url: str) -> None:
    async with open_repository(new_url), open_database(new_url) as database:
        for table, columns in SPECIFIED.items():
            assert set(columns.split()) <= await database.read(partial(_columns, table)), table


def _columns(table: str, connection: Connection) -> set[str]:
    return {column["name"] for column in sa.inspect(connection).get_columns(table)}


async def test_a_link_s_row_tells_a_reader_what_is_wrong(migrated_url: str) -> None:
    problems = (Problem("Email", "too_long", "is too long", "shorten it"), Problem("Phone", "bad", "is no number"))
    async with open_repository(migrated_url) as repository, open_database(migrated_url) as database:
        await repository.save_integration(integration())
        await store_links(repository, [link(1, problems=problems, born=Side.REMOTE), link(2)])
        query = sa.text("SELECT sync_direction, error_message FROM crm_sync_status ORDER BY markmail_id")
        first, second = await database.read(lambda connection: list(connection.execute(query)))
    assert first == ("from_crm", "Email: is too long [too_long] (shorten it); Phone: is no number [bad]")
    assert second == ("to_crm", None)


LOCAL_IDS = ("bd7425dc-b03d-404b-b0a4-f21e0adc3ebe", "7", "é" * 17)
KINDS = {"sqlite": "TEXT", "postgresql": "uuid"}


async def test_the_documented_sql_finds_links_by_both_ids_and_names(migrated_url: str) -> None:
    page = (Path(__file__).parents[4] / "docs" / "reference" / "tables.md").read_text(encoding="utf-8")
    for_postgresql, for_sqlite = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    async with open_repository(migrated_url) as repository, open_database(migrated_url) as database:
        await repository.save_integration(integration())
        await store_links(repository, [link(number, markmail_id=each) for number, each in enumerate(LOCAL_IDS)])
        kind = database.engine.dialect.name
        shown, joined = (for_postgresql if kind == "postgresql" else for_sqlite).split(";\n\n")

        def work(connection: Connection) -> list[list[tuple[str, ...]]]:
            connection.exec_driver_sql(f"CREATE TEMPORARY TABLE subscribers (id {KINDS[kind]})")
            connection.exec_driver_sql(f"INSERT INTO subscribers VALUES ('{LOCAL_IDS[0]}')")
            return [[tuple(map(str, row)) for row in connection.exec_driver_sql(each)] for each in (shown, joined)]

        found = await database.write(work)
    assert sorted(found[0]) == [
        ("ours", "Contact", f"c{number}", "synced", each) for number, each in enumerate(LOCAL_IDS)
    ]
    assert found[1] == [(LOCAL_IDS[0], "c0", "synced")]


def test_the_head_is_the_last_migration() -> None:
    script = ScriptDirectory.from_config(schema.configuration())
    assert script.get_heads() == [HEAD]


async def test_a_database_of_a_newer_crmsync_is_refused_and_left_alone(new_url: str) -> None:
    async with open_repository(new_url) as repository:
        await repository.save_integration(integration())
    async with open_database(new_url) as database:
        await database.write(_set_version)
        with pytest.raises(StorageError, match=r"newer crmsync \(schema 9999, not .*\): upgrade crmsync"):
            async with open_repository(new_url):
                pass
        assert await database.read(current_revision) == "9999"


def _set_version(connection: Connection) -> None:
    connection.execute(sa.text(f"UPDATE {layout.VERSION_TABLE} SET version_num = '9999'"))


async def test_a_migration_that_fails_leaves_nothing_behind(new_url: str) -> None:
    """A table of the same name, of somebody else, stops it half-way."""
    async with open_database(new_url) as database:
        await database.write(lambda connection: connection.execute(sa.text("CREATE TABLE crm_sync_logs (x INTEGER)")))
        with pytest.raises(StorageError):
            async with open_repository(new_url):
                pass
        tables = await database.read(lambda connection: sa.inspect(connection).get_table_names())
        assert tables == ["crm_sync_logs"]


async def test_many_tasks_may_open_a_new_database_at_once(new_url: str) -> None:
    opened = []

    async def open_one() -> None:
        async with open_repository(new_url) as repository:
            opened.append(await repository.list_integrations())

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(open_one)
    assert opened == [[]] * 5


def test_many_processes_may_open_a_new_database_at_once(new_url: str) -> None:
    program = f"""
import anyio
from crmsync.storage.sql import open_repository
async def main():
    async with open_repository({new_url!r}) as repository:
        print(await repository.list_integrations())
anyio.run(main)
"""
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate() for process in running] == [("[]\n", "")] * 3


async def test_different_databases_may_be_migrated_at_once(tmp_path: Path) -> None:
    """Alembic works with globals, which two migrations must not share."""

    async def open_one(number: int) -> None:
        async with open_repository(f"sqlite:///{tmp_path / str(number)}.db") as repository:
            assert await repository.list_integrations() == []

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(open_one, number)
