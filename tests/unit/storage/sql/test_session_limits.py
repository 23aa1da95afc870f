"""What PostgreSQL is told of processes that stand still, and of lines that are dead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from crmsync.errors import ConfigurationError
from crmsync.models.runs import RunOptions
from crmsync.storage.sql import open_repository
from crmsync.storage.sql.database import open_database
from crmsync.storage.sql.session_limits import STALL_SECONDS, SessionLimits, split_limits
from crmsync.testing.repository_subject import CONTACT, NOW, OURS, TTL, integration

pytestmark = pytest.mark.anyio

SERVER = sa.make_url("postgresql+psycopg://db/app")


def with_options(url: str, **options: str) -> str:
    return sa.make_url(url).update_query_dict(options).render_as_string(hide_password=False)


async def shown(url: str, setting: str = "idle_in_transaction_session_timeout") -> object:
    """What a session of ours has for a setting."""
    async with open_database(url) as database:
        return await database.read(lambda connection: connection.scalar(sa.text(f"SHOW {setting}")))


def test_a_stall_lasts_half_as_long_as_a_lease_unless_the_url_says() -> None:
    assert RunOptions().lease_seconds / 2 == STALL_SECONDS
    assert split_limits(SERVER) == (SERVER, SessionLimits())
    assert split_limits(SERVER.update_query_dict({"stall_timeout": "1.5"})) == (SERVER, SessionLimits(1.5, given=True))


@pytest.mark.parametrize("given", ["soon", "", "0", "-1", "nan", "inf", "86401"])
def test_a_stall_is_a_number_of_seconds(given: str) -> None:
    with pytest.raises(ConfigurationError, match="stall_timeout is not a number of seconds"):
        split_limits(SERVER.update_query_dict({"stall_timeout": given}))


def test_libpq_is_told_when_a_server_that_does_not_answer_is_gone() -> None:
    assert SessionLimits(30).arguments(SERVER) == {
        "connect_timeout": 10,
        "tcp_user_timeout": 30_000,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }


def test_what_the_url_tells_libpq_stays() -> None:
    url = SERVER.update_query_dict({"connect_timeout": "1", "tcp_user_timeout": "5", "keepalives_idle": "0"})
    assert SessionLimits(0.5).arguments(url) == {"keepalives_interval": 1, "keepalives_count": 3}


async def test_a_line_of_ours_has_these_limits(postgres_url: str) -> None:
    async with open_database(with_options(postgres_url, stall_timeout="7", keepalives_count="9")) as database:
        with database.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            held = driver.info.get_parameters()
    assert (held["tcp_user_timeout"], held["keepalives_idle"], held["keepalives_interval"]) == ("7000", "4", "2")
    assert held["keepalives_count"] == "9"


async def test_a_process_that_stands_still_in_a_transaction_does_not_keep_others_out(postgres_url: str) -> None:
    """PostgreSQL ends its session, so that what it locked is free: whoever comes next gets the lease."""
    limited = with_options(postgres_url, stall_timeout="0.2")
    async with open_repository(postgres_url) as repository, open_database(limited) as stopped:
        await repository.save_integration(integration())
        await repository.acquire_lease(OURS, CONTACT, "worker-1", now=NOW, ttl=TTL)
        with stopped.engine.connect() as connection:
            connection.execute(sa.text("SELECT * FROM crm_sync_cursors FOR UPDATE"))
            lease = await repository.acquire_lease(OURS, CONTACT, "worker-2", now=NOW + TTL, ttl=TTL)
            with pytest.raises(sa.exc.DBAPIError):
                connection.execute(sa.text("SELECT 1"))
        assert lease.owner == "worker-2"
        await repository.delete_integration(OURS)


@pytest.mark.parametrize(
    "options, kept",
    [
        ({}, "30s"),
        ({"stall_timeout": "1"}, "1s"),
        ({"options": "-c idle_in_transaction_session_timeout=5s"}, "5s"),
        ({"options": "-c idle_in_transaction_session_timeout=0", "stall_timeout": "1"}, "0"),
    ],
    ids=["nothing", "a stall", "PostgreSQL's own", "PostgreSQL's own beside a stall"],
)
async def test_every_session_has_a_limit_on_standing_still_unless_its_url_has_another(
    postgres_url: str, options: dict[str, str], kept: str
) -> None:
    assert await shown(with_options(postgres_url, **options)) == kept


@pytest.fixture
def administered(postgres_url: str) -> Iterator[str]:
    """A database whose administrator has said how long sessions may stand still."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        name = connection.info.dbname
        setting = f"ALTER DATABASE {name} {{}} idle_in_transaction_session_timeout"
        connection.execute(f"{setting.format('SET')} = '70s'".encode())
        yield postgres_url
        connection.execute(setting.format("RESET").encode())


async def test_an_administrator_s_limit_stays_unless_the_url_has_one(administered: str) -> None:
    assert await shown(administered) == "70s"
    assert await shown(with_options(administered, stall_timeout="2")) == "2s"


async def test_statements_have_a_limit_of_their_own(postgres_url: str) -> None:
    assert await shown(with_options(postgres_url, stall_timeout="2"), "statement_timeout") == "5min"
