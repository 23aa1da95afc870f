"""The records of a store in memory, found by id, by external key and by the values of a field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from crmsync.testing.change_feed import RecordVersion


class RecordTable:
    """The newest version of each record, deleted ones included. ``form`` is the text by which a field's value is found.

    External keys and values lead to live records only. A field has an index from its first search on.
    """

    def __init__(self, form: Callable[[str, object], str]) -> None:
        self.keys: dict[str, str] = {}
        self._form = form
        self._rows: dict[str, RecordVersion] = {}
        self._indexes: dict[str, dict[str, dict[str, None]]] = {}

    def __iter__(self) -> Iterator[RecordVersion]:
        return iter(self._rows.values())

    def get(self, id_: str) -> RecordVersion | None:
        """The record with this id, live or deleted."""
        return self._rows.get(id_)

    def live(self) -> Iterator[RecordVersion]:
        """Every record that is not deleted, in the order in which they came."""
        return (row for row in self if not row.deleted)

    def find(self, field: str, values: Iterable[str]) -> list[RecordVersion]:
        """The live records that have one of these values, in the order of the values, each once."""
        index = self._index(field)
        wanted = dict.fromkeys(self._form(field, value) for value in values)
        return [self._rows[id_] for id_ in dict.fromkeys(id_ for value in wanted for id_ in index.get(value, ()))]

    def put(self, row: RecordVersion) -> None:
        """Set a record's newest version."""
        before = self._rows.get(row.id)
        self._rows[row.id] = row
        if before is not None and before.key is not None and self.keys.get(before.key) == before.id:
            del self.keys[before.key]
        if row.key is not None and not row.deleted:
            self.keys[row.key] = row.id
        for field, index in self._indexes.items():
            if before is not None and (form := self._form(field, before.fields.get(field))) in index:
                index[form].pop(before.id, None)
            if not row.deleted:
                index.setdefault(self._form(field, row.fields.get(field)), {})[row.id] = None

    def _index(self, field: str) -> dict[str, dict[str, None]]:
        if field not in self._indexes:
            index = self._indexes[field] = {}
            for row in self.live():
                index.setdefault(self._form(field, row.fields.get(field)), {})[row.id] = None
        return self._indexes[field]
