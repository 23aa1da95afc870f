"""People's consent: which fields say it, what is looked at again before it is widened, and who is told of a change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crmsync.diff.policies import is_restrictive
from crmsync.engine.context import RunContext
from crmsync.engine.work import Work
from crmsync.models.consents import ConsentChange
from crmsync.models.mappings import ConflictPolicy
from crmsync.models.records import MISSING, Side
from crmsync.protocols.conversion import FieldRule


def consent_rules(ctx: RunContext) -> list[FieldRule]:
    """The rules of the fields in which the more restrictive value wins."""
    return [rule for rule in ctx.rule.rules if rule.policy is ConflictPolicy.MOST_RESTRICTIVE]


async def look_again(ctx: RunContext, side: Side, works: Sequence[Work]) -> None:
    """Read those records of the side again over which a consent of their counterparts would be written.

    What a side reports of its changes may be older than what it holds, and an opt-out that it does not show yet must
    not be overwritten.
    """
    rules = consent_rules(ctx)
    doubtful = [work for work in works if any(_widened(rule, side, work) for rule in rules)] if rules else []
    if not doubtful:
        return
    held = await ctx.store(side).get([found.id for w in doubtful if (found := w.record(side))], fields=ctx.fields(side))
    for work in doubtful:
        if side is Side.LOCAL and work.local is not None:
            work.local = held.get(work.local.id, work.local)
        elif side is Side.REMOTE and work.remote is not None:
            work.remote = held.get(work.remote.id, work.remote)


def _widened(rule: FieldRule, side: Side, work: Work) -> bool:
    """Whether the counterpart says something else than this side's record, and does not restrict it."""
    if work.local is None or work.remote is None:
        return False
    ours, theirs = work.local.fields.get(rule.local, MISSING), work.remote.fields.get(rule.remote, MISSING)
    if ours is MISSING or theirs is MISSING:
        return False
    normals = {Side.LOCAL: rule.normal_local(ours), Side.REMOTE: rule.normal_remote(theirs)}
    other = side.other
    return normals[side] != normals[other] and not is_restrictive(rule, other, normals[other])


async def note_consents(ctx: RunContext, works: Sequence[Work]) -> None:
    """Hand over what was written of consents, before it is acknowledged: noted twice is better than not at all."""
    if ctx.consents is None or not consent_rules(ctx):
        return
    changes = [change for work in works for change in _changes(work)]
    if changes:
        await ctx.consents.note(changes)


def _changes(work: Work) -> Iterator[ConsentChange]:
    if work.merge is None or work.local is None or work.remote is None:
        return
    for decision in work.merge.decisions.values():
        rule = decision.rule
        if rule.policy is not ConflictPolicy.MOST_RESTRICTIVE:
            continue
        for side, field, value, normal in (
            (Side.LOCAL, rule.local, decision.local_write, rule.normal_local),
            (Side.REMOTE, rule.remote, decision.remote_write, rule.normal_remote),
        ):
            outcome = work.outcomes.get(side)
            if value is MISSING or outcome is None or not outcome.ok or field in {e.field for e in outcome.unwritten}:
                continue
            yield ConsentChange(work.link.markmail_id, side, field, is_restrictive(rule, side, normal(value)))
