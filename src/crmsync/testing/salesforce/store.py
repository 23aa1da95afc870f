"""Rows of one object in memory, with the indexes that queries and upserts lean on.

A row is a plain dict of stored values without its nulls, and is never changed in place: every save puts a new dict. So
a query cursor that holds rows holds a snapshot, and a rollback is putting the old dict back.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from copy import copy
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from crmsync.testing.salesforce.schema import FieldDef, ObjectDef

Row: TypeAlias = dict[str, Any]
#: Key of a row that tells when it went to the recycle bin; not a field of any object.
DELETED_DATE = "$DeletedDate"
#: Key of a row that was deleted because its parent was: the parent's id.
DELETED_WITH = "$DeletedWith"


@frozen
class LateRow:
    """A saved row that readers do not see before ``visible_at``: its transaction has not committed."""

    visible_at: datetime
    row: Row


@frozen
class Saved:
    """What is saved under an id: the row that readers see and the one they do not see yet."""

    visible: Row | None
    late: LateRow | None

    @property
    def newest(self) -> Row | None:
        """The last saved row, visible or not."""
        return self.late.row if self.late else self.visible


def fold(definition: FieldDef, value: str) -> str:
    """Return the text as the field compares it."""
    if definition.case_sensitive:
        return value
    folded = value.casefold()
    # The row's own text where it is the same: an index would keep a copy of each.
    return value if folded == value else folded


@define
class Lookup:
    """The ids of rows by a field's value. Most values have one row, whose id stands by itself: sets are large."""

    _ids: dict[str, str | set[str]] = field(factory=dict)

    def add(self, key: str, record_id: str) -> None:
        """Let a row have a value."""
        held = self._ids.setdefault(key, record_id)
        if isinstance(held, set):
            held.add(record_id)
        elif held != record_id:
            self._ids[key] = {held, record_id}

    def discard(self, key: str, record_id: str) -> None:
        """Let a row have the value no longer."""
        held = self._ids.get(key)
        if isinstance(held, set):
            held.discard(record_id)
        if held in (record_id, set()):
            del self._ids[key]

    def find(self, key: str) -> list[str]:
        """Return the ids of the rows of a value, in order."""
        held = self._ids.get(key, set())
        return sorted(held) if isinstance(held, set) else [held]

    def clear(self) -> None:
        """Forget every row."""
        self._ids.clear()


