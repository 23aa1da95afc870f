"""What of a record that has no counterpart a new one is made of, converted all at once where that is possible."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any

from crmsync.diff.cells import PreparedField, exactly_equal
from crmsync.diff.decisions import Newcomer
from crmsync.models.records import MISSING, Fields, Side
from crmsync.protocols.conversion import RecordRule


class Newcomers:
    """New records of one side, made of the other side's. ``fields`` are those that are written to it at all."""

    def __init__(self, rule: RecordRule, fields: Iterable[PreparedField], target: Side, blank: bytes) -> None:
        every, remote = tuple(fields), target is Side.REMOTE
        self.fields = tuple(each for each in every if (each.writes_remote if remote else each.writes_local))
        whole = tuple(each.rule for each in self.fields if not each.sets)
        self._convert = rule.whole(whole, target) if rule.whole is not None and whole else None
        self._sets = len(whole) < len(self.fields)
        self._rules = tuple(each.rule for each in self.fields)
        self._side, self._blank = target, blank
        names = [(each.rule.local, each.rule.remote) for each in every]
        unique = all(len(set(side)) == len(names) for side in zip(*names, strict=True))
        self._at_once = unique and not self._sets and not rule.computed and len(self.fields) == len(every)
        self._steps = tuple(_step(each, remote=remote) for each in self.fields)

    def newcomer(self, source: Fields) -> Newcomer | None:
        """A new record, where there is no more to say of any field than its value; None where there is."""
        values = self._convert(source) if self._at_once and self._convert is not None else None
        if values is None:
            return None
        made = Newcomer(self._rules, self._side, {}, {}, [], [], twins=True)
        writes, sent, ours, theirs = made.writes, made.sent, made.source.append, made.target.append
        for (name, target, digest, digest_there, blank_there, alike, must), value in zip(
            self._steps, values, strict=True
        ):
            held = source[name]
            here = digest(held)
            if here == self._blank:
                if must:
                    return None
                there, same = blank_there, held is None
            else:
                if value is MISSING:
                    return None
                same = held is value or exactly_equal(held, value)
                there = sent[target] = here if same and alike else digest_there(value)
                writes[target] = value
            made.twins = made.twins and same
            ours(here)
            theirs(there)
        return made

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


def _step(field: PreparedField, *, remote: bool) -> tuple[Any, ...]:
    """Of a field: its names and digests here and there, that of a blank there, if both are alike, if blanks matter."""
    rule = field.rule
    names = (rule.local, rule.remote) if remote else (rule.remote, rule.local)
    digests = (field.local_digest, field.remote_digest) if remote else (field.remote_digest, field.local_digest)
    return *names, *digests, digests[1](None), field.alike, rule.required or rule.default is not None
