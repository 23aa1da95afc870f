"""Every record store of ours against the one contract."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest

from crmsync.models.records import Fields, StoreLimits
from crmsync.storage.csv_records import open_records as open_csv
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.records import RecordStoreContract, Subject

CSV_TYPES = {
    "score": "integer",
    "active": "boolean",
    "rate": "decimal",
    "born": "date",
    "seen": "datetime",
    "tags": "tags",
}
CSV_COLUMNS = ("id", "name", "email", *CSV_TYPES)

pytestmark = pytest.mark.anyio


class TickingClock:
    """A clock that moves on by one tick each time it is asked."""

    def __init__(self, tick: timedelta) -> None:
        self._now = datetime(2026, 11, 24, 12, tzinfo=UTC)
        self._tick = tick

    def now(self) -> datetime:
        self._now += self._tick
        return self._now


class MemoryOutsider:
    """Adds, edits and removes by the store's own test hooks."""

    def __init__(self, store: MemoryRecordStore, clock: TickingClock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, records: Sequence[Fields]) -> list[str]:
        now = self._clock.now()
        return [self._store.add(fields, modified_at=now) for fields in records]

    async def add_late(self, fields: Fields) -> str:
        return self._store.add(fields, modified_at=self._clock.now() - self._store.limits.look_back * 0.9)

    async def edit(self, record_id: str, fields: Fields) -> None:
        self._store.edit(record_id, fields)

    async def remove(self, record_id: str) -> None:
        self._store.remove(record_id)

    async def read(self, record_id: str, field: str) -> object:
        return self._store.snapshot()[record_id][field]


class MemoryContract(RecordStoreContract):
    limits = StoreLimits(accepts_ids=True)
    tick = timedelta(milliseconds=1)
    returns_stored = True
    typed_values: ClassVar[Mapping[str, Sequence[object]]] = {
        "score": (0, 5, -1),
        "active": (False, True),
        "tags": ((), ("a", "b")),
        "note": ("",),
    }

    @pytest.fixture
    async def subject(self) -> Subject:
        clock = TickingClock(self.tick)
        store = MemoryRecordStore(clock=clock, limits=self.limits, returns_stored=self.returns_stored)
        return Subject(store, MemoryOutsider(store, clock))


class TestMemory(MemoryContract):
    """As the local side: chooses no key, takes ids."""


class TestMemoryWithExternalKeys(MemoryContract):
    """As a CRM: external keys, ids of its own, whole seconds, a look-back, small batches."""

    limits = StoreLimits(
        external_key=True, time_precision=timedelta(seconds=1), look_back=timedelta(seconds=60), write_batch=7
    )
    returns_stored = False


class TestMemoryWhoseClockStands(MemoryContract):
    """All records share one timestamp for ever, and pages are small."""

    limits = StoreLimits(accepts_ids=True, external_key=True, read_page=2)
    tick = timedelta(0)


class TestMemoryWithoutChangeFeed(MemoryContract):
    """Every pass is a scan."""

    limits = StoreLimits(accepts_ids=True, change_feed=False)


class CsvOutsider:
    """A person who edits the file in another program."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _rows(self) -> list[dict[str, str]]:
        with self._path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def _save(self, rows: Sequence[Mapping[str, object]]) -> None:
        with self._path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, CSV_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    async def add(self, records: Sequence[Fields]) -> list[str]:
        rows = self._rows()
        ids = [f"row-{len(rows) + number}" for number in range(len(records))]
        added = [{"id": id_, **fields} for id_, fields in zip(ids, records, strict=True)]
        self._save([*rows, *added])
        return ids

    async def add_late(self, fields: Fields) -> str:
        return (await self.add([fields]))[0]

    async def edit(self, record_id: str, fields: Fields) -> None:
        self._save([{**row, **fields} if row["id"] == record_id else row for row in self._rows()])

    async def remove(self, record_id: str) -> None:
        self._save([row for row in self._rows() if row["id"] != record_id])

    async def read(self, record_id: str, field: str) -> object:
        return {row["id"]: row for row in self._rows()}[record_id][field]


class TestCsv(RecordStoreContract):
    """A file that two stores and a person use at once."""

    typed_values: ClassVar[Mapping[str, Sequence[object]]] = {
        "score": (0, 5, -1),
        "active": (False, True),
        "rate": (Decimal("0.10"), Decimal(0)),
        "born": (date(1700, 2, 28), date(2024, 2, 29)),
        "seen": (datetime(2024, 2, 29, 23, 59, 59, 1000, tzinfo=UTC),),
        "tags": (("a", "b"), ("only",)),
    }

    @pytest.fixture
    async def subject(self, tmp_path: Path) -> AsyncIterator[Subject]:
        path = tmp_path / "subscribers.csv"
        path.write_text(",".join(CSV_COLUMNS) + "\r\n", encoding="utf-8", newline="")
        async with open_csv(path=path, types=CSV_TYPES) as store, open_csv(path=path, types=CSV_TYPES) as other:
            yield Subject(store, CsvOutsider(path), other)
