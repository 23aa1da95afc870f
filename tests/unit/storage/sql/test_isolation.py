"""PostgreSQL's row-level security: what a role that is not the owner sees, whatever its SQL says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import attrs
import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.errors import ConfigurationError, NotFoundError, StorageError
from crmsync.models.state import Acknowledgement
from crmsync.storage.sql import isolation, open_repository, schema
from crmsync.storage.sql.database import Database, open_database
from crmsync.storage.sql.maintenance import Maintenance, open_maintenance
from crmsync.testing.repository_isolation import CASES, contents, fill
from crmsync.testing.repository_subject import CONTACT, NOW, OURS, THEIRS, TTL, integration, link, shadows

pytestmark = pytest.mark.anyio

ROLE = "crmsync_tenant"
PREFIX = "rls_"


@attrs.frozen
class Place:
    """A database with the rows of two tenants, of users ``user of ours`` and ``user of the others``."""

    owner: str
    tenant: str

    def as_tenant(self, **query: str) -> str:
        return sa.make_url(self.tenant).update_query_dict(query).render_as_string(hide_password=False)


@pytest.fixture
def anyio_backend() -> str:
    """PostgreSQL keeps the tenants apart; the event loop has no part in it."""
    return "asyncio"


@pytest.fixture
async def place(postgres_url: str) -> AsyncIterator[Place]:
    url = sa.make_url(postgres_url).update_query_dict({"table_prefix": PREFIX})
    owner = url.render_as_string(hide_password=False)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {ROLE}".encode())
        connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'tenant'".encode())
    async with open_repository(owner) as repository:
        await fill(repository, THEIRS, "of the others")
        await fill(repository, OURS, "of ours")
    async with open_maintenance(owner) as maintenance:
        await maintenance.isolate(ROLE)
        tenant = url.set(username=ROLE, password="tenant").render_as_string(hide_password=False)
        yield Place(owner, tenant)
        await maintenance.undo_isolation()
        await maintenance.downgrade(schema.BASE)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP TABLE {PREFIX}crmsync_alembic_version".encode())
        connection.execute(f"DROP OWNED BY {ROLE}".encode())
        connection.execute(f"DROP ROLE {ROLE}".encode())


def owners(connection: Connection) -> dict[str, set[str]]:
    """Whose rows each table shows, read by plain SQL without a condition."""
    shown = {}
    for table in sorted(isolation.owned_tables()):
        column = "id" if table == "crm_integrations" else "integration_id"
        shown[table] = set(connection.exec_driver_sql(f"SELECT {column} FROM {PREFIX}{table}").scalars())
    numbers = connection.exec_driver_sql(f"SELECT id, integration_id FROM {PREFIX}crm_integration_numbers")
    ids = {row.id: row.integration_id for row in numbers}
    shown["crm_sync_status"] = {ids[number] for number in shown["crm_sync_status"]}
    return shown


async def test_plain_sql_of_a_tenant_sees_only_its_own_rows(place: Place) -> None:
    everything = {table: {OURS, THEIRS} for table in isolation.owned_tables()}
    for query, expected in (
        ({}, set()),
        ({"tenant_user": "user of ours"}, {OURS}),
        ({"tenant_integration": THEIRS}, {THEIRS}),
        ({"tenant_user": ""}, set()),
        ({"tenant_user": "nobody"}, set()),
    ):
        async with open_database(place.as_tenant(**query)) as database:
            assert await database.read(owners) == dict.fromkeys(everything, expected), query
    async with open_database(place.owner) as database:
        assert await database.read(owners) == everything, "the owner serves everybody"


async def test_plain_sql_of_a_tenant_changes_only_its_own_rows(place: Place) -> None:
    async with open_repository(place.owner) as repository:
        before = await contents(repository, THEIRS)
        async with open_database(place.as_tenant(tenant_user="user of ours")) as database:
            await database.write(change_everything)
        assert await contents(repository, THEIRS) == before
        assert [one.id for one in await repository.list_integrations()] == [THEIRS]


def change_everything(connection: Connection) -> None:
    connection.exec_driver_sql(f"UPDATE {PREFIX}crm_sync_status SET crm_id = NULL")
    connection.exec_driver_sql(f"UPDATE {PREFIX}crm_integrations SET credentials = ''")
    for table in sorted(isolation.owned_tables() - {"crm_audit_log"}, reverse=True):
        connection.exec_driver_sql(f"DELETE FROM {PREFIX}{table}")


FORBIDDEN = (
    f"INSERT INTO {PREFIX}crm_api_calls (integration_id, day, taken) VALUES ('{THEIRS}', '2030-01-01', 1)",
    f"UPDATE {PREFIX}crm_api_calls SET integration_id = '{THEIRS}', day = '2030-01-01'",
    f"UPDATE {PREFIX}crm_integrations SET user_id = 'user of the others'",
    f"DELETE FROM {PREFIX}crm_field_mapping_templates",
    f"DROP POLICY {isolation.POLICY} ON {PREFIX}crm_integrations",
    f"ALTER TABLE {PREFIX}crm_integrations DISABLE ROW LEVEL SECURITY",
    f"TRUNCATE {PREFIX}crm_sync_status",
    f"DELETE FROM {PREFIX}crm_audit_log",
    f"UPDATE {PREFIX}crm_audit_log SET actor = ''",
)


async def test_a_tenant_cannot_give_rows_to_others_nor_lift_the_policies(place: Place) -> None:
    async with open_database(place.as_tenant(tenant_user="user of ours")) as database:
        for statement in FORBIDDEN:
            with pytest.raises(StorageError, match="42501"):
                await database.write(partial(Connection.exec_driver_sql, statement=statement))


async def test_every_method_works_for_a_tenant_on_its_own_rows(place: Place) -> None:
    async with open_repository(place.as_tenant(tenant_user="user of ours")) as repository:
        assert [one.id for one in await repository.list_integrations()] == [OURS]
        with pytest.raises(NotFoundError):
            await repository.get_integration(THEIRS)
        ours = await repository.acquire_lease(OURS, CONTACT, "worker-1", now=NOW, ttl=TTL)
        for method, call in CASES.items():
            if method == "save_integration":
                await repository.save_integration(integration(OURS, user_id="user of ours"))
            else:
                await call(repository, ours)
        assert await repository.list_integrations() == []
        assert await repository.list_templates() == []


async def test_tenants_with_one_org_take_turns_at_it(place: Place) -> None:
    async with (
        open_repository(place.as_tenant(tenant_user="user of ours")) as ours,
        open_repository(place.as_tenant(tenant_integration=THEIRS)) as theirs,
    ):
        assert await ours.take_turn("org", "a", now=NOW, ttl=TTL)
        assert not await theirs.take_turn("org", "b", now=NOW, ttl=TTL)
        await ours.end_turn("org", "a")
        assert await theirs.take_turn("org", "b", now=NOW, ttl=TTL)


async def test_a_large_page_of_a_tenant_is_stored(place: Place) -> None:
    """PostgreSQL takes no COPY into a table while it keeps its rows apart."""
    async with open_repository(place.as_tenant(tenant_user="user of ours")) as repository:
        lease = await repository.acquire_lease(OURS, CONTACT, "worker-1", now=NOW, ttl=TTL)
        for _ in range(2):
            await repository.acknowledge(lease, Acknowledgement(links=tuple(map(link, range(1000, 1150)))))
        assert len(await repository.scan_links(OURS, CONTACT, after="m1000")) > 140


async def test_a_new_integration_of_the_tenant_s_own_user_may_be_saved_and_no_other(place: Place) -> None:
    async with open_repository(place.as_tenant(tenant_user="user of ours")) as repository:
        await repository.save_integration(integration("more", user_id="user of ours"))
        lease = await repository.acquire_lease("more", CONTACT, "w", now=NOW, ttl=TTL)
        await repository.acknowledge(lease, Acknowledgement(links=(link(1, ("more", CONTACT)),)))
        with pytest.raises(StorageError, match="42501"):
            await repository.save_integration(integration("other", user_id="user of the others"))
        with pytest.raises(StorageError, match="42501"):
            await repository.save_integration(integration(THEIRS, user_id="user of ours"))


async def test_an_upgrade_keeps_tenants_apart_in_new_tables_and_a_check_names_one_that_does_not(place: Place) -> None:
    async with open_database(place.owner) as database:
        await database.manage(partial(schema.downgrade, name="x", target="0007"))
        await database.manage(partial(schema.upgrade, name="x"))
        assert await database.read(isolation.isolated_tables) == isolation.owned_tables()
        async with open_repository(place.as_tenant(tenant_user="user of ours")) as repository:
            lease = await repository.acquire_lease(OURS, CONTACT, "worker-1", now=NOW, ttl=TTL)
            await repository.acknowledge(lease, Acknowledgement(links=(link(1000, **shadows()),)))
            assert len(await repository.scan_links(OURS, CONTACT)) == 4
            assert await repository.scan_links(THEIRS, CONTACT) == []
        await drop_policy(database, "crm_sync_changes")
        [finding] = await Maintenance(database).check()
        assert (finding.code, "rls_crm_sync_changes" in finding.message) == ("not_isolated", True)


async def test_links_are_kept_apart_on_the_way_back_too_and_may_be_added(place: Place) -> None:
    async with open_database(place.owner) as database:
        async with open_database(place.as_tenant(tenant_user="user of ours")) as tenant:
            for revision, owner in (
                (
                    "0016",
                    f"(SELECT integration_id FROM {PREFIX}crm_integration_numbers n WHERE n.id = l.integration_id)",
                ),
                ("0015", "integration_id"),
            ):
                await database.manage(partial(schema.downgrade, name="x", target=revision))
                query = f"SELECT DISTINCT {owner} FROM {PREFIX}crm_sync_status l"
                assert await tenant.read(partial(scalars, query)) == [OURS]
                number = f"SELECT nextval(pg_get_serial_sequence('{PREFIX}crm_sync_status', 'id'))"
                assert len(await tenant.write(partial(scalars, number))) == 1
        await database.manage(partial(schema.upgrade, name="x"))


def scalars(query: str, connection: Connection) -> list[object]:
    return [*connection.exec_driver_sql(query).scalars()]


async def drop_policy(database: Database, table: str) -> None:
    statement = f"DROP POLICY {isolation.POLICY} ON {PREFIX}{table}"
    await database.write(lambda connection: connection.exec_driver_sql(statement))


async def test_what_cannot_be_is_refused(tmp_path: Path, postgres_url: str) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    with pytest.raises(ConfigurationError, match="SQLite keeps no tenants apart"):
        async with open_repository(f"{url}?tenant_user=u"):
            pass
    async with open_maintenance(url) as maintenance:
        with pytest.raises(ConfigurationError, match="only PostgreSQL"):
            await maintenance.isolate()
    async with open_maintenance(postgres_url) as maintenance:
        with pytest.raises(ConfigurationError, match="the role's name"):
            await maintenance.isolate('x"; DROP TABLE users; --')
