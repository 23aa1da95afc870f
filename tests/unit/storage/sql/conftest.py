"""Databases for the tests of SQL storage."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from tests.migrated import new_postgresql, new_sqlite
from tests.postgres import new_database


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a table: a new file, or a new PostgreSQL schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state.db'}"
        return
    url = sa.make_url(request.getfixturevalue("postgres_url"))
    name = f"s_{uuid.uuid4().hex}"
    conninfo = url.render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    yield url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {name} CASCADE".encode())


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str) -> Iterator[str]:
    """A PostgreSQL database to be copied."""
    with new_postgresql(postgres_url) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with the current schema and without a row: a new file, or a new PostgreSQL database."""
    if request.param == "sqlite":
        yield new_sqlite(tmp_path / "state.db")
        return
    template = request.getfixturevalue("migrated_postgres")
    with new_database(request.getfixturevalue("postgres_url"), template) as url:
        yield url
