"""The shadows after a merge was carried out: what each side is now known to hold."""

from __future__ import annotations

import attrs

from crmsync.diff.decisions import FieldDecision, Merge, rule_key
from crmsync.diff.digests import FieldDigest, Shadow
from crmsync.diff.merge import Merger, merges_elements
from crmsync.models.records import MISSING, Record, Side
from crmsync.protocols.conversion import FieldRule


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


def settle(
    merger: Merger, merge: Merge, shadows: tuple[bytes, bytes], local: SideResult, remote: SideResult
) -> tuple[bytes, bytes]:
    """The new local and remote shadow.

    A field moves forward only if every write that it needed took effect: otherwise, and while it is parked or cannot be
    converted, its old digests stay and the next look finds the same difference again. Values that we did not write are
    taken as they were when the merge saw them, so a foreign edit between reading and writing still looks new later.
    """
    old_local, old_remote = Shadow.decode(shadows[0]), Shadow.decode(shadows[1])
    new_local, new_remote = dict(old_local.fields), dict(old_remote.fields)
    at_rest, rejected = True, merge.rejected
    known = new_local.keys() == new_remote.keys() == merger.tags
    for rule, tag in merger.tagged_rules:
        decision = merge.decisions.get(rule_key(rule))
        if decision is None and known and not rejected:
            continue
        ours = _final(merge.local, rule.local, decision.local_write if decision else MISSING, local)
        theirs = _final(merge.remote, rule.remote, decision.remote_write if decision else MISSING, remote)
        settled = took_effect(merge, decision, local, remote)
        at_rest = at_rest and settled
        digests = (new_local.pop(tag, None), new_remote.pop(tag, None))
        if decision is not None or None in digests:
            digests = _digests(merger, rule, digests, (ours, theirs), settled=settled)
        if digests[0] is not None and digests[1] is not None:
            new_local[tag], new_remote[tag] = digests[0], digests[1]
    if not known:
        for fields in (new_local, new_remote):
            for tag in fields.keys() - merger.tags:
                del fields[tag]
    return (
        Shadow(_reading(merger, Side.LOCAL, merge, local), new_local, at_rest).encode(),
        Shadow(_reading(merger, Side.REMOTE, merge, remote), new_remote, at_rest).encode(),
    )


def _reading(merger: Merger, side: Side, merge: Merge, result: SideResult) -> bytes:
    """What a reading of this side will show if nobody changes it."""
    record = merge.local if side is Side.LOCAL else merge.remote
    if record is not None:
        held = dict(record.fields)
    else:
        held = dict.fromkeys((rule.local if side is Side.LOCAL else rule.remote for rule in merger.rule.rules), None)
    for decision in merge.decisions.values():
        rule = decision.rule
        name, written = (
            (rule.local, decision.local_write) if side is Side.LOCAL else (rule.remote, decision.remote_write)
        )
        if written is not MISSING and result.wrote(name):
            held[name] = written if result.stored is None else result.stored.fields.get(name, written)
    return merger.readings.of(side, held)


def _final(record: Record | None, name: str, written: object, result: SideResult) -> object:
    if written is not MISSING and result.wrote(name):
        return written if result.stored is None else result.stored.fields.get(name, written)
    if record is None:
        return None if result.ok else MISSING
    return record.fields.get(name, MISSING)


def took_effect(merge: Merge, decision: FieldDecision | None, local: SideResult, remote: SideResult) -> bool:
    """Whether a field came to rest: nothing of it is held back, and every write that it needed was made."""
    if merge.rejected:
        return False
    if decision is None:
        return True
    failed_local = decision.local_write is not MISSING and not local.wrote(decision.rule.local)
    failed_remote = decision.remote_write is not MISSING and not remote.wrote(decision.rule.remote)
    return not (decision.hold or failed_local or failed_remote)


def _digests(
    merger: Merger,
    rule: FieldRule,
    before: tuple[FieldDigest | None, FieldDigest | None],
    values: tuple[object, object],
    *,
    settled: bool,
) -> tuple[FieldDigest | None, FieldDigest | None]:
    if not settled or MISSING in values:
        return before
    as_set = merges_elements(rule)
    return (
        merger.field_digest(rule, Side.LOCAL, values[0], as_set=as_set),
        merger.field_digest(rule, Side.REMOTE, values[1], as_set=as_set),
    )
