"""The shadows after a merge was carried out: what each side is now known to hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from crmsync.diff.cells import PreparedField, exactly_equal
from crmsync.diff.decisions import FieldDecision, Merge, Newcomer
from crmsync.diff.digests import BLANK_SHADOW, NO_READING, FieldDigest, Shadow, beginning
from crmsync.diff.merge import Merger
from crmsync.diff.readings import SideReadings
from crmsync.models.immutable import frozen_value
from crmsync.models.records import MISSING, Fields, Record, Side

_LOCAL: Final = Side.LOCAL
_REMOTE: Final = Side.REMOTE
_NOTHING: Fields = {}
_UNKNOWN: Mapping[str, bytes] = {}


@frozen_value
class SideResult:
    """What became of one side's write. ``ok`` True also when nothing had to be written.

    ``stored`` is the record as the side stored it, if the side could say so with certainty; its values replace those
    sent, so that what a side truncates or reformats is not taken for an edit later. ``unwritten`` names fields that the
    side left as they were while it wrote the others. ``sent`` and ``replaced`` are digests of values that were to be
    written and of those that they replace, by name, of those fields of which they are known already.
    """

    ok: bool = True
    stored: Record | None = None
    unwritten: frozenset[str] = frozenset()
    sent: Mapping[str, bytes] = _UNKNOWN
    replaced: Mapping[str, bytes] = _UNKNOWN

    def wrote(self, field: str) -> bool:
        """Whether a field that was to be written took effect."""
        return self.ok and field not in self.unwritten

    @property
    def as_sent(self) -> bool:
        """Whether all took effect, and as far as the side said just as it was sent."""
        return self.ok and self.stored is None and not self.unwritten


DONE: Final = SideResult()
"""Of a side to which nothing had to be written, or that said no more than that it was."""


class _After:
    """One side after its write: the values that it was ``given``, by name, and the digests that move, by tag.

    ``made`` is what our writes made of computed fields, and of those that these are made of. ``held(name, lacking)`` is
    what the side holds in a field that was not written, ``took(name, written)`` in one that was.
    """

    __slots__ = ("digests", "given", "held", "lacking", "record", "result", "took")

    def __init__(self, record: Record | None, result: SideResult, made: Fields) -> None:
        self.record = record
        self.result = result
        self.digests: dict[bytes, FieldDigest] = {}
        self.held = (record.fields if record is not None else _NOTHING).get
        self.lacking = None if record is None and result.ok else MISSING
        stored = result.stored.fields if result.stored is not None else _NOTHING
        self.took = ({**made, **stored} if made else stored).get
        # Our writes change more than the fields that were written.
        self.given = {name: self.took(name) for name in made} if made else {}

    def after(self, name: str, write: object) -> tuple[object, bytes | None, bool]:
        """What the side holds in a field, its digest if that is known, and whether a write that it needed was made."""
        if write is MISSING:
            return self.held(name, self.lacking), None, True
        if not self.result.wrote(name):
            return write, None, False
        value = self.given[name] = self.took(name, write)
        return value, self.result.sent.get(name) if value is write else None, True

    def reading(self, readings: SideReadings) -> bytes:
        """What a reading of this side will show if nobody changes it."""
        held: Fields = dict.fromkeys(readings.sources, None) if self.record is None else self.record.fields
        given = self.given
        if given and any(n not in given and not given.keys().isdisjoint(sources) for n, sources in readings.made):
            # Our write changed what a computed field is made of: its new value has yet to be looked at.
            return NO_READING
        return readings.of({**held, **given})

    def beginning(self, reading: bytes, *, settled: bool) -> bytes:
        """Of the side's new shadow."""
        return beginning(reading, settled=settled, seen=self.record is not None and not self.given)


@attrs.define(slots=True, eq=False)
class _Carried:
    """What the decisions came to.

    ``at_rest``: every field that was decided on came to rest. ``twins``: the sides hold the very same value in each of
    these fields, and of all in the end.
    """

    merger: Merger
    merge: Merge
    local: _After
    remote: _After
    at_rest: bool
    twins: bool


def settle(
    merger: Merger, merge: Merge, shadows: tuple[bytes, bytes], local: SideResult, remote: SideResult
) -> tuple[bytes, bytes]:
    """The new local and remote shadow.

    A field moves forward only if every write that it needed took effect: otherwise, and while it is parked or cannot be
    converted, its old digests stay and the next look finds the same difference again. Values that we did not write are
    taken as they were when the merge saw them, so a foreign edit between reading and writing still looks new later.
    """
    if merge.newcomer is not None and local.as_sent and remote.as_sent and not any(map(_knows_fields, shadows)):
        return _of_newcomer(merger, merge, merge.newcomer)
    carried = _carried(merger, merge, local, remote)
    ours, theirs, layout = carried.local, carried.remote, merger.layout
    agree = layout.agree(*shadows)
    if not agree and not (layout.knows(shadows[0]) and layout.knows(shadows[1])):
        fields = _filled(carried, shadows)
        starts = _beginnings(carried)
        left = layout.encode(starts[0], fields[0])
        same = fields[0] == fields[1]
        return left, starts[1] + left[len(starts[0]) :] if same else layout.encode(starts[1], fields[1])
    carried.twins = carried.twins and merge.apart is not None and merge.decisions.keys() >= merge.apart
    starts = _beginnings(carried)
    left = layout.moved(shadows[0], ours.digests, starts[0])
    if agree and ours.digests == theirs.digests:
        return left, starts[1] + left[len(starts[0]) :]
    return left, layout.moved(shadows[1], theirs.digests, starts[1])


