"""Computed fields at work: values worked out of a record as its side returned it, and writes turned into its fields.

Where an expression has no value (a failure) the field is MISSING, so that nothing is written, and `failures` says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

import attrs

from crmsync.mapping.expressions import Compiled, Failed
from crmsync.mapping.expressions.inverting import VALUE
from crmsync.mapping.expressions.values import Get, Run, is_blank
from crmsync.models.records import MISSING, Fields
from crmsync.protocols.conversion import Expansion

_NOT_SHOWN: Final = "a field that the inverse looks at is not shown"
_NOT_GIVEN_BACK: Final = "the inverse does not give this value back"


@attrs.frozen(slots=True)
class ComputedColumn:
    """One computed field: its expression, and for each field that a write of it changes the inverse."""

    name: str
    compiled: Compiled
    inverse: Mapping[str, Run]

    run: Run = attrs.field(init=False, repr=False)

    @run.default
    def _run(self) -> Run:
        return self.compiled.run


class ComputedFields(Mapping[str, object]):
    """A record's fields with computed ones, each worked out when it is first asked for."""

    __slots__ = ("_columns", "_fields", "_known", "get_field")

    def __init__(self, fields: Fields, columns: Mapping[str, ComputedColumn]) -> None:
        self._fields = fields
        self._columns = columns
        self._known: dict[str, object] = {}
        self.get_field: Get = fields.get

    def computed(self, name: str) -> object:
        """A computed field's value, MISSING, or why it has none."""
        if name not in self._known:
            self._known[name] = self._columns[name].run(self.get_field)
        return self._known[name]

    def __getitem__(self, name: str) -> object:
        if name not in self._columns:
            return self._fields[name]
        value = self.computed(name)
        if value is MISSING or type(value) is Failed:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in self._fields if name not in self._columns)
        for name in self._columns:
            value = self.computed(name)
            if value is not MISSING and type(value) is not Failed:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)


@attrs.frozen(slots=True)
class ComputedSide:
    """The computed fields of one side, in the order in which writes of them are carried out."""

    columns: Mapping[str, ComputedColumn]
    inputs: Mapping[str, tuple[str, ...]]

    def attach(self, fields: Fields) -> Fields:
        """The record with its computed fields."""
        return fields if type(fields) is ComputedFields else ComputedFields(fields, self.columns)

    def failures(self, fields: Fields) -> dict[str, str]:
        """Why which computed fields have no value."""
        found = self.attach(fields)
        values = ((name, found.computed(name)) for name in self.columns) if isinstance(found, ComputedFields) else ()
        return {name: value.message for name, value in values if type(value) is Failed}

    def worked_out(self, fields: Fields) -> tuple[dict[str, object], dict[str, str]]:
        """All of a record's fields at once, and the failures."""
        values, failures = dict(fields), dict[str, str]()
        for name, column in self.columns.items():
            value = column.run(fields.get)
            if type(value) is Failed:
                failures[name] = value.message
            elif value is not MISSING:
                values[name] = value
        return values, failures

    def expand(self, writes: Fields, held: Fields | None) -> Expansion:
        """The writes with computed fields replaced by those that they are made of.

        Each inverse looks at what the ones before it wrote, so two may change one field. A computed field whose value
        would not come back is refused as a whole: what is written is what the other side will see.
        """
        refused: dict[str, str] = {}
        while True:
            asked = [name for name in self.columns if name in writes and name not in refused]
            plain = {name: value for name, value in writes.items() if name not in self.columns}
            fields, origins, found = self._written(asked, writes, plain, held)
            if not found:
                return Expansion(fields, refused, origins)
            refused |= found

    def after(self, writes: Fields, held: Fields | None) -> Fields:
        """What the record will show of these writes."""
        changed = self.expand(writes, held).fields if writes else {}
        shown = self.attach({**(held or {}), **changed})
        return {**{name: shown.get(name, value) for name, value in writes.items()}, **changed}

    def _written(
        self, asked: list[str], writes: Fields, plain: dict[str, object], held: Fields | None
    ) -> tuple[dict[str, object], dict[str, str], dict[str, str]]:
        fields, origins = dict(plain), dict[str, str]()
        # A record that is created holds nothing, and that is known.
        after = {**_plain_of(held), **plain} if held is not None else dict(plain)
        unknown: object = MISSING if held is not None else None
        refused: dict[str, str] = {}
        for name in asked:
            changes = self._undone(name, writes[name], partial(_get, after, unknown))
            if isinstance(changes, str):
                refused[name] = changes
                continue
            after |= changes
            fields |= changes
            origins |= dict.fromkeys(changes, name)
        for name in asked:
            if name not in refused and not _alike(self.columns[name].run(partial(_get, after, unknown)), writes[name]):
                refused[name] = _NOT_GIVEN_BACK
        return fields, origins, refused

    def _undone(self, name: str, value: object, get: Get) -> dict[str, object] | str:
        changes: dict[str, object] = {}
        for target, run in self.columns[name].inverse.items():
            result = run(lambda asked, default: value if asked == VALUE else get(asked, default))
            if type(result) is Failed:
                return result.message
            if result is MISSING:
                return _NOT_SHOWN
            changes[target] = result
        return changes


def _plain_of(fields: Fields) -> Fields:
    return fields._fields if isinstance(fields, ComputedFields) else fields


def _get(fields: Fields, unknown: object, name: str, _default: object = MISSING) -> object:
    return fields.get(name, unknown)


def _alike(value: object, written: object) -> bool:
    """Whether two values are the same but for case and white space, which many expressions change on purpose."""
    return _bare(value) == _bare(written)


def _bare(value: object) -> object:
    if is_blank(value):
        return None
    if isinstance(value, str):
        return " ".join(value.split()).casefold()
    if isinstance(value, tuple | list | set | frozenset):
        return frozenset(_bare(each) for each in value)
    return value
