"""Fields that two systems keep rewriting: told apart from people's edits by what our writes replace.

A flip is one of our writes: of a field of one side, from one value to another. When the very same flip is due again and
that side had no other in between, the side itself has gone back from our value to the one before: a trigger there, or a
chain of rewriting through the other side. A person who edits a field again and again makes different flips.

An encoded history is a row of flips, oldest first, each of 21 bytes::

    1 byte   the side that was written: 0x00 local, 0x01 remote
    3 bytes  the field's tag
    6 bytes  keyed digest of the value that was replaced; of a set of its elements that were taken away
    6 bytes  keyed digest of the value that was written; of a set of the elements that were added
    5 bytes  when, in seconds since 1970
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from crmsync.diff.decisions import ConflictNote, FieldDecision, Merge
from crmsync.diff.merge import Merger
from crmsync.diff.settle import DONE, SideResult
from crmsync.models.immutable import frozen_value
from crmsync.models.mappings import OSCILLATION, ConflictPolicy
from crmsync.models.records import MISSING, Side
from crmsync.protocols.conversion import FieldRule

WINDOW: Final = timedelta(days=7)
"""How long a flip is remembered."""

_LOCAL: Final = Side.LOCAL
_REMOTE: Final = Side.REMOTE
_FLIP: Final = struct.Struct("c3s6s6s5s")
_SIDES: Final = {b"\x00": Side.LOCAL, b"\x01": Side.REMOTE}
_BYTES: Final = {side: byte for byte, side in _SIDES.items()}
_KEPT: Final = 20
"""Flips that are remembered of one field."""


@frozen_value
class Flip:
    """One of our writes: field, side, digests of the value before and after (of a set: of what went and what came).

    ``at`` is in seconds since 1970.
    """

    tag: bytes
    side: Side
    old: bytes
    new: bytes
    at: int

    def same(self, other: Flip) -> bool:
        """Whether both replace the same value by the same, on the same side."""
        return (self.tag, self.side, self.old, self.new) == (other.tag, other.side, other.old, other.new)


def encode(flips: Iterable[Flip]) -> bytes:
    """The byte string of the module's docstring."""
    return b"".join(
        _FLIP.pack(_BYTES[flip.side], flip.tag, flip.old, flip.new, flip.at.to_bytes(5, "big")) for flip in flips
    )


def decode(blob: bytes) -> list[Flip]:
    """Read a byte string."""
    return [
        Flip(tag, _SIDES[side], old, new, int.from_bytes(at, "big"))
        for side, tag, old, new, at in _FLIP.iter_unpack(blob)
    ]


def turns(history: Sequence[Flip], due: Flip) -> int:
    """How often this flip was made in a row on its side, the one that is due included."""
    count = 1
    for flip in reversed(history):
        if (flip.tag, flip.side) != (due.tag, due.side):
            continue
        if not flip.same(due):
            break
        count += 1
    return count


def remembered(history: Iterable[Flip], now: datetime) -> list[Flip]:
    """Those young enough, and of each field only the last ones."""
    since = int((now - WINDOW).timestamp())
    young = [flip for flip in history if flip.at >= since]
    left: dict[bytes, int] = {}
    kept = []
    for flip in reversed(young):
        left[flip.tag] = left.get(flip.tag, 0) + 1
        if left[flip.tag] <= _KEPT:
            kept.append(flip)
    return kept[::-1]


def flips_of(
    merger: Merger, merge: Merge, now: datetime, local: SideResult = DONE, remote: SideResult = DONE
) -> list[tuple[FieldRule, Flip]]:
    """The flips that a merge is about to make, in fields that have met before.

    What is known of digests from the results of the writes is not worked out again. Of a set that is merged element by
    element the flip is what it loses and gains, so that others may add and remove elements meanwhile.

    Consent is left out: an opt-out must be written however often something takes it back.
    """
    found: list[tuple[FieldRule, Flip]] = []
    if merge.rejected:
        return found
    at = max(0, int(now.timestamp()))
    for key, decision in merge.decisions.items():
        field, rule = merger.fields[key], decision.rule
        if rule.policy is ConflictPolicy.MOST_RESTRICTIVE:
            continue
        if field.sets:
            found += ((rule, Flip(field.tag, side, *ends, at)) for side, ends in _set_flips(merger, merge, decision))
            continue
        if decision.local_write is not MISSING and merge.local is not None:
            old = local.replaced.get(rule.local) or field.local_digest(merge.local.fields.get(rule.local))
            new = local.sent.get(rule.local) or field.local_digest(decision.local_write)
            found.append((rule, Flip(field.tag, _LOCAL, old, new, at)))
        if decision.remote_write is not MISSING and merge.remote is not None:
            old = remote.replaced.get(rule.remote) or field.remote_digest(merge.remote.fields.get(rule.remote))
            new = remote.sent.get(rule.remote) or field.remote_digest(decision.remote_write)
            found.append((rule, Flip(field.tag, _REMOTE, old, new, at)))
    return found


def _set_flips(merger: Merger, merge: Merge, decision: FieldDecision) -> Iterator[tuple[Side, tuple[bytes, bytes]]]:
    """The sides of a set that are written, with digests of what they lose and of what they gain."""
    rule, digest = decision.rule, merger.digester.scalar
    for side, record, name, value in (
        (_LOCAL, merge.local, rule.local, decision.local_write),
        (_REMOTE, merge.remote, rule.remote, decision.remote_write),
    ):
        if value is not MISSING and record is not None:
            before = merger.field_digest(rule, side, record.fields.get(name), as_set=True)
            after = merger.field_digest(rule, side, value, as_set=True)
            assert isinstance(before, frozenset)
            assert isinstance(after, frozenset)
            yield side, (digest(before - after), digest(after - before))


def parked(rule: FieldRule, merge: Merge) -> FieldDecision:
    """The decision that leaves a flipping field alone until a person decides."""
    assert merge.local is not None
    assert merge.remote is not None
    values = merge.local.fields.get(rule.local), merge.remote.fields.get(rule.remote)
    return FieldDecision(rule, hold=True, conflict=ConflictNote(rule, OSCILLATION, *values, parked=True))