def _knows_fields(shadow: bytes) -> bool:
    return shadow not in (b"", BLANK_SHADOW)


def _of_newcomer(merger: Merger, merge: Merge, new: Newcomer) -> tuple[bytes, bytes]:
    """The shadows of a record that was created as it was sent, and of the one that it was made of."""
    readings, created = merger.readings, new.side
    source = merge.local if created is _REMOTE else merge.remote
    assert source is not None
    mine = readings.side(created.other).of(source.fields)
    if new.twins and readings.plain:
        theirs = mine
    else:
        held = readings.side(created)
        theirs = held.of({**dict.fromkeys(held.sources), **new.writes})
    left = merger.layout.encode_all(beginning(mine, settled=True, seen=True), new.source)
    start = beginning(theirs, settled=True, seen=False)
    same = new.source == new.target
    right = start + left[len(start) :] if same else merger.layout.encode_all(start, new.target)
    return (left, right) if created is _REMOTE else (right, left)


def _carried(merger: Merger, merge: Merge, local: SideResult, remote: SideResult) -> _Carried:
    ours = _After(merge.local, local, _made(merger, merge, Side.LOCAL, local))
    theirs = _After(merge.remote, remote, _made(merger, merge, Side.REMOTE, remote))
    if merge.rejected:
        return _Carried(merger, merge, ours, theirs, at_rest=False, twins=False)
    fields, at_rest, twins = merger.fields, True, True
    here, there = ours.digests, theirs.digests
    for key, decision in merge.decisions.items():
        field, rule = fields[key], decision.rule
        our, known_here, wrote_here = ours.after(rule.local, decision.local_write)
        their, known_there, wrote_there = theirs.after(rule.remote, decision.remote_write)
        settled = wrote_here and wrote_there and not decision.hold
        at_rest = at_rest and settled
        same = settled and exactly_equal(our, their)
        twins = twins and same
        if settled and our is not MISSING and their is not MISSING:
            if same and field.alike:
                here[field.tag] = there[field.tag] = known_here or known_there or field.local_digest(our)
            else:
                here[field.tag] = known_here or _digest(merger, field, _LOCAL, our)
                there[field.tag] = known_there or _digest(merger, field, _REMOTE, their)
    return _Carried(merger, merge, ours, theirs, at_rest, twins)


def _made(merger: Merger, merge: Merge, side: Side, result: SideResult) -> Fields:
    """What our writes made of a side with computed fields: the fields that they changed, and those made of these."""
    if not merger.rule.computed or side not in merger.rule.computed:
        return _NOTHING
    record = merge.local if side is Side.LOCAL else merge.remote
    writes = {name: value for name, value in merge.writes(side).items() if result.wrote(name)}
    return merger.rule.computed[side].after(writes, record.fields if record is not None else None)


def _filled(
    carried: _Carried, shadows: tuple[bytes, bytes]
) -> tuple[Mapping[bytes, FieldDigest], Mapping[bytes, FieldDigest]]:
    """The digests of all fields: those that move, those that stay, and of what was unknown and needs nothing."""
    merger, merge = carried.merger, carried.merge
    ours = {**Shadow.decode(shadows[0]).fields, **carried.local.digests}
    theirs = {**Shadow.decode(shadows[1]).fields, **carried.remote.digests}
    known = ours.keys() & theirs.keys()
    for key, field in merger.fields.items() if not merge.rejected else ():
        if key in merge.decisions:
            continue
        our = carried.local.held(field.rule.local, carried.local.lacking)
        their = carried.remote.held(field.rule.remote, carried.remote.lacking)
        same = exactly_equal(our, their)
        carried.twins = carried.twins and same
        if field.tag not in known and our is not MISSING and their is not MISSING:
            ours[field.tag] = digest = _digest(merger, field, _LOCAL, our)
            theirs[field.tag] = digest if same and field.alike else _digest(merger, field, _REMOTE, their)
    if ours.keys() == theirs.keys() == merger.tags:
        return ours, theirs
    kept = ours.keys() & theirs.keys() & merger.tags
    return {tag: ours[tag] for tag in kept}, {tag: theirs[tag] for tag in kept}


def _beginnings(carried: _Carried) -> tuple[bytes, bytes]:
    """Of the new shadows."""
    readings, ours, theirs = carried.merger.readings, carried.local, carried.remote
    left, right = carried.merge.readings
    left = b"" if ours.given else left
    right = b"" if theirs.given else right
    if carried.twins and readings.plain:
        left = right = left or right or ours.reading(readings.local)
    # What the other side could not be compared with is looked at again, until it shows the field.
    left = NO_READING if _LOCAL in carried.merge.unshown else left
    right = NO_READING if _REMOTE in carried.merge.unshown else right
    return (
        ours.beginning(left or ours.reading(readings.local), settled=carried.at_rest),
        theirs.beginning(right or theirs.reading(readings.remote), settled=carried.at_rest),
    )


def took_effect(merge: Merge, decision: FieldDecision | None, local: SideResult, remote: SideResult) -> bool:
    """Whether a field came to rest: nothing of it is held back, and every write that it needed was made."""
    if merge.rejected:
        return False
    if decision is None:
        return True
    failed_local = decision.local_write is not MISSING and not local.wrote(decision.rule.local)
    failed_remote = decision.remote_write is not MISSING and not remote.wrote(decision.rule.remote)
    return not (decision.hold or failed_local or failed_remote)


def _digest(merger: Merger, field: PreparedField, side: Side, value: object) -> FieldDigest:
    if field.sets:
        return merger.field_digest(field.rule, side, value, as_set=True)
    return field.local_digest(value) if side is _LOCAL else field.remote_digest(value)
