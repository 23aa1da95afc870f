"""Readings: one keyed hash over a record's mapped values as they were read, before any normal form.

A record that is read as it was when it was acknowledged, under the mapping of then, needs no look at any field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import cast

from crmsync.diff.digests import Digester
from crmsync.models.records import MISSING, Fields, Side
from crmsync.protocols.conversion import RecordRule


class Readings:
    """Reads both sides' records under one compiled mapping.

    The mapping's version is part of what is hashed: under another one the same values may mean something else, and
    must not look acknowledged.
    """

    def __init__(self, rule: RecordRule, digester: Digester) -> None:
        self._version = rule.version
        self._digester = digester
        self._values = {
            Side.LOCAL: _getter([one.local for one in rule.rules]),
            Side.REMOTE: _getter([one.remote for one in rule.rules]),
        }

    def of(self, side: Side, fields: Fields) -> bytes:
        """8 bytes for one side's values."""
        return self._digester.reading((self._version, self._values[side](fields)))


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
