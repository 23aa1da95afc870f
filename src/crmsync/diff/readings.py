"""Readings: one keyed hash over a record's mapped values as they were read, before any normal form.

A record that is read as it was when it was acknowledged, under the mapping of then, needs no look at any field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import cast

from crmsync.diff.digests import Digester
from crmsync.models.records import MISSING, Fields, Side
from crmsync.protocols.conversion import RecordRule


class Readings:
    """Reads both sides' records under one compiled mapping.

    The mapping's version is part of what is hashed: under another one the same values may mean something else, and
    must not look acknowledged. ``sources`` are each side's own fields that the values of the rules come from;
    ``made`` are the computed ones among the rules' fields, each with its own.
    """

    def __init__(self, rule: RecordRule, digester: Digester) -> None:
        self.hash = digester.reader(rule.version)
        """8 bytes for one side's values."""
        self.local = _getter([one.local for one in rule.rules])
        self.remote = _getter([one.remote for one in rule.rules])
        """Take the values of the mapped fields, in the rules' order; those that are absent as MISSING."""
        names = {Side.LOCAL: [one.local for one in rule.rules], Side.REMOTE: [one.remote for one in rule.rules]}
        read = {side: [(name, rule.reads(side, name)) for name in names[side]] for side in Side}
        self.sources = {side: tuple(dict.fromkeys(chain(*(sources for _, sources in read[side])))) for side in Side}
        self.made = {side: tuple(pair for pair in read[side] if pair[1] != (pair[0],)) for side in Side}
        # Of a computed field the fields that it is made of: it is not worked out to see that nothing changed.
        self._sources = {side: _getter(self.sources[side]) for side in Side if self.made[side]}

    def values(self, side: Side, fields: Fields) -> tuple[object, ...]:
        """One side's values of the mapped fields, in the rules' order."""
        return self.local(fields) if side is Side.LOCAL else self.remote(fields)

    def of_values(self, side: Side, fields: Fields, values: tuple[object, ...]) -> bytes:
        """`of` a record whose values of the mapped fields were taken already."""
        return self.hash(self._sources[side](fields) if side in self._sources else values)

    def of(self, side: Side, fields: Fields) -> bytes:
        """8 bytes for the values of one side's record."""
        if side in self._sources:
            return self.hash(self._sources[side](fields))
        return self.hash(self.local(fields) if side is Side.LOCAL else self.remote(fields))


def _getter(names: Sequence[str]) -> Callable[[Fields], tuple[object, ...]]:
    """Takes the values of these fields; those that are absent as MISSING."""

    def some(fields: Fields) -> tuple[object, ...]:
        return tuple(fields.get(name, MISSING) for name in names)

    if len(names) < 2:  # noqa: PLR2004 (of one name an itemgetter gives no tuple)
        return some
    every = itemgetter(*names)

    def all_or_some(fields: Fields) -> tuple[object, ...]:
        try:
            return cast("tuple[object, ...]", every(fields))
        except KeyError:
            return some(fields)

    return all_or_some
