"""Tables under a prefix or in a schema of their own."""

from __future__ import annotations

from functools import partial

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.errors import ConfigurationError
from crmsync.storage.sql import open_repository, schema
from crmsync.storage.sql.database import open_database
from crmsync.storage.sql.layout import VERSION_TABLE
from crmsync.testing.repository_subject import integration, link, store_links

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Migrations run in a thread and see no event loop: one will do."""
    return "asyncio"


async def test_two_prefixes_in_one_database_do_not_see_each_other(new_url: str) -> None:
    mark = "&" if "?" in new_url else "?"
    urls = [new_url, f"{new_url}{mark}table_prefix=a_", f"{new_url}{mark}table_prefix=b_"]
    for number, url in enumerate(urls):
        async with open_repository(url) as repository:
            assert await repository.list_integrations() == []
            await repository.save_integration(integration("same", user_id=f"user {number}"))
            await store_links(repository, [link(number, ("same", "Contact"))])
    for number, url in enumerate(urls):
        async with open_repository(url) as repository:
            [found] = await repository.list_integrations()
            assert found.user_id == f"user {number}"
            assert [one.markmail_id for one in await repository.scan_links("same", "Contact")] == [f"m{number}"]
    async with open_database(urls[1]) as database:
        await database.manage(partial(schema.downgrade, name=database.name, target=schema.BASE))
        names = await database.read(all_names)
    assert {name for name in names if name.startswith("a_")} == {f"a_{VERSION_TABLE}"}
    assert {name.removeprefix("b_") for name in names if name.startswith("b_")} == {
        name for name in names if not name.startswith(("a_", "b_"))
    }


async def test_a_schema_of_postgresql_holds_all_of_it(postgres_url: str) -> None:
    mark = "&" if "?" in postgres_url else "?"
    url = f"{postgres_url}{mark}schema=crm_apart&table_prefix=p_"
    async with open_database(postgres_url) as database:
        await database.write(lambda connection: connection.execute(sa.text("CREATE SCHEMA crm_apart")))
        try:
            async with open_repository(url) as repository:
                await repository.save_integration(integration("apart"))
                await store_links(repository, [link(1, ("apart", "Contact"))])
                assert await repository.count_links("apart", "Contact") == {"synced": 1}
            names = await database.read(lambda connection: sa.inspect(connection).get_table_names(schema="crm_apart"))
            assert {"p_crm_integrations", f"p_{VERSION_TABLE}"} <= set(names)
            assert all(name.startswith("p_crm") for name in names)
            script = schema.write_sql(url)
            assert "SET search_path TO crm_apart;" in script
            assert "CREATE TABLE p_crm_integrations" in script
        finally:
            await database.write(lambda connection: connection.execute(sa.text("DROP SCHEMA crm_apart CASCADE")))


@pytest.mark.parametrize(
    "query", ["table_prefix=A-", "table_prefix=seventeen_letters", "table_prefix=fk_", "schema=x", "table_prefix=a;b"]
)
async def test_a_layout_that_cannot_be_is_refused(query: str) -> None:
    with pytest.raises(ConfigurationError, match="storage URL"):
        async with open_repository(f"sqlite:///x.db?{query}"):
            pass


def all_names(connection: Connection) -> set[str]:
    """Of tables and their indexes."""
    inspector = sa.inspect(connection)
    tables = inspector.get_table_names()
    indexes = {str(index["name"]) for table in tables for index in inspector.get_indexes(table)}
    return {*tables, *indexes}
