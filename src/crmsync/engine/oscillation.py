"""Park fields that two systems keep rewriting, and remember our writes where that may be so.

Only a link that changed a short while ago and needs a write again gets a history; all others cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from crmsync.diff import SideResult, flips
from crmsync.diff.decisions import FieldDecision, Merge, rule_key
from crmsync.engine.conflicts import verdicts_on
from crmsync.engine.context import RunContext
from crmsync.engine.work import Work
from crmsync.models.mappings import OSCILLATION
from crmsync.models.problems import Problem
from crmsync.models.records import Side
from crmsync.models.state import Conflict, ConflictStatus
from crmsync.protocols.conversion import FieldRule


def tame(ctx: RunContext, work: Work) -> None:
    """Look over the merge of a linked pair: park what flips, leave parked what is, carry out what a person decided."""
    if not (work.conflicts or work.link.flips):
        return  # nothing flips at its first turn
    waiting = {name: one for name, one in work.conflicts.items() if one.policy == OSCILLATION}
    if work.merge is None or not (waiting or _suspicious(ctx, work)):
        return
    decisions: dict[str, FieldDecision] = {}
    verdicts = verdicts_on(ctx, work) if waiting else {}
    for rule in ctx.rule.rules:
        conflict = waiting.get(rule.local)
        if conflict is None:
            continue
        if conflict.status is ConflictStatus.DECIDED and work.local is not None and work.remote is not None:
            decision = ctx.merger.carried_out(rule, work.local, work.remote, verdicts[rule.local])
            if decision is not None:
                decisions[rule_key(rule)] = decision
        elif _needs_something(work.merge, rule):
            decisions[rule_key(rule)] = flips.parked(rule, work.merge)
    history = flips.decode(work.link.flips)
    for rule, flip in flips.flips_of(ctx.merger, work.merge, ctx.clock.now()):
        if rule.local not in waiting and flips.turns(history, flip) >= ctx.mapping.oscillation_turns:
            decisions[rule_key(rule)] = flips.parked(rule, work.merge)
            ctx.tally.add_problem(work.link, _explained(rule, ctx.mapping.oscillation_turns))
    if decisions:
        work.merge = attrs.evolve(work.merge, decisions={**work.merge.decisions, **decisions})


def history_after(ctx: RunContext, work: Work, results: Mapping[Side, SideResult]) -> bytes:
    """What the link remembers of our writes from now on."""
    if work.merge is None or not (work.link.flips or _suspicious(ctx, work)):
        return b""
    now = ctx.clock.now()
    tags = {rule.local: tag for rule, tag in ctx.merger.tagged_rules} if work.conflicts else {}
    decided = {tags.get(name) for name, one in work.conflicts.items() if _is_decided(one)}
    made = flips.flips_of(ctx.merger, work.merge, now, results[Side.LOCAL], results[Side.REMOTE])
    written = [
        flip
        for rule, flip in made
        if flip.tag not in decided and results[flip.side].wrote(rule.local if flip.side is Side.LOCAL else rule.remote)
    ]
    if not work.link.flips:
        return flips.encode(written)
    history = [flip for flip in flips.decode(work.link.flips) if flip.tag not in decided]
    return flips.encode(flips.remembered([*history, *written], now))


def _is_decided(conflict: Conflict) -> bool:
    return conflict.policy == OSCILLATION and conflict.status is ConflictStatus.DECIDED


def _suspicious(ctx: RunContext, work: Work) -> bool:
    """Whether the pair changed a short while ago, and is to be written again."""
    changed = work.link.updated_at
    if work.fresh or changed is None or work.local is None or work.remote is None:
        return False
    return bool(work.merge and work.merge.decisions) and ctx.clock.now() - changed <= flips.WINDOW


def _needs_something(merge: Merge, rule: FieldRule) -> bool:
    """Whether the sides do not agree by now."""
    decision = merge.decisions.get(rule_key(rule))
    return decision is not None and (decision.conflict is not None or any(_writes(merge, rule)))


def _writes(merge: Merge, rule: FieldRule) -> tuple[bool, bool]:
    return rule.local in merge.writes(Side.LOCAL), rule.remote in merge.writes(Side.REMOTE)


def _explained(rule: FieldRule, turns: int) -> Problem:
    return Problem(
        rule.local,
        OSCILLATION,
        f"{rule.remote} of the CRM and {rule.local} of the local side are rewritten against each other;"
        f" the same would be written {turns} times in a row, so the field waits",
        "find what rewrites it (a flow in the CRM, a normaliser on the local side), then decide the conflict",
    )
