"""A table as a side sees it: which columns are special, and values on their way into cells and out of rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import attrs
import sqlalchemy as sa

from crmsync.mapping.durations import duration_text
from crmsync.mapping.losses import Note
from crmsync.mapping.parsing import json_text
from crmsync.mapping.zones import moment_of
from crmsync.models.records import Record
from crmsync.models.schema import FieldType


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


class TableShape:
    """Selects rows of a table and makes records of them, and cells of values. ``sqlite``: it is a table of SQLite."""

    def __init__(self, table: sa.Table, layout: TableLayout, *, sqlite: bool) -> None:
        self.table = table
        self.layout = layout
        self.key = table.c[layout.key]
        self.stamp = table.c[layout.updated_at] if layout.updated_at else None
        self._sqlite = sqlite
        self._json = frozenset(column.name for column in table.columns if isinstance(column.type, sa.JSON))

    def alive(self) -> tuple[sa.ColumnElement[bool], ...]:
        """What holds of a row that is not deleted."""
        return (self.table.c[self.layout.deleted_at].is_(None),) if self.layout.deleted_at else ()

    def select(self, fields: Sequence[str]) -> sa.Select[Any]:
        """The rows, with what `reader` of the same fields asks of them."""
        return sa.select(*(self.table.c[name] for name in self._columns(fields)))

    def reader(self, fields: Sequence[str], *, by_self: bool | None = None) -> Callable[[Sequence[Any]], Record]:
        """What makes a record of a row that `select` finds."""
        places = {name: place for place, name in enumerate(self._columns(fields))}
        wanted = [(name, places[name]) for name in dict.fromkeys(fields) if name in places]
        key, layout, value = places[self.layout.key], self.layout, self._value
        stamp = places[layout.updated_at] if layout.updated_at else None
        gone = places[layout.deleted_at] if layout.deleted_at else None

        def read(row: Sequence[Any]) -> Record:
            modified = None if stamp is None else row[stamp]
            return Record(
                id=str(row[key]),
                fields={name: value(name, row[place]) for name, place in wanted},
                modified_at=aware(modified) if isinstance(modified, datetime) else None,
                modified_by_self=by_self,
                deleted=gone is not None and row[gone] is not None,
            )

        return read

    def stamp_of(self, row: Sequence[Any], fields: Sequence[str]) -> Any:
        """What the column with the time of the last change holds in a row that `select` found."""
        return row[self._columns(fields).index(self.layout.updated_at)] if self.layout.updated_at else None

    def _columns(self, fields: Sequence[str]) -> list[str]:
        named = (self.layout.key, *sorted(self.layout.special), *(name for name in fields if name in self.table.c))
        return list(dict.fromkeys(named))

    def _value(self, name: str, cell: Any) -> object:
        kind = self.layout.types.get(name)
        if kind is not None and kind.set_valued and isinstance(cell, str):
            return tuple(part.strip() for part in cell.split(self.layout.separator) if part.strip())
        if kind is FieldType.BOOLEAN and isinstance(cell, int):
            return bool(cell)
        if isinstance(cell, str) and name in self._json:
            return json.dumps(cell, ensure_ascii=False)
        return self._moment(name, cell) if isinstance(cell, datetime) else cell

    def _moment(self, name: str, cell: datetime) -> datetime:
        """A time out of a column. What a clock of the zone skipped or showed twice is handed over without a zone."""
        if cell.tzinfo is not None or self.layout.zone is None or name in self.layout.special:
            return aware(cell)
        doubts: list[Note] = []
        moment = moment_of(cell, self.layout.zone, doubts)
        return cell if doubts else moment

    def cell(self, name: str, value: object) -> Any:
        """A value as its column takes it."""
        if isinstance(value, (tuple, list, set, frozenset)):
            return self.layout.separator.join(map(str, value)) or None
        if isinstance(value, datetime):
            return self.native(value, name)
        if name in self._json:
            return _unspelt(value)
        if isinstance(value, dict):
            return json_text(value)
        if isinstance(value, timedelta) and not isinstance(self.table.c[name].type, sa.Interval):
            return duration_text(value)
        return value

    def native(self, moment: datetime, name: str | None = None) -> datetime | str:
        """A time as its column holds it: in the table's zone and without it where the column has none."""
        column = self.table.c[name or self.layout.updated_at or self.layout.key]
        if getattr(column.type, "timezone", False) and not self._sqlite:
            return moment
        zone = None if column.name in self.layout.special else self.layout.zone
        plain = moment.astimezone(zone or UTC).replace(tzinfo=None)
        if self._sqlite and not isinstance(column.type, (sa.DateTime, sa.Date, sa.Time)):
            # As `sqlite3` adapts it to a column of another type; that it does so is deprecated since Python 3.12.
            return plain.isoformat(" ")
        return plain


def _unspelt(value: object) -> object:
    """The value that a JSON column takes for JSON that travels as text. A blank is SQL's null, and not JSON's."""
    if not isinstance(value, str):
        return sa.null() if value is None else value
    try:
        return json.loads(value)
    except ValueError:
        return value


def aware(moment: datetime) -> datetime:
    """A time in UTC, which one without a zone is taken for."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
