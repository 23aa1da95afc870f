"""Tables of SQLite and PostgreSQL as record stores, against the one contract."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa

from crmsync.models.records import Fields
from crmsync.storage.sql.records import open_records
from crmsync.testing.records import RecordStoreContract, Subject

pytestmark = pytest.mark.anyio

LOOK_BACK = 30


def people(metadata: sa.MetaData, name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text),
        sa.Column("email", sa.Text),
        sa.Column("score", sa.Integer),
        sa.Column("tags", sa.Text),
        sa.Column("updated_at", sa.DateTime, index=True),
        sa.Column("deleted_at", sa.DateTime),
    )


class TableOutsider:
    """The application that owns the table."""

    def __init__(self, engine: sa.Engine, table: sa.Table, *, soft: bool) -> None:
        self._engine = engine
        self._table = table
        self._soft = soft

    async def add(self, records: Sequence[Fields]) -> list[str]:
        now = datetime.now(UTC).replace(tzinfo=None)
        return [self._insert(fields, now) for fields in records]

    async def add_late(self, fields: Fields) -> str:
        return self._insert(fields, datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=LOOK_BACK * 0.9))

    def _insert(self, fields: Fields, moment: datetime) -> str:
        record_id = uuid.uuid4().hex
        with self._engine.begin() as connection:
            connection.execute(sa.insert(self._table).values(id=record_id, updated_at=moment, **_cells(fields)))
        return record_id

    async def edit(self, record_id: str, fields: Fields) -> None:
        self._change(record_id, _cells(fields))

    async def remove(self, record_id: str) -> None:
        if self._soft:
            self._change(record_id, {"deleted_at": datetime.now(UTC).replace(tzinfo=None)})
            return
        with self._engine.begin() as connection:
            connection.execute(sa.delete(self._table).where(self._table.c.id == record_id))

    def _change(self, record_id: str, values: Mapping[str, Any]) -> None:
        moment = datetime.now(UTC).replace(tzinfo=None)
        with self._engine.begin() as connection:
            update = sa.update(self._table).where(self._table.c.id == record_id)
            connection.execute(update.values(updated_at=moment, **values))

    async def read(self, record_id: str, field: str) -> object:
        alive = sa.select(self._table.c[field]).where(self._table.c.id == record_id, self._table.c.deleted_at.is_(None))
        with self._engine.connect() as connection:
            row = connection.execute(alive).first()
        if row is None:
            raise KeyError(record_id)
        return row[0]


def _cells(fields: Fields) -> dict[str, Any]:
    return {name: ";".join(v) if isinstance(v, tuple) else v for name, v in fields.items()}


class TableContract(RecordStoreContract):
    typed_values: ClassVar[Mapping[str, Sequence[object]]] = {"score": (0, 5, -1), "tags": (("a", "b"),)}
    options: ClassVar[Mapping[str, Any]] = {"updated_at": "updated_at", "deleted_at": "deleted_at"}

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'people.db'}"

    @pytest.fixture
    async def subject(self, url: str) -> AsyncIterator[Subject]:
        metadata = sa.MetaData()
        table = people(metadata, f"people_{uuid.uuid4().hex[:8]}")
        engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        metadata.create_all(engine)
        try:
            async with open_records(
                url=url, table=table.name, types={"tags": "tags"}, look_back_seconds=LOOK_BACK, **self.options
            ) as store:
                yield Subject(store, TableOutsider(engine, table, soft="deleted_at" in self.options))
        finally:
            metadata.drop_all(engine)
            engine.dispose()


class TestSqliteTable(TableContract):
    """With a column for the time of change and one for deletes."""


class TestSqliteTableThatDeletesRows(TableContract):
    """With a column for the time of change only."""

    options: ClassVar[Mapping[str, Any]] = {"updated_at": "updated_at"}


class TestSqliteTableWithoutTimes(TableContract):
    """Every pass is a scan."""

    options: ClassVar[Mapping[str, Any]] = {}


class TestPostgresTable(TableContract):
    """The same on PostgreSQL."""

    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url
