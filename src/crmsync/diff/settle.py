"""The shadows after a merge was carried out: what each side is now known to hold."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from crmsync.diff.cells import PreparedField, exactly_equal
from crmsync.diff.decisions import FieldDecision, Merge
from crmsync.diff.digests import NO_READING, FieldDigest, Shadow, beginning, with_beginning
from crmsync.diff.merge import Merger
from crmsync.models.records import MISSING, Fields, Record, Side


@attrs.frozen(slots=True)
class SideResult:
    """What became of one side's write. ``ok`` True also when nothing had to be written.

    ``stored`` is the record as the side stored it, if the side could say so with certainty; its values replace those
    sent, so that what a side truncates or reformats is not taken for an edit later. ``unwritten`` names fields that the
    side left as they were while it wrote the others.
    """

    ok: bool = True
    stored: Record | None = None
    unwritten: frozenset[str] = frozenset()

    def wrote(self, field: str) -> bool:
        """Whether a field that was to be written took effect."""
        return self.ok and field not in self.unwritten


@attrs.define(slots=True, eq=False)
class _Carried:
    """What the decisions came to: the values that each side was given by name, the digests that move by tag."""

    local_given: dict[str, object] = attrs.field(factory=dict)
    remote_given: dict[str, object] = attrs.field(factory=dict)
    local_digests: dict[bytes, FieldDigest] = attrs.field(factory=dict)
    remote_digests: dict[bytes, FieldDigest] = attrs.field(factory=dict)
    at_rest: bool = True
    """Whether every field that was decided on came to rest."""


def settle(
    merger: Merger, merge: Merge, shadows: tuple[bytes, bytes], local: SideResult, remote: SideResult
) -> tuple[bytes, bytes]:
    """The new local and remote shadow.

    A field moves forward only if every write that it needed took effect: otherwise, and while it is parked or cannot be
    converted, its old digests stay and the next look finds the same difference again. Values that we did not write are
    taken as they were when the merge saw them, so a foreign edit between reading and writing still looks new later.
    """
    carried = _carried(merger, merge, local, remote)
    ours = _beginning(merger, Side.LOCAL, merge, carried)
    theirs = _beginning(merger, Side.REMOTE, merge, carried)
    layout = merger.layout
    if layout.knows(shadows[0]) and layout.knows(shadows[1]):
        return (
            layout.moved(shadows[0], carried.local_digests, ours),
            layout.moved(shadows[1], carried.remote_digests, theirs),
        )
    fields = _filled(merger, merge, shadows, carried, (local, remote))
    return with_beginning(ours, fields[0]), with_beginning(theirs, fields[1])


def _carried(merger: Merger, merge: Merge, local: SideResult, remote: SideResult) -> _Carried:
    carried = _Carried(at_rest=not merge.rejected)
    made = {side: _made(merger, merge, side, local if side is Side.LOCAL else remote) for side in merger.rule.computed}
    for key, decision in {} if merge.rejected else merge.decisions.items():
        field, rule = merger.fields[key], decision.rule
        ours, theirs = decision.local_write, decision.remote_write
        settled = not decision.hold
        if ours is MISSING:
            ours = _held(merge.local, rule.local, local)
        elif local.wrote(rule.local):
            after = _after(made, Side.LOCAL, rule.local, ours) if made else ours
            ours = carried.local_given[rule.local] = _stored(local, rule.local, after)
        else:
            settled = False
        if theirs is MISSING:
            theirs = _held(merge.remote, rule.remote, remote)
        elif remote.wrote(rule.remote):
            after = _after(made, Side.REMOTE, rule.remote, theirs) if made else theirs
            theirs = carried.remote_given[rule.remote] = _stored(remote, rule.remote, after)
        else:
            settled = False
        carried.at_rest = carried.at_rest and settled
        if settled and ours is not MISSING and theirs is not MISSING:
            digests = _digests(merger, field, ours, theirs)
            carried.local_digests[field.tag], carried.remote_digests[field.tag] = digests
    for side, values in made.items():
        given, result = (carried.local_given, local) if side is Side.LOCAL else (carried.remote_given, remote)
        given |= {name: _stored(result, name, value) for name, value in values.items()}
    return carried


def _made(merger: Merger, merge: Merge, side: Side, result: SideResult) -> Fields:
    """What our writes made of a side with computed fields: the fields that they changed, and those made of these."""
    record = merge.local if side is Side.LOCAL else merge.remote
    writes = {name: value for name, value in merge.writes(side).items() if result.wrote(name)}
    return merger.rule.computed[side].after(writes, record.fields if record is not None else None)


def _after(made: Mapping[Side, Fields], side: Side, name: str, value: object) -> object:
    return made[side].get(name, value) if side in made else value


def _filled(
    merger: Merger,
    merge: Merge,
    shadows: tuple[bytes, bytes],
    carried: _Carried,
    results: tuple[SideResult, SideResult],
) -> tuple[dict[bytes, FieldDigest], dict[bytes, FieldDigest]]:
    """The digests of all fields: those that move, those that stay, and of what was unknown and needs nothing."""
    ours = {**Shadow.decode(shadows[0]).fields, **carried.local_digests}
    theirs = {**Shadow.decode(shadows[1]).fields, **carried.remote_digests}
    known = ours.keys() & theirs.keys()
    for key, field in merger.fields.items():
        if field.tag not in known and key not in merge.decisions and not merge.rejected:
            values = (
                _held(merge.local, field.rule.local, results[0]),
                _held(merge.remote, field.rule.remote, results[1]),
            )
            if MISSING not in values:
                ours[field.tag], theirs[field.tag] = _digests(merger, field, *values)
    kept = ours.keys() & theirs.keys() & merger.tags
    return {tag: ours[tag] for tag in kept}, {tag: theirs[tag] for tag in kept}


def _beginning(merger: Merger, side: Side, merge: Merge, carried: _Carried) -> bytes:
    """Of the new shadow: what a reading of this side will show if nobody changes it."""
    if side is Side.LOCAL:
        record, given, reading = merge.local, carried.local_given, merge.readings[0]
    else:
        record, given, reading = merge.remote, carried.remote_given, merge.readings[1]
    if record is None:
        held: Fields = dict.fromkeys(merger.readings.sources[side], None)
    else:
        held = record.fields
    if given or not reading:
        reading = merger.readings.of(side, {**held, **given})
    made = merger.readings.made[side] if given else ()
    if any(name not in given and not given.keys().isdisjoint(sources) for name, sources in made):
        # Our write changed what a computed field is made of: its new value has yet to be looked at.
        reading = NO_READING
    return beginning(reading, settled=carried.at_rest, seen=record is not None and not given)


def _held(record: Record | None, name: str, result: SideResult) -> object:
    """What a side holds in a field that was not written."""
    if record is None:
        return None if result.ok else MISSING
    return record.fields.get(name, MISSING)


def _stored(result: SideResult, name: str, written: object) -> object:
    """What a side holds in a field that was written."""
    return written if result.stored is None else result.stored.fields.get(name, written)


def took_effect(merge: Merge, decision: FieldDecision | None, local: SideResult, remote: SideResult) -> bool:
    """Whether a field came to rest: nothing of it is held back, and every write that it needed was made."""
    if merge.rejected:
        return False
    if decision is None:
        return True
    failed_local = decision.local_write is not MISSING and not local.wrote(decision.rule.local)
    failed_remote = decision.remote_write is not MISSING and not remote.wrote(decision.rule.remote)
    return not (decision.hold or failed_local or failed_remote)


def _digests(merger: Merger, field: PreparedField, ours: object, theirs: object) -> tuple[FieldDigest, FieldDigest]:
    if field.sets:
        return (
            merger.field_digest(field.rule, Side.LOCAL, ours, as_set=True),
            merger.field_digest(field.rule, Side.REMOTE, theirs, as_set=True),
        )
    digest = field.local_digest(ours)
    return digest, digest if field.alike and exactly_equal(ours, theirs) else field.remote_digest(theirs)
