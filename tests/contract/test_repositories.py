"""Every repository of ours against the one contract."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import psycopg
import pytest

from crmsync.protocols.repository import SyncRepository
from crmsync.storage import memory, sql
from crmsync.testing.repository import RepositoryContract
from tests.migrated import new_sqlite, open_in_memory


class TestMemory(RepositoryContract):
    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.url = f"memory://{uuid.uuid4().hex}"

    def open(self) -> AbstractAsyncContextManager[SyncRepository]:
        return memory.open_repository(self.url)


class TestSqliteFile(RepositoryContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.url = new_sqlite(tmp_path / "state.db")

    def open(self) -> AbstractAsyncContextManager[SyncRepository]:
        return sql.open_repository(self.url)


class TestSqliteInMemory(RepositoryContract):
    persistent = False

    def open(self) -> AbstractAsyncContextManager[SyncRepository]:
        return open_in_memory()


class TestPostgres(RepositoryContract):
    @pytest.fixture(autouse=True)
    def place(self, postgres_url: str) -> Iterator[None]:
        self.url = postgres_url
        yield
        with psycopg.connect(postgres_url) as connection:
            connection.execute("DELETE FROM crm_integrations")
            connection.execute("DELETE FROM crm_field_mapping_templates")

    def open(self) -> AbstractAsyncContextManager[SyncRepository]:
        return sql.open_repository(self.url)
