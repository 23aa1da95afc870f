"""Any SQL table as a `RecordStore`. Extra ``sql``.

With a column for the time of the last change it has a change feed; without one every pass is a full scan. Values of
set-valued columns are text, joined by a separator. The table's own triggers and defaults are respected: what was
stored is read back in the transaction of the write.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

import attrs

from crmsync.errors import ConfigurationError, CursorExpiredError, MissingExtraError, RejectedError
from crmsync.mapping.durations import duration_text
from crmsync.mapping.losses import Note
from crmsync.mapping.parsing import json_text
from crmsync.mapping.zones import find_zone, moment_of
from crmsync.models.records import (
    MISSING,
    ChangePage,
    Operation,
    OperationKind,
    Outcome,
    OutcomeStatus,
    Record,
    StoreLimits,
)
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema

try:
    import sqlalchemy as sa

    from crmsync.storage.sql.database import Database, open_database
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] in ("sqlalchemy", "alembic"):
        raise MissingExtraError("SQL record stores", "sql") from error
    raise

_CHUNK: Final = 500
"""Values in one IN list; SQLite once allowed 999 parameters a statement."""


@attrs.frozen(slots=True)
class TableLayout:
    """What is special about a table's columns."""

    key: str
    updated_at: str | None = None
    deleted_at: str | None = None
    types: Mapping[str, FieldType] = attrs.field(factory=dict)
    separator: str = ";"
    look_back: timedelta = timedelta(seconds=10)
    zone: tzinfo | None = None

    @property
    def special(self) -> frozenset[str]:
        """Columns that the sync keeps itself."""
        return frozenset(name for name in (self.updated_at, self.deleted_at) if name)


