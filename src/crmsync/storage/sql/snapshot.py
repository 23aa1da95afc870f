"""The whole bookkeeping as lines of JSON, and back: the same for SQLite and PostgreSQL.

    {"crmsync_backup": 1, "revision": "0011", "made_at": "...", "tables": {"crm_integrations": ["id", ...], ...}}
    {"table": "crm_integrations"}
    ["acme", ...]                          a row: the values in the order of the columns
    {"end": {"crm_integrations": 1, ...}}  how many rows each table has

What JSON has no form for is an object with one key: ``{"bytes": base64}``, ``{"time": ISO}``, ``{"day": ISO}``,
``{"json": ...}`` for the content of a JSON column. Tables come in an order in which each refers to earlier ones only.
"""

from __future__ import annotations

import base64
import itertools
import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import attrs
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from crmsync.errors import StorageError
from crmsync.models.backups import BackupSummary, RestoreOptions
from crmsync.storage.sql import schema
from crmsync.storage.sql.append_only import lifted
from crmsync.storage.sql.attempts import WRITES
from crmsync.storage.sql.column_types import Id, Moment, Number, UtcDateTime
from crmsync.storage.sql.isolation import qualified
from crmsync.storage.sql.revision import HEAD, current_revision
from crmsync.storage.sql.tables import audit_log, cursors, integrations, links, metadata, templates, turns

FORMAT: Final = 1

_PAGE: Final = 500
_FENCES: Final = 1_000_000
"""How far the fences of a restored bookkeeping are ahead of those it had: no lease given out since can be valid."""


Lines = Iterator[bytes]


def dump(engine: Engine, name: str, consume: Callable[[Lines], object]) -> BackupSummary:
    """Give the lines of one moment's bookkeeping to ``consume``. Writers go on meanwhile.

    :raises StorageError: the database has another revision than this crmsync's.
    """
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            # However long whoever consumes takes in between.
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        else:
            # In WAL mode a transaction that reads sees the moment of its first statement.
            connection.execution_options(**{WRITES: False})
        revision = current_revision(connection) or schema.BASE
        if revision != HEAD:
            raise StorageError(f"the database {name} is at revision {revision}: run `crmsync db upgrade` first")
        summary = BackupSummary(revision, datetime.now(UTC), {})
        consume(_lines(connection, summary))
        return summary


def verify(lines: Lines) -> BackupSummary:
    """Read a backup to its end.

    :raises StorageError: it is damaged, incomplete, or of a newer crmsync.
    """
    reader = _Reader.begin(lines)
    for _ in reader.rows():
        pass
    return reader.summary


def load(engine: Engine, name: str, lines: Callable[[], Lines], options: RestoreOptions) -> BackupSummary:
    """Put a backup into a database, and bring that to this crmsync's revision. ``lines`` is read twice.

    The rows come in one transaction: all or none. Where they are of an earlier revision and replace others, those go
    before. Every lease that was ever given out is void.

    :raises StorageError: the backup is damaged, incomplete or of a newer crmsync, or the database is not empty.
    """
    found = verify(lines())
    with engine.connect() as connection, connection.begin():
        current = current_revision(connection)
        if current == HEAD and not options.replace and not _is_empty(connection):
            msg = f"the database {name} is not empty: restore into an empty one, or say to replace what it holds"
            raise StorageError(msg)
    schema.upgrade(engine, name)
    if found.revision != HEAD:
        # An earlier schema is made for an earlier backup, and upgraded with what it holds.
        with engine.connect() as connection, connection.begin():
            _empty(connection)
        schema.downgrade(engine, name, found.revision)
    with engine.connect() as connection, connection.begin():
        if found.revision == HEAD:
            _empty(connection)
        reader = _Reader.begin(lines())
        for table, rows in reader.pages():
            connection.execute(sa.insert(table), rows)
        if reader.summary != found:
            raise StorageError("the backup changed while it was read: nothing was restored")
        _settle(connection, reader.tables, options)
    schema.upgrade(engine, name)
    return found


