"""Tables of SQLite and PostgreSQL as record stores, against the one contract."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa

from crmsync.errors import ConfigurationError
from crmsync.models.records import Fields, Operation, OperationKind
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


@pytest.fixture
async def meetings(tmp_path: Path) -> AsyncIterator[tuple[sa.Engine, sa.Table, str]]:
    """A table whose times have no zone, with a JSON column."""
    url = f"sqlite:///{tmp_path / 'meetings.db'}"
    metadata = sa.MetaData()
    columns = (
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at", sa.DateTime),
        sa.Column("where", sa.JSON),
    )
    table = sa.Table("meetings", metadata, *columns)
    engine = sa.create_engine(url)
    metadata.create_all(engine)
    yield engine, table, url
    engine.dispose()


async def test_times_without_a_zone_are_read_and_written_in_the_tables_zone(
    meetings: tuple[sa.Engine, sa.Table, str],
) -> None:
    engine, table, url = meetings
    clocks = {"summer": datetime(2024, 6, 1, 9), "twice": datetime(2024, 10, 27, 2, 30)}  # noqa: DTZ001 (what such columns hold)
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [{"id": name, "at": at} for name, at in clocks.items()])
    async with open_records(url=url, table="meetings", zone="Europe/Berlin") as store:
        found = await store.get(list(clocks), fields=["at"])
        assert found["summer"].fields["at"] == datetime(2024, 6, 1, 7, tzinfo=UTC)
        assert found["twice"].fields["at"] == clocks["twice"]  # without a zone: nobody knows which of the two it was
        moment = datetime(2024, 1, 1, 8, tzinfo=UTC)
        [outcome] = await store.write([Operation("1", OperationKind.UPDATE, "summer", fields={"at": moment})])
        assert outcome.ok
    with engine.begin() as connection:
        held = connection.execute(sa.select(table.c.at).where(table.c.id == "summer")).scalar_one()
    assert held == datetime(2024, 1, 1, 9)  # noqa: DTZ001 (what is handed over without a zone)


async def test_a_json_column_holds_json_and_no_text_of_it(meetings: tuple[sa.Engine, sa.Table, str]) -> None:
    engine, table, url = meetings
    values = {"text": '{"city": "Berlin"}', "object": {"city": "Berlin"}, "scalar": '"Berlin"', "blank": None}
    async with open_records(url=url, table="meetings") as store:
        writes = [Operation(name, OperationKind.CREATE, name, fields={"where": each}) for name, each in values.items()]
        assert all(outcome.ok for outcome in await store.write(writes))
        found = await store.get(list(values), fields=["where"])
    with engine.begin() as connection:
        held = {row.id: row.where for row in connection.execute(sa.select(table.c.id, table.c["where"]))}
        nulls = connection.execute(sa.select(table.c.id).where(table.c["where"].is_(sa.null()))).scalars().all()
    assert held == {"text": {"city": "Berlin"}, "object": {"city": "Berlin"}, "scalar": "Berlin", "blank": None}
    assert list(nulls) == ["blank"]
    assert found["text"].fields == {"where": {"city": "Berlin"}}
    assert found["scalar"].fields == {"where": '"Berlin"'}


async def test_a_zone_that_there_is_not_is_refused(meetings: tuple[sa.Engine, sa.Table, str]) -> None:
    with pytest.raises(ConfigurationError, match="Europe/Atlantis"):
        async with open_records(url=meetings[2], table="meetings", zone="Europe/Atlantis"):
            pass
