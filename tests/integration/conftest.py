"""Each async test here runs on one event loop; an emulated org and a bookkeeping for those that want their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from crmsync.testing.salesforce import RunningEmulator, SalesforceOrg, running_emulator
from tests.migrated import migrate, new_sqlite
from tests.one_loop import anyio_backend

__all__ = ["anyio_backend"]


@pytest.fixture
def emulator() -> Iterator[RunningEmulator]:
    """A server with an org that is as new."""
    with running_emulator() as running:
        yield running


@pytest.fixture
def org(emulator: RunningEmulator) -> SalesforceOrg:
    """The org of the server."""
    org: SalesforceOrg = emulator.org
    return org


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a bookkeeping that is empty, on either database."""
    if request.param == "sqlite":
        yield new_sqlite(tmp_path / "state.db")
        return
    url = request.getfixturevalue("postgres_url")
    migrate(url)  # and others that share it leave theirs there
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM crm_integrations")
    yield url
