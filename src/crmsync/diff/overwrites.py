"""Which values of a side a merge would overwrite, and how many of them one run may."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Final

import attrs

from crmsync.diff.decisions import FieldDecision, Merge
from crmsync.diff.directions import is_blank
from crmsync.diff.policies import is_restrictive
from crmsync.models.mappings import ConflictPolicy
from crmsync.models.records import MISSING, Side
from crmsync.protocols.conversion import FieldRule

_MET_COUNT: Final = 20
_ADDRESSES: Final = 3
_MET_SHARE: Final = 0.5
_NOTHING: Final[Container[object]] = (None, MISSING, "", ())


def overwrites(merge: Merge, side: Side) -> Iterator[FieldRule]:
    """The fields whose value on a side would be lost: replaced by a different one, cleared, or robbed of elements.

    Filling a blank loses nothing, nor does adding to a set. Consent that becomes stricter is not counted: no guard
    stands in its way.
    """
    record = merge.local if side is Side.LOCAL else merge.remote
    if record is None or merge.rejected:
        return
    for decision in merge.decisions.values():
        rule = decision.rule
        name, written = _written(decision, side)
        if written is MISSING:
            continue
        normal = rule.normal_local if side is Side.LOCAL else rule.normal_remote
        old = normal(record.fields.get(name))
        if is_blank(old):
            continue
        if isinstance(old, frozenset) and isinstance(new := normal(written), frozenset) and old <= new:
            continue
        if rule.policy is ConflictPolicy.MOST_RESTRICTIVE and is_restrictive(rule, side, normal(written)):
            continue
        yield rule


def _written(decision: FieldDecision, side: Side) -> tuple[str, object]:
    if side is Side.LOCAL:
        return decision.rule.local, decision.local_write
    return decision.rule.remote, decision.remote_write


def holds_value(value: object) -> bool:
    """Whether a value is none of the blanks, told without its normal form: good enough to count by."""
    return value not in _NOTHING


def values_held(values: Sequence[object]) -> int:
    """How many of them `holds_value` says so of."""
    # Blanks are false, and there are none in most records.
    return len(values) if all(values) else sum(map(holds_value, values))


@attrs.frozen(slots=True)
class OverwriteLimits:
    """How many values one run may overwrite: the greater of a number and a share of what there is.

    Where records meet for the first time, a wrong match or a wrong column shows early: there less is allowed in number,
    and more as a share, because two systems that were never in step differ a lot.
    """

    count: int
    share: float

    def of_side(self, values: float) -> int:
        """Of a side whose linked records hold about so many non-blank values."""
        return max(self.count, int(values * self.share))

    def of_meetings(self, compared: int) -> int:
        """Of first meetings, in which so many values met that are blank on neither side."""
        return self._of_met(_MET_COUNT, compared)

    def of_addresses(self, compared: int) -> int:
        """Of the e-mails that people are found by, as `of_meetings`: whoever meet by their keys and mostly differ in
        this are not the same people.
        """
        return self._of_met(_ADDRESSES, compared)

    def _of_met(self, count: int, compared: int) -> int:
        return max(min(self.count, count), int(compared * max(self.share, _MET_SHARE)))
