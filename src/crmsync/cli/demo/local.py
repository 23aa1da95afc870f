"""The demo's local side: a table in SQLite or a CSV file, as an application would have it."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

COLUMNS: Final = ("id", "email", "first_name", "last_name", "company", "phone", "tags", "opted_out")


class LocalSide(Protocol):
    """What the demo does to the local side behind the sync's back, as its users would."""

    def options(self) -> dict[str, Any]:
        """The ``[local]`` table of the configuration."""
        ...

    def fill(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Make the table and put rows into it."""
        ...

    def rows(self) -> dict[str, dict[str, Any]]:
        """Every row as it is now, by id."""
        ...

    def edit(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Change fields of rows, by id."""
        ...

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows."""
        ...


class SqliteTable:
    """A table ``subscribers`` with the time of each row's last change."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "subscribers.db"

    def options(self) -> dict[str, Any]:
        return {
            "type": "sql",
            "url": f"sqlite:///{self._path}",
            "table": "subscribers",
            "key": "id",
            "updated_at": "updated_at",
            "types": {"tags": "tags", "opted_out": "boolean"},
        }

    def fill(self, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = (
            "id TEXT PRIMARY KEY, email TEXT, first_name TEXT, last_name TEXT, company TEXT, phone TEXT, tags TEXT"
        )
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.execute(f"CREATE TABLE subscribers ({columns}, opted_out BOOLEAN NOT NULL, updated_at DATETIME)")
        self.add(rows)

    def rows(self) -> dict[str, dict[str, Any]]:
        with closing(sqlite3.connect(self._path)) as connection:
            found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM subscribers")  # noqa: S608 - our own names
            return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in found}

    def edit(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        with closing(sqlite3.connect(self._path)) as connection, connection:
            for id_, fields in changes.items():
                names = ", ".join(f"{name} = ?" for name in (*fields, "updated_at"))
                connection.execute(
                    f"UPDATE subscribers SET {names} WHERE id = ?",  # noqa: S608 - our own names
                    (*fields.values(), _now(), id_),
                )

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        names = (*COLUMNS, "updated_at")
        statement = f"INSERT INTO subscribers ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        moment = _now()
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.executemany(statement, [(*(row[name] for name in COLUMNS), moment) for row in rows])


class CsvTable:
    """A file ``subscribers.csv``."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "subscribers.csv"

    def options(self) -> dict[str, Any]:
        return {
            "type": "csv",
            "path": self._path,
            "key": "id",
            "types": {"tags": "tags", "opted_out": "boolean"},
        }

    def fill(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._write(rows)

    def rows(self) -> dict[str, dict[str, Any]]:
        with self._path.open(encoding="utf-8", newline="") as file:
            return {row["id"]: row for row in csv.DictReader(file)}

    def edit(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        self._write([{**row, **changes.get(id_, {})} for id_, row in self.rows().items()])

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._write([*self.rows().values(), *rows])

    def _write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        with self._path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
