"""The demo's local side: a table in SQLite or a CSV file, as an application would have it."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
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

    def delete(self, ids: Collection[str]) -> None:
        """Delete rows."""
        ...


class SqliteTable:
    """A table ``subscribers`` with the time of each row's last change."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "subscribers.db"

    def options(self) -> dict[str, Any]:
        return {
            "type": "sql",
            "url": f"sqlite:///{self._path.name}",
            "table": "subscribers",
            "key": "id",
            "updated_at": "updated_at",
            "deleted_at": "deleted_at",
            "types": {"email": "email", "phone": "phone", "tags": "tags", "opted_out": "boolean"},
        }

    def fill(self, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = (
            "id TEXT PRIMARY KEY, email TEXT, first_name TEXT, last_name TEXT, company TEXT, phone TEXT, tags TEXT"
        )
        with closing(sqlite3.connect(self._path)) as connection, connection:
            rest = "opted_out BOOLEAN NOT NULL DEFAULT 0, updated_at DATETIME NOT NULL, deleted_at DATETIME"
            connection.execute(f"CREATE TABLE subscribers ({columns}, {rest})")
            connection.execute("CREATE INDEX subscribers_by_change ON subscribers (updated_at, id)")
        self.add(rows)

    def rows(self) -> dict[str, dict[str, Any]]:
        with closing(sqlite3.connect(self._path)) as connection:
            statement = f"SELECT {', '.join(COLUMNS)} FROM subscribers WHERE deleted_at IS NULL"  # noqa: S608 - our own
            found = connection.execute(statement)
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
        statement = f"INSERT INTO subscribers ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - our own
        moment = _now()
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.executemany(statement, [(*(row[name] for name in COLUMNS), moment) for row in rows])

    def delete(self, ids: Collection[str]) -> None:
        moment = _now()
        statement = "UPDATE subscribers SET deleted_at = ?, updated_at = ? WHERE id = ?"
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.executemany(statement, [(moment, moment, id_) for id_ in ids])


class CsvTable:
    """A file ``subscribers.csv``."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "subscribers.csv"

    def options(self) -> dict[str, Any]:
        return {
            "type": "csv",
            "path": self._path.name,
            "key": "id",
            "types": {"email": "email", "phone": "phone", "tags": "tags", "opted_out": "boolean"},
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

    def delete(self, ids: Collection[str]) -> None:
        self._write([row for id_, row in self.rows().items() if id_ not in ids])

    def _write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        with self._path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
