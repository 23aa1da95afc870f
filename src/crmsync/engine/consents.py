"""Tell whoever keeps a log of them that people's consent was changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crmsync.diff.policies import is_restrictive
from crmsync.engine.context import RunContext
from crmsync.engine.work import Work
from crmsync.models.consents import ConsentChange
from crmsync.models.mappings import ConflictPolicy
from crmsync.models.records import MISSING, Side


async def note_consents(ctx: RunContext, works: Sequence[Work]) -> None:
    """Hand over what was written of consents, before it is acknowledged: noted twice is better than not at all."""
    if ctx.consents is None or not any(rule.policy is ConflictPolicy.MOST_RESTRICTIVE for rule in ctx.rule.rules):
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
