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
    new_local: dict[int, FieldDigest] = {}
    new_remote: dict[int, FieldDigest] = {}
    final_local: dict[str, object] = {}
    final_remote: dict[str, object] = {}
    for rule, tag in merger.tagged_rules:
        decision = merge.decisions.get(rule_key(rule))
        ours = _final(merge.local, rule.local, decision.local_write if decision else MISSING, local)
        theirs = _final(merge.remote, rule.remote, decision.remote_write if decision else MISSING, remote)
        _keep_first(final_local, rule.local, ours)
        _keep_first(final_remote, rule.remote, theirs)
        before = (old_local.fields.get(tag), old_remote.fields.get(tag))
        after = _digests(
            merger, rule, decision, before, (ours, theirs), settled=took_effect(merge, decision, local, remote)
        )
        if after[0] is not None and after[1] is not None:
            new_local[tag], new_remote[tag] = after[0], after[1]
    return (
        Shadow(merger.side_hash(Side.LOCAL, Record("", final_local)), new_local).encode(),
        Shadow(merger.side_hash(Side.REMOTE, Record("", final_remote)), new_remote).encode(),
    )


def _keep_first(final: dict[str, object], name: str, value: object) -> None:
    """Two rules may share a field in different directions; the one that wrote it has the truth."""
    if value is not MISSING:
        final.setdefault(name, value)


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
    decision: FieldDecision | None,
    before: tuple[FieldDigest | None, FieldDigest | None],
    values: tuple[object, object],
    *,
    settled: bool,
) -> tuple[FieldDigest | None, FieldDigest | None]:
    known = before[0] is not None and before[1] is not None
    if not settled or (decision is None and known) or MISSING in values:
        return before
    as_set = merges_elements(rule)
    return (
        merger.field_digest(rule, Side.LOCAL, values[0], as_set=as_set),
        merger.field_digest(rule, Side.REMOTE, values[1], as_set=as_set),
    )
