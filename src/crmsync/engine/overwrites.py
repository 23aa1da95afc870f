"""The overwrite guard: what a run replaces is counted before it is written, portion by portion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Literal

import attrs

from crmsync.diff import BLANK_SHADOW, OverwriteLimits, Shadow, holds_value, overwrites
from crmsync.engine.work import Work
from crmsync.errors import OverwriteGuardError
from crmsync.models.records import Side
from crmsync.protocols.conversion import FieldRule

if TYPE_CHECKING:
    from crmsync.engine.context import RunContext

_EXAMPLES: Final = 5


@attrs.define(slots=True)
class Overwritten:
    """Values that a run overwrites: how many of each field, and ids of some of the records."""

    fields: Counter[str] = attrs.field(factory=Counter)
    examples: list[str] = attrs.field(factory=list)

    @property
    def total(self) -> int:
        """Of all fields."""
        return self.fields.total()

    def add(self, names: Sequence[str], record_id: str) -> None:
        """One record's."""
        for name in names:
            self.fields[name] += 1
        if names and len(self.examples) < _EXAMPLES:
            self.examples.append(record_id)


@attrs.define(slots=True)
class OverwriteTally:
    """What a run has overwritten so far, and what there is to compare it with.

    ``pairs`` and ``held`` (non-blank values by side) are a sample of the linked records: those that the run merged.
    ``new_pairs`` are links made in this run. ``compared`` are first meetings of two non-blank values, by local field;
    ``met`` those of them of which one was overwritten, or would have been.
    """

    sides: dict[Side, Overwritten] = attrs.field(factory=lambda: {side: Overwritten() for side in Side})
    pairs: int = 0
    held: dict[Side, int] = attrs.field(factory=lambda: dict.fromkeys(Side, 0))
    new_pairs: int = 0
    compared: Counter[str] = attrs.field(factory=Counter)
    met: Overwritten = attrs.field(factory=Overwritten)
    _refused: set[str] = attrs.field(factory=set)

    def refuse(self, email: str | None, markmail_id: str) -> None:
        """Count a first meeting that is left alone because the two are not one person: many of those are a mistake."""
        if email and markmail_id not in self._refused:
            self._refused.add(markmail_id)
            self.compared[email] += 1
            self.met.add([email], markmail_id)

    def values(self, side: Side, live_links: int) -> float:
        """About how many non-blank values the linked records hold on a side."""
        return (live_links + self.new_pairs) * self.held[side] / self.pairs if self.pairs else 0.0


def guard_overwrites(ctx: RunContext, works: Sequence[Work]) -> None:
    """Count what a page overwrites, and stop the run before any of it is written if that is too much.

    A dry run goes on, and remembers that a run would be stopped.

    :raises OverwriteGuardError: it is more than the guard allows.
    """
    before = {side: ctx.overwritten.sides[side].total for side in Side}
    for work in works:
        if work.merge is not None and work.local is not None and work.remote is not None:
            _count(ctx, work)
    if not ctx.approved:
        for error in _excess(ctx):
            ctx.stop(error)
    for side in Side:
        ctx.tally.sides[side].overwritten += ctx.overwritten.sides[side].total - before[side]


def _count(ctx: RunContext, work: Work) -> None:
    assert work.merge is not None
    assert work.local is not None
    assert work.remote is not None
    tally, lost = ctx.overwritten, set[str]()
    for side in work.operations:
        rules = list(overwrites(work.merge, side))
        if rules:
            lost.update([rule.local for rule in rules])
            names = [rule.local if side is Side.LOCAL else rule.remote for rule in rules]
            tally.sides[side].add(names, work.local.id if side is Side.LOCAL else work.remote.id)
    tally.pairs += 1
    tally.new_pairs += not work.merge.known
    ours, theirs = work.local.fields, work.remote.fields
    tally.held[Side.LOCAL] += work.merge.held[0]
    tally.held[Side.REMOTE] += work.merge.held[1]
    if meeting := _meeting(ctx, work):
        both = [rule for rule in meeting if holds_value(ours.get(rule.local)) and holds_value(theirs.get(rule.remote))]
        tally.compared.update(rule.local for rule in both)
        tally.met.add([rule.local for rule in both if rule.local in lost], work.link.markmail_id)


def _meeting(ctx: RunContext, work: Work) -> Sequence[FieldRule]:
    """The fields that meet for the first time: all of a new pair, and those that the mapping has got since."""
    shadow = work.link.local_shadow
    if not shadow or shadow == BLANK_SHADOW:
        return ctx.rule.rules
    if work.link.mapping_version == ctx.rule.version:
        return ()
    known = Shadow.decode(shadow).fields
    return [rule for rule, tag in ctx.merger.tagged_rules if tag not in known]


def _excess(ctx: RunContext) -> Iterator[OverwriteGuardError]:
    """What is over a limit, if anything is. An explicit allowance of the run replaces all limits."""
    tally, allowed = ctx.overwritten, ctx.options.allow_overwrites
    limits = OverwriteLimits(ctx.mapping.overwrite_guard_count, ctx.mapping.overwrite_guard_share)
    for side in Side:
        found = tally.sides[side]
        limit = limits.of_side(tally.values(side, ctx.live_links)) if allowed is None else allowed
        if found.total > limit:
            yield _error("local" if side is Side.LOCAL else "remote", found, limit)
    if allowed is not None:
        return
    limit = limits.of_meetings(tally.compared.total())
    if tally.met.total > limit:
        yield _error("meeting", tally.met, limit)
    for name, lost in tally.met.fields.items():
        is_address = name == ctx.rule.match.local_email
        limit = (limits.of_addresses if is_address else limits.of_meetings)(tally.compared[name])
        if lost > limit:
            yield _error("meeting", Overwritten(Counter({name: lost}), tally.met.examples), limit)


def _error(scope: Literal["local", "remote", "meeting"], found: Overwritten, limit: int) -> OverwriteGuardError:
    return OverwriteGuardError(
        found.total, limit, scope=scope, fields=tuple(found.fields.most_common()), examples=tuple(found.examples)
    )
