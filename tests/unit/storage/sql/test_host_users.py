from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.engine import Connection

from crmsync.errors import ConfigurationError, NotFoundError, StorageError
from crmsync.storage.sql import SqlRepository, open_repository, schema
from crmsync.storage.sql.database import Database, open_database
from crmsync.storage.sql.maintenance import Maintenance
from crmsync.testing.repository_subject import integration, link, store_links

pytestmark = pytest.mark.anyio

UUID = "0b9f3f9e-6c1c-4b7e-9a52-6f6f0c2f7a01"


@pytest.fixture
def anyio_backend() -> str:
    """The database does all of this: one event loop will do."""
    return "asyncio"


@pytest.fixture
async def database(new_url: str) -> AsyncIterator[Database]:
    async with open_database(new_url) as opened:
        yield opened


@pytest.fixture
async def repository(new_url: str) -> AsyncIterator[SqlRepository]:
    """With an integration of user 1, which has a link, and one of nobody."""
    async with open_repository(new_url) as opened:
        await opened.save_integration(integration("ours", user_id="1"))
        await store_links(opened, [link(1)])
        await opened.save_integration(integration("nobody's", user_id=""))
        yield opened


async def execute(database: Database, *statements: str) -> None:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    await database.write(work)


@pytest.mark.parametrize("kind", ["INTEGER", "BIGINT", "VARCHAR(40)", "TEXT"])
async def test_the_host_s_users_are_referred_to_whatever_their_key_is(
    database: Database, repository: SqlRepository, kind: str
) -> None:
    await execute(database, f"CREATE TABLE users (id {kind} PRIMARY KEY)", "INSERT INTO users VALUES ('1'), ('2')")
    maintenance = Maintenance(database)
    await maintenance.reference_users("users.id")
    await repository.save_integration(integration("more", user_id="2"))
    with pytest.raises(NotFoundError, match="does not exist"):
        await repository.save_integration(integration("lost", user_id="3"))
    with pytest.raises(NotFoundError, match="does not exist"):
        await repository.save_integration(integration("ours", user_id="3"))
    with pytest.raises(StorageError):
        await execute(database, "DELETE FROM users WHERE id = '1'")
    assert [one.id for one in await repository.list_integrations()] == ["more", "nobody's", "ours"]
    assert await maintenance.check() == []
    await maintenance.unreference_users()
    await repository.save_integration(integration("lost", user_id="3"))


async def test_a_user_who_is_deleted_takes_integrations_along_if_asked(
    database: Database, repository: SqlRepository
) -> None:
    await execute(database, "CREATE TABLE users (id INTEGER PRIMARY KEY)", "INSERT INTO users VALUES (1)")
    await Maintenance(database).reference_users("users.id", "cascade")
    await execute(database, "DELETE FROM users")
    assert [one.id for one in await repository.list_integrations()] == ["nobody's"]
    assert await repository.scan_links("ours", "Contact") == []


async def test_what_cannot_be_referred_to_is_refused_and_changes_nothing(
    database: Database, repository: SqlRepository
) -> None:
    maintenance = Maintenance(database)
    await execute(database, "CREATE TABLE users (id INTEGER PRIMARY KEY)")
    for place, message in (
        ("users", "reads like users.id"),
        ("users.id; DROP TABLE x", "reads like users.id"),
        ("people.id", "no table 'people'"),
        ("users.key", "no column 'key'"),
        ("users.id", "user is not in users.id"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            await maintenance.reference_users(place)
    with pytest.raises(ConfigurationError, match="refers to no users"):
        await maintenance.unreference_users()
    await execute(database, "INSERT INTO users VALUES (1)")
    await maintenance.reference_users("users.id")
    with pytest.raises(ConfigurationError, match="refers to users already"):
        await maintenance.reference_users("users.id")
    await maintenance.downgrade("0001")
    await maintenance.upgrade()
    with pytest.raises(NotFoundError):
        await repository.save_integration(integration("lost", user_id="3"))
    await maintenance.downgrade(schema.BASE)


async def test_users_with_uuids_in_another_schema_are_referred_to(postgres_url: str) -> None:
    mark = "&" if "?" in postgres_url else "?"
    async with open_database(f"{postgres_url}{mark}table_prefix=of_") as database:
        await execute(
            database,
            "CREATE SCHEMA host",
            "CREATE TABLE host.users (id UUID PRIMARY KEY)",
            f"INSERT INTO host.users VALUES ('{UUID}')",
        )
        async with open_repository(f"{postgres_url}{mark}table_prefix=of_") as repository:
            await Maintenance(database).reference_users("host.users.id")
            await repository.save_integration(integration("ours", user_id=UUID))
            with pytest.raises(NotFoundError):
                await repository.save_integration(integration("lost", user_id=UUID.replace("0b9f", "ffff")))
        await Maintenance(database).downgrade(schema.BASE)
        await execute(database, "DROP SCHEMA host CASCADE")
