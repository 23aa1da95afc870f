"""Batches and pages of a table: a few statements whatever their size, and what comes out is what single rows give."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.storage.sql.records import SqlRecordStore, open_records
from crmsync.testing.records import read_pass

pytestmark = pytest.mark.anyio

CREATE, UPDATE, DELETE = OperationKind.CREATE, OperationKind.UPDATE, OperationKind.DELETE


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'app.db'}"
    return str(request.getfixturevalue("postgres_url"))


@asynccontextmanager
async def table(url: str, stamp: Any = sa.DateTime, **options: Any) -> AsyncIterator[SqlRecordStore]:
    """A new table of people with a name that is unique, and a score that is never negative."""
    metadata = sa.MetaData()
    name = f"people_{uuid.uuid4().hex[:8]}"
    columns = (
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(40), unique=True),
        sa.Column("score", sa.Integer, sa.CheckConstraint("score >= 0")),
        sa.Column("updated_at", stamp),
        sa.Column("deleted_at", sa.DateTime),
    )
    people = sa.Table(name, metadata, *columns)
    sa.Index(f"{name}_by_change", people.c.updated_at, people.c.id)
    sa.Index(f"{name}_by_name", sa.func.lower(sa.func.trim(people.c.name)))
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    metadata.create_all(engine)
    try:
        async with open_records(url=url, table=name, **{"updated_at": "updated_at", **options}) as store:
            yield store
    finally:
        metadata.drop_all(engine)
        engine.dispose()


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """What is sent to databases meanwhile, savepoints aside."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        sent.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def creates(numbers: Sequence[int]) -> list[Operation]:
    return [Operation(f"c{n}", CREATE, f"p{n:05}", fields={"name": f"Person {n}", "score": n}) for n in numbers]


async def test_a_batch_takes_a_few_statements(url: str) -> None:
    async with table(url) as store:
        for operations in (
            creates(range(1000)),
            [Operation(f"u{n}", UPDATE, f"p{n:05}", fields={"score": n + 1}) for n in range(1000)],
            creates(range(1000)),
        ):
            with statements() as sent:
                outcomes = await store.write(operations)
            assert all(outcome.ok for outcome in outcomes)
            assert len(sent) <= 10
        found = await store.get([operation.id or "" for operation in operations], fields=["name", "score"])
        assert {record.fields["score"] for record in found.values()} == set(range(1000))


async def test_rows_that_the_table_refuses_hinder_no_other_of_a_large_batch(url: str) -> None:
    bad: dict[int, dict[str, object]] = {
        17: {"score": -1},
        400: {"name": "Person 3"},
        401: {"score": 2**70},
        899: {"score": -5},
    }
    operations = [
        Operation(one.op_id, one.kind, one.id, fields={**one.fields, **bad.get(number, {})})
        for number, one in enumerate(creates(range(900)))
    ]
    async with table(url) as store:
        outcomes = await store.write(operations)
        found = await store.get([one.id or "" for one in operations], fields=["name"])
    assert [number for number, outcome in enumerate(outcomes) if not outcome.ok] == sorted(bad)
    assert {outcomes[number].status for number in bad} == {OutcomeStatus.FAILED}
    assert found.keys() == {one.id for number, one in enumerate(operations) if number not in bad}


async def test_a_batch_does_what_its_operations_do_one_after_the_other(url: str) -> None:
    before = creates(range(20))
    gone = [Operation(f"d{n}", DELETE, f"p{n:05}") for n in (3, 4, 5)]
    batch = [
        *creates([30, 31, 32]),
        *(Operation(f"again{n}", CREATE, f"p{n:05}", fields={"score": 7}) for n in (1, 3)),
        *(Operation(f"u{n}", UPDATE, f"p{n:05}", fields={"score": 50 + n}) for n in (6, 7, 4, 99)),
        *(Operation(f"n{n}", UPDATE, f"p{n:05}", fields={"name": None}) for n in (8, 9)),
        Operation("refused", UPDATE, "p00010", fields={"score": -1}),
        Operation("no such column", UPDATE, "p00011", fields={"hat": "red"}),
        Operation("no id", UPDATE, None, fields={"score": 1}),
        Operation("by key", CREATE, None, key="p00033", fields={"name": "By key"}),
    ]
    told: list[list[tuple[Any, ...]]] = []
    held = []
    for size in (len(batch), 1):
        async with table(url, deleted_at="deleted_at") as store:
            await store.write([*before, *gone])
            outcomes: list[Outcome] = []
            for start in range(0, len(batch), size):
                outcomes += await store.write(batch[start : start + size])
            told.append([(o.op_id, o.status, o.id, o.stored and dict(o.stored.fields)) for o in outcomes])
            found = (await read_pass(store, None, ["name", "score"])).newest()
            held.append({record.id: (record.fields, record.deleted) for record in found.values()})
    assert told[0] == told[1]
    assert held[0] == held[1]


async def test_what_repeats_a_row_is_done_in_order(url: str) -> None:
    async with table(url) as store:
        changes = [Operation(f"s{n}", UPDATE, "p00001", fields={"score": n}) for n in range(8)]
        await store.write([*creates(range(8)), *changes, Operation("d", DELETE, "p00002"), *creates([2])])
        found = await store.get(["p00001", "p00002"], fields=["score"])
    assert [found[one].fields["score"] for one in ("p00001", "p00002")] == [7, 2]


async def test_times_that_a_column_holds_as_text_order_the_pages_too(tmp_path: Path) -> None:
    async with table(f"sqlite:///{tmp_path / 'app.db'}", sa.Text) as store:
        for numbers in (range(20, 40), range(20)):  # the ids do not follow the times
            await store.write(creates(numbers))
        for limit in (1, 7, 20):
            full = await read_pass(store, None, ["name"], limit)
            assert [record.id for record in full.records] == [f"p{n:05}" for n in (*range(20, 40), *range(20))]


async def test_a_column_of_text_gets_times_as_text(tmp_path: Path) -> None:
    """That `sqlite3` makes text of a time is deprecated since Python 3.12."""
    async with table(f"sqlite:///{tmp_path / 'app.db'}", sa.Text) as store:
        with statements() as sent:
            await store.write([*creates(range(2)), Operation("u", UPDATE, "p00001", fields={"score": 5})])
            full = await read_pass(store, None, ["name"])
            await read_pass(store, full.cursor, ["name"])
        rows = [row for _, given in sent for row in (given if isinstance(given, list) else [given])]
        assert rows
        assert not [cell for row in rows for cell in row if isinstance(cell, datetime)]


async def test_a_page_is_found_by_the_index_however_many_rows_changed_at_one_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'app.db'}"
    async with table(url) as store:
        await store.write(creates(range(50)))
        first = await store.changes(None, fields=["name"], limit=20)
        with statements() as sent:
            await store.changes(first.cursor, fields=["name"], limit=20)
        [(statement, parameters)] = [one for one in sent if "LIMIT" in one[0]]
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        engine.dispose()
    [step] = [row[3] for row in plan]
    assert step.endswith("((updated_at,id)>(?,?))")
    assert step.startswith("SEARCH")