@define
class Table:
    """The rows of one object. ``rows``, ``order`` and the lookups hold what readers see; ``late`` what they do not yet.

    ``order`` is the list of (SystemModstamp, Id), sorted, and ``ids`` that of the ids.
    """

    definition: ObjectDef
    rows: dict[str, Row] = field(factory=dict)
    order: list[tuple[str, str]] = field(factory=list)
    ids: list[str] = field(factory=list)
    late: dict[str, LateRow] = field(factory=dict)
    serial: int = 0
    _lookups: dict[str, Lookup] = field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        for entry in self.definition.fields.values():
            if entry.is_indexed:
                self._lookups[entry.name] = Lookup()

    @property
    def name(self) -> str:
        """The object's name."""
        return self.definition.name

    def seen_as(self, definition: ObjectDef) -> Table:
        """Return the same rows under another definition of the object. It is for reading."""
        view = copy(self)
        view.definition = definition
        return view

    def newest(self, record_id: str) -> Row | None:
        """Return the last saved row, visible or not: what a writer must build on."""
        pending = self.late.get(record_id)
        return pending.row if pending else self.rows.get(record_id)

    def put(self, row: Row, *, visible_at: datetime | None = None) -> None:
        """Save a row, hidden from readers until ``visible_at`` if that is given."""
        record_id = row["Id"]
        if visible_at is not None or record_id in self.late:
            previous = self.late.get(record_id)
            until = visible_at if previous is None else max(previous.visible_at, visible_at or previous.visible_at)
            assert until is not None
            self.late[record_id] = LateRow(until, row)
            return
        self._show(row)

    def mark(self, record_id: str, values: Row) -> None:
        """Set fields that no index knows, without a save: the record's times stay, and what is hidden stays hidden."""
        pending = self.late.get(record_id)
        if pending is not None:
            self.late[record_id] = LateRow(pending.visible_at, {**pending.row, **values})
        if record_id in self.rows:
            self.rows[record_id] = {**self.rows[record_id], **values}

    def remove(self, record_id: str) -> None:
        """Forget a row altogether, as emptying the recycle bin or a rollback of its creation does."""
        self.late.pop(record_id, None)
        old = self.rows.pop(record_id, None)
        if old is not None:
            self._unindex(old)
            del self.ids[bisect_left(self.ids, record_id)]

    def clear(self) -> None:
        """Forget every row."""
        self.rows.clear()
        self.order.clear()
        self.ids.clear()
        self.late.clear()
        for lookup in self._lookups.values():
            lookup.clear()

    def saved(self, record_id: str) -> Saved:
        """Return what :meth:`restore` takes to undo later saves of this id."""
        return Saved(self.rows.get(record_id), self.late.get(record_id))

    def restore(self, record_id: str, saved: Saved) -> None:
        """Undo the saves of an id made since ``saved`` was taken."""
        self.remove(record_id)
        if saved.visible is not None:
            self._show(saved.visible)
        if saved.late is not None:
            self.late[record_id] = saved.late

    def settle(self, now: datetime) -> None:
        """Show the late rows whose time has come."""
        if not self.late:
            return
        due = [entry for entry in self.late.values() if entry.visible_at <= now]
        for entry in due:
            del self.late[entry.row["Id"]]
            self._show(entry.row)

    def matching(self, name: str, value: str) -> list[Row]:
        """Return the visible rows, deleted ones too, whose indexed field has this value."""
        ids = self._lookups[name].find(fold(self.definition.fields[name], value))
        return [self.rows[record_id] for record_id in ids]

    def is_indexed(self, name: str) -> bool:
        """Whether :meth:`matching` knows the field."""
        return name in self._lookups

    def live_matching(self, name: str, value: str) -> list[Row]:
        """Return the newest rows outside the recycle bin, hidden ones too, whose indexed field has this value."""
        return [row for row in self.newest_matching(name, value) if not row.get("IsDeleted")]

    def newest_matching(self, name: str, value: str) -> list[Row]:
        """Return the newest rows, hidden and deleted ones too, whose indexed field has this value."""
        found = [row for row in self.matching(name, value) if row["Id"] not in self.late]
        if self.late:
            definition = self.definition.fields[name]
            wanted = fold(definition, value)
            for entry in self.late.values():
                held = entry.row.get(name)
                if held is not None and fold(definition, held) == wanted:
                    found.append(entry.row)
        return found

    def slice(self, low: tuple[str, str] | None, high: tuple[str, str] | None) -> Iterator[Row]:
        """Yield visible rows in (SystemModstamp, Id) order, from ``low`` up to but without ``high``."""
        start = bisect_left(self.order, low) if low else 0
        stop = bisect_left(self.order, high) if high else len(self.order)
        rows = self.rows
        return (rows[record_id] for _, record_id in self.order[start:stop])

    def slice_of_ids(self, low: str | None, high: str | None) -> Iterator[Row]:
        """Yield visible rows by id, from ``low`` up to but without ``high``."""
        start = bisect_left(self.ids, low) if low else 0
        stop = bisect_left(self.ids, high) if high else len(self.ids)
        rows = self.rows
        return (rows[record_id] for record_id in self.ids[start:stop])

    def all_newest(self) -> Iterable[Row]:
        """Return every saved row, hidden ones in their newest form."""
        return [*(row for key, row in self.rows.items() if key not in self.late), *(e.row for e in self.late.values())]

    def next_serial(self) -> int:
        """Return the number of the next record of this object."""
        self.serial += 1
        return self.serial

    def _show(self, row: Row) -> None:
        old = self.rows.get(row["Id"])
        if old is not None:
            self._unindex(old)
        elif not self.ids or self.ids[-1] < row["Id"]:
            self.ids.append(row["Id"])
        else:
            insort(self.ids, row["Id"])
        self.rows[row["Id"]] = row
        key = (row["SystemModstamp"], row["Id"])
        if not self.order or self.order[-1] < key:
            self.order.append(key)
        else:
            insort(self.order, key)
        for name, lookup in self._lookups.items():
            value = row.get(name)
            if value is not None:
                lookup.add(fold(self.definition.fields[name], value), row["Id"])

    def _unindex(self, row: Row) -> None:
        del self.order[bisect_left(self.order, (row["SystemModstamp"], row["Id"]))]
        for name, lookup in self._lookups.items():
            value = row.get(name)
            if value is not None:
                lookup.discard(fold(self.definition.fields[name], value), row["Id"])