@attrs.define(slots=True)
class _Reader:
    """Reads lines in order; what breaks the form is refused."""

    summary: BackupSummary
    _tables: Mapping[str, sa.Table]
    _lines: Lines

    @classmethod
    def begin(cls, lines: Lines) -> _Reader:
        head = _parsed(next(lines, b""))
        try:
            form, revision, tables = head["crmsync_backup"], head["revision"], head["tables"]
            made_at = datetime.fromisoformat(head["made_at"])
        except (KeyError, TypeError, ValueError):
            raise _damaged() from None
        if form != FORMAT or revision not in schema.revisions():
            raise StorageError(f"the backup was written by a newer crmsync (schema {revision}): upgrade crmsync")
        known = {table: _cut(table, columns, revision) for table, columns in tables.items()}
        return cls(BackupSummary(revision, made_at, dict.fromkeys(known, 0)), known, lines)

    @property
    def tables(self) -> Iterable[sa.Table]:
        """The tables that the backup has, with its columns."""
        return self._tables.values()

    def rows(self) -> Iterator[tuple[sa.Table, dict[str, Any]]]:
        """Every row with its table, to the end of the backup."""
        table = None
        for line in self._lines:
            match _parsed(line):
                case {"table": str(name)} if name in self._tables:
                    table = self._tables[name]
                case {"end": dict(counts)}:
                    if counts != self.summary.rows or next(self._lines, None) is not None:
                        raise _damaged()
                    return
                case [*values] if table is not None and len(values) == len(table.columns):
                    self.summary.rows[table.name] += 1
                    yield table, dict(zip(table.columns.keys(), map(_value, values), strict=True))
                case _:
                    raise _damaged()
        raise _damaged()

    def pages(self) -> Iterator[tuple[sa.Table, list[dict[str, Any]]]]:
        """The rows, many at a time."""
        for table, rows in itertools.groupby(self.rows(), key=operator.itemgetter(0)):
            while page := [row for _, row in itertools.islice(rows, _PAGE)]:
                yield table, page


def _lines(connection: Connection, summary: BackupSummary) -> Lines:
    # Who has a turn now is over long before a backup is of use.
    tables = [table for table in metadata.sorted_tables if table is not turns]
    yield _line(
        {
            "crmsync_backup": FORMAT,
            "revision": summary.revision,
            "made_at": summary.made_at.isoformat(),
            "tables": {table.name: table.columns.keys() for table in tables},
        }
    )
    for table in tables:
        yield _line({"table": table.name})
        is_json = [isinstance(column.type, sa.JSON) for column in table.columns]
        count = 0
        query = sa.select(table).execution_options(yield_per=_PAGE)
        for row in connection.execute(query):
            yield _line([_plain(value, j) for value, j in zip(row, is_json, strict=True)])
            count += 1
        summary.rows[table.name] = count
    yield _line({"end": summary.rows})


def _cut(name: str, columns: object, revision: str) -> sa.Table:
    """A table with the columns that a backup has of it, in the types of its revision."""
    table = metadata.tables.get(name)
    types = {} if table is None else {column.name: column.type for column in table.columns}
    if table is links and revision < "0017":
        types |= {"id": Number(), "entity_type": Id(), "markmail_id": Id()}
    if table is links and revision < "0016":
        types |= {
            "integration_id": Id(),
            **{each: UtcDateTime() for each, kind in types.items() if isinstance(kind, Moment)},
        }
    if not types or not isinstance(columns, list) or not set(columns) <= types.keys():
        raise StorageError("the backup has tables or columns that this crmsync does not know: nothing was restored")
    return sa.Table(name, sa.MetaData(), *(sa.Column(each, types[each]) for each in columns))


def _is_empty(connection: Connection) -> bool:
    kept = (integrations.c.id, templates.c.id, audit_log.c.sequence)
    return all(connection.execute(sa.select(column).limit(1)).first() is None for column in kept)


def _empty(connection: Connection) -> None:
    with lifted(connection):
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))


def _settle(connection: Connection, restored: Iterable[sa.Table], options: RestoreOptions) -> None:
    connection.execute(
        sa.update(cursors).values(lease_owner=None, lease_expires_at=None, lease_fence=cursors.c.lease_fence + _FENCES)
    )
    if options.pause:
        connection.execute(sa.update(integrations).values(sync_enabled=False))
    if connection.dialect.name != "postgresql":
        return
    for table in restored:
        if "id" in table.columns and isinstance(table.columns["id"].type, sa.BigInteger):
            # The next number comes after those that were restored.
            sequence = sa.func.pg_get_serial_sequence(qualified(connection, table.name), "id")
            highest = sa.select(sa.func.max(table.c.id)).scalar_subquery()
            connection.execute(sa.select(sa.func.setval(sequence, sa.func.coalesce(highest, 1))))


def _plain(value: object, is_json: bool) -> object:
    if value is None:
        return None
    if is_json:
        return {"json": value}
    match value:
        case bytes():
            return {"bytes": base64.b64encode(value).decode()}
        case datetime():
            return {"time": value.isoformat()}
        case date():
            return {"day": value.isoformat()}
        case _:
            return value


def _value(plain: object) -> object:
    try:
        match plain:
            case None | str() | int() | float():
                return plain
            case {"json": value}:
                return value
            case {"bytes": str(text)}:
                return base64.b64decode(text, validate=True)
            case {"time": str(text)}:
                return datetime.fromisoformat(text)
            case {"day": str(text)}:
                return date.fromisoformat(text)
    except ValueError:
        pass
    raise _damaged()


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise _damaged() from None


def _damaged() -> StorageError:
    return StorageError("the backup is damaged or incomplete: nothing was restored; take another copy of it")
