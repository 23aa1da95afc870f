"""Fixtures shared by every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import new_database, own_server

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
        with new_database(given) as url:
            yield url
    else:
        with own_server() as server, new_database(server.url) as url:
            yield url


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what property tests say of how much they played (``record_property("played", ...)``)."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "played":
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {value}")
