"""Operations on a CSV file of people, and its store for one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crmsync.models.records import ChangePage, Operation, OperationKind, Outcome
from crmsync.protocols.records import RecordStore
from crmsync.storage.csv_records import open_records


def update(key: str, **fields: object) -> Operation:
    return Operation("op", OperationKind.UPDATE, key, fields=fields)


def create(key: str | None, **fields: object) -> Operation:
    return Operation("op", OperationKind.CREATE, key, fields=fields)


def delete(key: str) -> Operation:
    return Operation("op", OperationKind.DELETE, key)


async def write(path: Path, *operations: Operation, **options: object) -> Sequence[Outcome]:
    async with open_records(path=path, **options) as store:  # type: ignore[arg-type]
        return await store.write(operations)


async def scan(store: RecordStore, cursor: str | None = None, *fields: str) -> ChangePage:
    return await store.changes(cursor, fields=fields or ("name", "email"))
