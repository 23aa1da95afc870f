"""Readings: one keyed hash over a record's mapped values as they were read, before any normal form.

A record that is read as it was when it was acknowledged, under the mapping of then, needs no look at any field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import TypeAlias, cast

from crmsync.diff.digests import Digester
from crmsync.models.records import MISSING, Fields, Side
from crmsync.protocols.conversion import RecordRule

Getter: TypeAlias = Callable[[Fields], tuple[object, ...]]


class SideReadings:
    """Reads one side's records under one compiled mapping.

    ``sources`` are the side's own fields that the values of the rules come from; ``made`` are the computed ones among
    the rules' fields, each with its own. ``hashed`` makes 8 bytes of values.
    """

    def __init__(self, names: Sequence[str], reads: Sequence[tuple[str, ...]], hashed: Callable[..., bytes]) -> None:
        self.values = _getter(names)
        """Takes the values of the mapped fields, in the rules' order; those that are absent as MISSING."""
        self.sources = tuple(dict.fromkeys(chain(*reads)))
        self.made = tuple((name, read) for name, read in zip(names, reads, strict=True) if read != (name,))
        self.plain = not self.made and len(set(names)) == len(names)
        """Whether each rule has a field of its own, which holds what it shows."""
        self._hashed = hashed
        # Of a computed field the fields that it is made of: it is not worked out to see that nothing changed.
        self._taken = _getter(self.sources) if self.made else self.values

    def of(self, fields: Fields) -> bytes:
        """8 bytes for the values of a record."""
        return self._hashed(self._taken(fields))

    def of_values(self, fields: Fields, values: tuple[object, ...]) -> bytes:
        """`of` a record whose values of the mapped fields were taken already."""
        return self._hashed(self._taken(fields) if self.made else values)


class Readings:
    """Reads both sides' records under one compiled mapping.

    The mapping's version is part of what is hashed: under another one the same values may mean something else, and
    must not look acknowledged. What the sides are called is not: two records that hold the very same values, field by
    field, have one reading, unless a side's are not `plain`.
    """

    def __init__(self, rule: RecordRule, digester: Digester) -> None:
        hashed = digester.reader(rule.version)
        names = [one.local for one in rule.rules], [one.remote for one in rule.rules]
        self.local = SideReadings(names[0], [rule.reads(Side.LOCAL, name) for name in names[0]], hashed)
        self.remote = SideReadings(names[1], [rule.reads(Side.REMOTE, name) for name in names[1]], hashed)
        self.plain = self.local.plain and self.remote.plain

    def side(self, side: Side) -> SideReadings:
        """One side's."""
        return self.local if side is Side.LOCAL else self.remote


def _getter(names: Sequence[str]) -> Getter:
    """Takes the values of these fields; those that are absent as MISSING."""

    def some(fields: Fields) -> tuple[object, ...]:
        return tuple(fields.get(name, MISSING) for name in names)

    if len(names) < 2:  # noqa: PLR2004 (of one name an itemgetter gives no tuple)
        return some
    every = cast("Getter", itemgetter(*names))

    def all_or_some(fields: Fields) -> tuple[object, ...]:
        try:
            return every(fields)
        except KeyError:
            return some(fields)

    return all_or_some