class SqlRecordStore:
    """Rows of one table. Local ids are the key column's text, so the key is a text column that takes new ids."""

    def __init__(self, database: Database, table: sa.Table, layout: TableLayout, name: str) -> None:
        self._database = database
        self._table = table
        self._layout = layout
        self._name = name
        self._key = table.c[layout.key]

    @property
    def name(self) -> str:
        """The object's name."""
        return self._name

    @property
    def limits(self) -> StoreLimits:
        """Batches of 1,000 rows in one transaction."""
        return StoreLimits(
            write_batch=1000,
            read_page=2000,
            find_batch=10_000,
            change_feed=self._layout.updated_at is not None,
            accepts_ids=True,
            look_back=self._layout.look_back,
        )

    async def describe(self) -> ObjectSchema:
        """The table's columns, as the database describes them, with the types that were declared for them."""
        fields = tuple(self._field(c) for c in self._table.columns if c.name not in self._layout.special)
        return ObjectSchema(name=self._name, fields=fields)

    def _field(self, column: sa.Column[Any]) -> FieldSchema:
        kind = self._layout.types.get(column.name) or _kind_of(column.type)
        is_key = column.name == self._layout.key
        has_default = column.server_default is not None
        return FieldSchema(
            name=column.name,
            type=kind,
            length=getattr(column.type, "length", None),
            scale=getattr(column.type, "scale", None),
            required=not column.nullable and not has_default and not is_key,
            nillable=bool(column.nullable),
            unique=bool(column.unique or column.primary_key),
            updateable=not is_key,
            separator=self._layout.separator if kind.set_valued else None,
        )

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        """Keyset pages by (last change, key), or by key alone in a full scan.

        :raises CursorExpiredError: the cursor is not one of this store's.
        """
        position = _Position.decode(cursor)
        size = min(limit or self.limits.read_page, self.limits.read_page)
        return await self._database.read(lambda connection: self._page(connection, position, fields, size))

    def _page(self, connection: sa.Connection, position: _Position, fields: Sequence[str], size: int) -> ChangePage:
        stamp = self._stamp()
        statement = self._select(fields).order_by(*([stamp, self._key] if stamp is not None else [self._key]))
        if stamp is None and self._layout.deleted_at:
            statement = statement.where(self._table.c[self._layout.deleted_at].is_(None))
        begun = position.began or datetime.now(UTC)
        if position.key is not None:
            statement = statement.where(self._after(stamp, position))
        elif stamp is not None and position.since is not None:
            statement = statement.where(stamp >= self._native(position.since - self._layout.look_back))
        rows = connection.execute(statement.limit(size + 1)).mappings().all()
        records = [self._record(row, fields) for row in rows[:size]]
        seen = position.seen + sum(not record.deleted for record in records)
        if len(rows) > size:
            last = records[-1]
            following = attrs.evolve(position, began=begun, at=last.modified_at, key=last.id, seen=seen)
            return ChangePage(tuple(records), following.encode(), has_more=True)
        complete = (stamp is None or position.since is None) and seen == self._count(connection)
        return ChangePage(tuple(records), _Position(since=begun).encode(), has_more=False, complete_scan=complete)

    def _after(self, stamp: sa.ColumnElement[Any] | None, position: _Position) -> sa.ColumnElement[bool]:
        if stamp is None or position.at is None:
            return self._key > position.key
        moment = self._native(position.at)
        return sa.or_(stamp > moment, sa.and_(stamp == moment, self._key > position.key))

    def _count(self, connection: sa.Connection) -> int:
        statement = sa.select(sa.func.count()).select_from(self._table)
        if self._layout.deleted_at:
            statement = statement.where(self._table.c[self._layout.deleted_at].is_(None))
        return int(connection.execute(statement).scalar_one())

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        """Rows by key."""
        records = await self._matching(self._key, list(dict.fromkeys(ids)), fields)
        return {record.id: record for record in records}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """Rows by a column's value; columns of type e-mail, or named so, whatever the case of ASCII letters."""
        column = self._table.c.get(field)
        if column is None:
            raise RejectedError(f"there is no column {field!r}", code="unknown_field", field=field)
        if self._layout.types.get(field) is FieldType.EMAIL or field.lower() in ("email", "e_mail"):
            wanted = list(dict.fromkeys(value.strip().lower() for value in values))
            return await self._matching(sa.func.lower(sa.func.trim(column)), wanted, fields)
        return await self._matching(column, list(dict.fromkeys(values)), fields)

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """Nothing: the local side is found by its ids."""
        return ()

    async def _matching(
        self, column: sa.ColumnElement[Any], values: Sequence[str], fields: Sequence[str]
    ) -> list[Record]:
        def look(connection: sa.Connection) -> list[Record]:
            found = []
            for start in range(0, len(values), _CHUNK):
                statement = self._select(fields).where(column.in_(list(values[start : start + _CHUNK])))
                found += [self._record(row, fields) for row in connection.execute(statement).mappings()]
            return [record for record in found if not record.deleted]

        return await self._database.read(look) if values else []

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """One transaction, with a savepoint for each row: a row that the table refuses does not hinder the others."""
        return await self._database.write(lambda connection: [self._apply(connection, op) for op in operations])

    def _apply(self, connection: sa.Connection, operation: Operation) -> Outcome:
        try:
            with connection.begin_nested():
                return self._applied(connection, operation)
        except (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.StatementError) as error:
            if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
                raise
            kind = type(error).__name__
            refused = RejectedError(f"the table refuses the row ({kind})", code="refused")
            return Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, refused)

    def _applied(self, connection: sa.Connection, operation: Operation) -> Outcome:
        record_id = operation.id or operation.key
        unknown = next((name for name in operation.fields if name not in self._table.c), None)
        if record_id is None or unknown is not None:
            error = RejectedError("the table has no such column, or the row no id", code="unknown_field", field=unknown)
            return Outcome(operation.op_id, OutcomeStatus.FAILED, record_id, error)
        now, where = datetime.now(UTC), self._key == record_id
        values = {name: self._cell(name, value) for name, value in operation.fields.items() if value is not MISSING}
        if self._layout.updated_at:
            values[self._layout.updated_at] = self._native(now)
        if operation.kind is OperationKind.DELETE:
            return self._deleted(connection, operation, values, now)
        status = OutcomeStatus.UPDATED
        if operation.kind is OperationKind.UPDATE:
            result = connection.execute(sa.update(self._table).where(where, *self._alive()).values(values))
            if values and result.rowcount == 0:
                return Outcome(operation.op_id, OutcomeStatus.MISSING, record_id)
        else:
            status = self._created(connection, record_id, values)
        fields = [name for name in operation.fields if name in self._table.c]
        row = connection.execute(self._select(fields).where(where)).mappings().first()
        stored = self._record(row, fields, by_self=True) if row else None
        return Outcome(operation.op_id, status, record_id, stored=stored)

    def _created(self, connection: sa.Connection, record_id: str, values: dict[str, Any]) -> OutcomeStatus:
        """A repeated create finds its earlier attempt by the id."""
        where = self._key == record_id
        if connection.execute(sa.select(self._key).where(where)).first():
            if self._layout.deleted_at:
                values = {**values, self._layout.deleted_at: None}
            connection.execute(sa.update(self._table).where(where).values(values))
            return OutcomeStatus.UPDATED
        connection.execute(sa.insert(self._table).values({self._layout.key: record_id, **values}))
        return OutcomeStatus.CREATED

    def _deleted(
        self, connection: sa.Connection, operation: Operation, values: dict[str, Any], now: datetime
    ) -> Outcome:
        where = (self._key == operation.id, *self._alive())
        if self._layout.deleted_at:
            gone = {**values, self._layout.deleted_at: self._native(now, self._layout.deleted_at)}
            result = connection.execute(sa.update(self._table).where(*where).values(gone))
        else:
            result = connection.execute(sa.delete(self._table).where(*where))
        status = OutcomeStatus.DELETED if result.rowcount else OutcomeStatus.MISSING
        return Outcome(operation.op_id, status, operation.id)

    def _alive(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (self._table.c[self._layout.deleted_at].is_(None),) if self._layout.deleted_at else ()

    def _select(self, fields: Sequence[str]) -> sa.Select[Any]:
        names = (self._layout.key, *self._layout.special, *(f for f in fields if f in self._table.c))
        return sa.select(*(self._table.c[name] for name in dict.fromkeys(names)))

    def _stamp(self) -> sa.ColumnElement[Any] | None:
        return self._table.c[self._layout.updated_at] if self._layout.updated_at else None

    def _record(self, row: Mapping[Any, Any], fields: Sequence[str], *, by_self: bool | None = None) -> Record:
        modified = row[self._layout.updated_at] if self._layout.updated_at else None
        moment = _aware(modified) if isinstance(modified, datetime) else None
        return Record(
            id=str(row[self._layout.key]),
            fields={name: self._value(name, row[name]) for name in fields if name in self._table.c},
            modified_at=moment,
            modified_by_self=by_self,
            deleted=bool(self._layout.deleted_at and row[self._layout.deleted_at] is not None),
        )

    def _value(self, name: str, cell: Any) -> object:
        kind = self._layout.types.get(name)
        if kind is not None and kind.set_valued and isinstance(cell, str):
            return tuple(part.strip() for part in cell.split(self._layout.separator) if part.strip())
        if kind is FieldType.BOOLEAN and isinstance(cell, int):
            return bool(cell)
        if isinstance(cell, str) and isinstance(self._table.c[name].type, sa.JSON):
            return json.dumps(cell, ensure_ascii=False)
        return self._moment(name, cell) if isinstance(cell, datetime) else cell

    def _moment(self, name: str, cell: datetime) -> datetime:
        """A time out of a column. What a clock of the zone skipped or showed twice is handed over without a zone."""
        if cell.tzinfo is not None or self._layout.zone is None or name in self._layout.special:
            return _aware(cell)
        doubts: list[Note] = []
        moment = moment_of(cell, self._layout.zone, doubts)
        return cell if doubts else moment

    def _cell(self, name: str, value: object) -> Any:
        if isinstance(value, (tuple, list, set, frozenset)):
            return self._layout.separator.join(map(str, value)) or None
        if isinstance(value, datetime):
            return self._native(value, name)
        if isinstance(self._table.c[name].type, sa.JSON):
            return _unspelt(value)
        if isinstance(value, dict):
            return json_text(value)
        if isinstance(value, timedelta) and not isinstance(self._table.c[name].type, sa.Interval):
            return duration_text(value)
        return value

    def _native(self, moment: datetime, name: str | None = None) -> datetime:
        """A time as its column holds it: in the table's zone and without it where the column has none."""
        column = self._table.c[name or self._layout.updated_at or self._layout.key]
        if getattr(column.type, "timezone", False) and self._database.name != "sqlite":
            return moment
        zone = None if column.name in self._layout.special else self._layout.zone
        return moment.astimezone(zone or UTC).replace(tzinfo=None)


def _unspelt(value: object) -> object:
    """The value that a JSON column takes for JSON that travels as text. A blank is SQL's null, and not JSON's."""
    if not isinstance(value, str):
        return sa.null() if value is None else value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@attrs.frozen(slots=True)
class _Position:
    """Where a pass stands: after (``at``, ``key``) in a pass that ``began`` then, or between passes, ``since`` then."""

    since: datetime | None = None
    began: datetime | None = None
    at: datetime | None = None
    key: str | None = None
    seen: int = 0

    def encode(self) -> str:
        plain = attrs.asdict(self)
        return json.dumps({k: v.isoformat() if isinstance(v, datetime) else v for k, v in plain.items() if v})

    @classmethod
    def decode(cls, cursor: str | None) -> _Position:
        if cursor is None:
            return cls()
        try:
            held = json.loads(cursor)
            if held.keys() - {"since", "began", "at", "key", "seen"}:
                raise ValueError
            times = {name: datetime.fromisoformat(held[name]) for name in ("since", "began", "at") if name in held}
            return cls(**times, key=held.get("key"), seen=int(held.get("seen", 0)))
        except (ValueError, TypeError, AttributeError):
            raise CursorExpiredError("the stored position is not one of this table's") from None


def _kind_of(kind: sa.types.TypeEngine[Any]) -> FieldType:
    for classes, field_type in _KINDS:
        if isinstance(kind, classes):
            return field_type
    return FieldType.TEXT


_KINDS: Final[tuple[tuple[type[Any], FieldType], ...]] = (
    (sa.Boolean, FieldType.BOOLEAN),
    (sa.DateTime, FieldType.DATETIME),
    (sa.Date, FieldType.DATE),
    (sa.Time, FieldType.TIME),
    (sa.Integer, FieldType.INTEGER),
    (sa.Numeric, FieldType.DECIMAL),
    (sa.JSON, FieldType.JSON),
    (sa.Interval, FieldType.DURATION),
)


@asynccontextmanager
async def open_records(
    *,
    url: str,
    table: str,
    key: str = "id",
    updated_at: str | None = None,
    deleted_at: str | None = None,
    types: Mapping[str, str] | None = None,
    separator: str = ";",
    name: str | None = None,
    look_back_seconds: float = 10,
    zone: str = "",
) -> AsyncIterator[SqlRecordStore]:
    """Open a table as a record store.

    ``updated_at`` names the column with the time of each row's last change, which the application keeps (UTC where the
    column has no zone) and which an index makes fast; the store sets it when it writes. ``deleted_at`` names a column
    that is set instead of deleting rows. ``types`` are `FieldType` names by column, for what the database cannot tell
    (``tags``, ``email``). ``look_back_seconds`` covers transactions that commit after a later one. ``zone``
    (``Europe/Berlin``) is where times in columns without a zone were read off a clock, UTC if empty; ``updated_at``
    and ``deleted_at`` are UTC all the same.

    :raises ConfigurationError: there is no such table or column, or a setting is unusable.
    :raises StorageError: the database cannot be opened.
    """
    kinds = _types(types or {})
    placed = find_zone(zone) if zone else None
    if zone and placed is None:
        raise ConfigurationError(f"zone: there is no time zone {zone!r}; name one such as Europe/Berlin")
    layout = TableLayout(key, updated_at, deleted_at, kinds, separator, timedelta(seconds=look_back_seconds), placed)
    async with open_database(url) as database:
        reflected = await database.read(lambda connection: _reflected(connection, table))
        named = (key, updated_at, deleted_at, *kinds)
        missing = [column for column in named if column and column not in reflected.c]
        if missing:
            have = ", ".join(column.name for column in reflected.columns)
            msg = f"table {table!r} has no column {', '.join(map(repr, missing))} (it has: {have})"
            raise ConfigurationError(msg)
        yield SqlRecordStore(database, reflected, layout, name or table)


def _types(given: Mapping[str, str]) -> dict[str, FieldType]:
    try:
        return {column: FieldType(kind) for column, kind in given.items()}
    except ValueError:
        known = ", ".join(kind.value for kind in FieldType)
        raise ConfigurationError(f"types: a column has an unknown type (known: {known})") from None


def _reflected(connection: sa.Connection, table: str) -> sa.Table:
    schema, _, bare = table.rpartition(".")
    try:
        return sa.Table(bare, sa.MetaData(), schema=schema or None, autoload_with=connection)
    except sa.exc.NoSuchTableError:
        have = ", ".join(sorted(sa.inspect(connection).get_table_names(schema=schema or None))) or "none"
        raise ConfigurationError(f"there is no table {table!r} (tables: {have})") from None
