"""Hold back what was decided and cannot be done: computed fields without a value, or that cannot be taken apart."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from crmsync.diff import Merge
from crmsync.diff.decisions import FieldDecision, rule_key
from crmsync.diff.policies import flows_to
from crmsync.engine.context import RunContext
from crmsync.engine.work import Work
from crmsync.models.mappings import Enforcement, OnLoss
from crmsync.models.problems import Problem
from crmsync.models.records import Side
from crmsync.protocols.conversion import FieldRule


def examine(ctx: RunContext, work: Work) -> None:
    """Put a problem in the place of each decision that cannot be carried out; the rest of the record goes on."""
    if work.merge is not None and ctx.rule.computed:
        for side in ctx.rule.computed:
            _hold(work, list(_without_value(ctx, work, side)))
        for side in ctx.rule.computed:
            _hold(work, list(_not_invertible(ctx, work, work.merge, side)))


def _hold(work: Work, held: list[FieldDecision]) -> None:
    if held and work.merge is not None:
        decisions = {**work.merge.decisions, **{rule_key(each.rule): each for each in held}}
        work.merge = attrs.evolve(work.merge, decisions=decisions)


def _without_value(ctx: RunContext, work: Work, side: Side) -> Iterator[FieldDecision]:
    """Computed fields of which the record's values make none. They are MISSING: nothing else was decided on them."""
    record = work.record(side)
    failures = ctx.rule.computed[side].failures(record.fields) if record is not None else {}
    for rule in ctx.rule.rules if failures else ():
        name = _name(rule, side)
        if name in failures and flows_to(rule, side.other) is not Enforcement.OFF:
            sources = ", ".join(ctx.rule.reads(side, name))
            remedy = f"correct what it is made of: {sources}"
            problem = Problem(rule.local, "not_computed", f"{name} has no value: {failures[name]}", remedy)
            yield _rejected(rule, problem, creates=work.record(side.other) is None)


def _not_invertible(ctx: RunContext, work: Work, merge: Merge, side: Side) -> Iterator[FieldDecision]:
    """Writes of computed fields whose value would not come back from the fields that they are made of."""
    record = work.record(side)
    writes = merge.writes(side)
    refused = ctx.rule.computed[side].expand(writes, record.fields if record is not None else None).refused
    for decision in merge.decisions.values() if refused else ():
        rule = decision.rule
        name = _name(rule, side)
        if name in refused and name in writes:
            remedy = f"change the value on the other side, or {name}'s expression or inverse"
            problem = Problem(rule.local, "not_invertible", f"{name} cannot be written: {refused[name]}", remedy)
            yield _rejected(rule, problem, creates=record is None)


def _name(rule: FieldRule, side: Side) -> str:
    return rule.local if side is Side.LOCAL else rule.remote


def _rejected(rule: FieldRule, problem: Problem, *, creates: bool) -> FieldDecision:
    whole = rule.on_loss is OnLoss.REJECT_RECORD or (rule.required and creates)
    return FieldDecision(rule, hold=True, problem=problem, rejects_record=whole)
