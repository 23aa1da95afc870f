"""Any SQL table as a `RecordStore`. Extra ``sql``.

With a column for the time of the last change it has a change feed; without one every pass is a full scan. Values of
set-valued columns are text, joined by a separator. The table's own triggers and defaults are respected: what was
stored is read back in the transaction of the write.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from crmsync.errors import ConfigurationError, CursorExpiredError, MissingExtraError, RejectedError
from crmsync.mapping.zones import find_zone
from crmsync.models.records import ChangePage, Operation, Outcome, Record, StoreLimits
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema

try:
    import sqlalchemy as sa

    from crmsync.storage.sql.database import Database, open_database
    from crmsync.storage.sql.statements import parts
    from crmsync.storage.sql.table_shape import TableLayout, TableShape, aware
    from crmsync.storage.sql.table_writing import TableWriter
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] in ("sqlalchemy", "alembic"):
        raise MissingExtraError("SQL record stores", "sql") from error
    raise


class SqlRecordStore:
    """Rows of one table. Local ids are the key column's text, so the key is a text column that takes new ids."""

    def __init__(self, database: Database, table: sa.Table, layout: TableLayout, name: str) -> None:
        self._database = database
        self._table = table
        self._layout = layout
        self._name = name
        self._shape = TableShape(table, layout, sqlite=database.url.get_backend_name() == "sqlite")
        self._writer = TableWriter(self._shape)

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
        shape, stamp = self._shape, self._shape.stamp
        statement = shape.select(fields).order_by(*([shape.key] if stamp is None else [stamp, shape.key]))
        if stamp is None:
            statement = statement.where(*shape.alive())
        begun = position.began or datetime.now(UTC)
        if position.key is not None:
            statement = statement.where(self._after(position.key, position.moment))
        elif stamp is not None and position.since is not None:
            statement = statement.where(stamp >= shape.native(position.since - self._layout.look_back))
        rows = connection.execute(statement.limit(size + 1)).all()
        records = list(map(shape.reader(fields), rows[:size]))
        seen = position.seen + sum(not record.deleted for record in records)
        if len(rows) > size:
            last = shape.stamp_of(rows[size - 1], fields)
            reached = position.after(begun, last, records[-1].id, seen)
            return ChangePage(tuple(records), reached.encode(), has_more=True)
        complete = (stamp is None or position.since is None) and seen == self._count(connection)
        return ChangePage(tuple(records), _Position(since=begun).encode(), has_more=False, complete_scan=complete)

    def _after(self, key: str, moment: datetime | str | None) -> sa.ColumnElement[bool]:
        shape = self._shape
        if shape.stamp is None or moment is None:
            return shape.key > key
        held = shape.native(moment) if isinstance(moment, datetime) else moment
        # Compared as one, an index of the two leads to the place; a condition for each reads all that comes before it.
        reached = sa.tuple_(sa.literal(held, shape.stamp.type), sa.literal(key, shape.key.type))
        return sa.tuple_(shape.stamp, shape.key) > reached

    def _count(self, connection: sa.Connection) -> int:
        statement = sa.select(sa.func.count()).select_from(self._table).where(*self._shape.alive())
        return int(connection.execute(statement).scalar_one())

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        """Rows by key."""
        records = await self._matching(self._shape.key, ids, fields)
        return {record.id: record for record in records}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """Rows by a column's value; columns of type e-mail, or named so, whatever the case of ASCII letters."""
        column = self._table.c.get(field)
        if column is None:
            raise RejectedError(f"there is no column {field!r}", code="unknown_field", field=field)
        if self._layout.types.get(field) is FieldType.EMAIL or field.lower() in ("email", "e_mail"):
            wanted = [value.strip().lower() for value in values]
            return await self._matching(sa.func.lower(sa.func.trim(column)), wanted, fields)
        return await self._matching(column, values, fields)

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """Nothing: the local side is found by its ids."""
        return ()

    async def _matching(
        self, column: sa.ColumnElement[Any], values: Sequence[str], fields: Sequence[str]
    ) -> list[Record]:
        read = self._shape.reader(fields)

        def look(connection: sa.Connection) -> list[Record]:
            found: list[Record] = []
            for part in parts(values):
                found += map(read, connection.execute(self._shape.select(fields).where(column.in_(part))))
            return [record for record in found if not record.deleted]

        return await self._database.read(look) if values else []

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """One transaction, and a few statements for all: a row that the table refuses does not hinder the others."""
        return await self._database.write(lambda connection: self._writer.apply(connection, operations))


@attrs.frozen(slots=True)
class _Position:
    """Where a pass stands: after (``at``, ``key``) in a pass that ``began`` then, or between passes, ``since`` then."""

    since: datetime | None = None
    began: datetime | None = None
    at: datetime | None = None
    text: str | None = None
    key: str | None = None
    seen: int = 0

    @property
    def moment(self) -> datetime | str | None:
        """The last change of the row that was reached, in the form in which pages are ordered by it."""
        return self.at or self.text

    def after(self, began: datetime, moment: object, key: str, seen: int) -> _Position:
        """Behind a row, whose last change is ``moment``. A column of texts is ordered by its texts."""
        at = aware(moment) if isinstance(moment, datetime) else None
        text = moment if isinstance(moment, str) else None
        return attrs.evolve(self, began=began, at=at, text=text, key=key, seen=seen)

    def encode(self) -> str:
        plain = attrs.asdict(self)
        return json.dumps({k: v.isoformat() if isinstance(v, datetime) else v for k, v in plain.items() if v})

    @classmethod
    def decode(cls, cursor: str | None) -> _Position:
        if cursor is None:
            return cls()
        try:
            held = json.loads(cursor)
            if held.keys() - {"since", "began", "at", "text", "key", "seen"}:
                raise ValueError
            times = {name: datetime.fromisoformat(held[name]) for name in ("since", "began", "at") if name in held}
            return cls(**times, text=held.get("text"), key=held.get("key"), seen=int(held.get("seen", 0)))
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
    """The table's columns and key, without neighbours and indexes: SQLAlchemy warns of those it cannot describe."""
    schema, _, bare = table.rpartition(".")
    inspector = sa.inspect(connection)
    try:
        described = inspector.get_columns(bare, schema or None)
    except sa.exc.NoSuchTableError:
        have = ", ".join(sorted(inspector.get_table_names(schema=schema or None))) or "none"
        raise ConfigurationError(f"there is no table {table!r} (tables: {have})") from None
    keys = set(inspector.get_pk_constraint(bare, schema or None)["constrained_columns"])
    columns = [
        sa.Column(
            one["name"],
            one["type"],
            primary_key=one["name"] in keys,
            nullable=one["nullable"],
            server_default=sa.FetchedValue() if _has_default(one) else None,
        )
        for one in described
    ]
    return sa.Table(bare, sa.MetaData(), *columns, schema=schema or None)


def _has_default(column: Mapping[str, Any]) -> bool:
    return column.get("default") is not None or bool(column.get("computed") or column.get("identity"))
