"""What of a record that has no counterpart a new one is made of, converted all at once where that is possible."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat

from crmsync.diff.cells import PreparedField
from crmsync.models.records import MISSING, Fields, Side
from crmsync.protocols.conversion import RecordRule


class Newcomers:
    """New records of one side, made of the other side's. ``fields`` are those that are written to it at all."""

    def __init__(self, rule: RecordRule, fields: Iterable[PreparedField], target: Side) -> None:
        remote = target is Side.REMOTE
        self.fields = tuple(each for each in fields if (each.writes_remote if remote else each.writes_local))
        whole = tuple(each.rule for each in self.fields if not each.sets)
        self._convert = rule.whole(whole, target) if rule.whole is not None and whole else None
        self._sets = len(whole) < len(self.fields)

    def values(self, source: Fields) -> Iterable[object]:
        """The fields' values in the target's form; MISSING for those that are to be converted one by one.

        Sets are among these, as only elements that the mapping owns go over.
        """
        values = self._convert(source) if self._convert is not None else None
        if values is None:
            return repeat(MISSING)
        if not self._sets:
            return values
        converted = iter(values)
        return [MISSING if field.sets else next(converted) for field in self.fields]
