"""Hold back what was decided and cannot be done.

That is computed fields without a value, or that cannot be taken apart, and what the local side's own rules refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from crmsync.diff import Merge
from crmsync.diff.decisions import FieldDecision, rule_key
from crmsync.diff.directions import flows_to
from crmsync.engine.context import RunContext
from crmsync.engine.work import Work
from crmsync.models.mappings import Enforcement, OnLoss
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Fields, Side
from crmsync.protocols.conversion import FieldRule, RuleFailure, ValidationChecks


def examine(ctx: RunContext, work: Work) -> None:
    """Put a problem in the place of each decision that cannot be carried out; the rest of the record goes on."""
    for side in ctx.rule.computed:
        _hold(work, list(_without_value(ctx, work, side)))
    for side in ctx.rule.computed:
        if work.merge is not None:
            _hold(work, list(_not_invertible(ctx, work, work.merge, side)))
    if ctx.rule.validation is not None:
        _validate(ctx, work, ctx.rule.validation)


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


def _validate(ctx: RunContext, work: Work, checks: ValidationChecks) -> None:
    """Hold what breaks a rule; without it another rule may be broken, so look again until none is."""
    reported: set[Problem] = set()
    while work.merge is not None and not work.merge.rejected:
        writes = work.merge.writes(Side.LOCAL)
        if work.local is not None and not writes:
            return
        fields, made_of = _local_fields(ctx, work, writes)
        touched = None if work.local is None else {*writes, *made_of}
        fresh = [each for each in checks.failures(fields, touched) if each.problem not in reported]
        if not fresh:
            return
        reported |= {each.problem for each in fresh}
        _hold(work, list(_breaking(ctx, work, fresh, made_of)))


def _local_fields(ctx: RunContext, work: Work, writes: Fields) -> tuple[Fields, Mapping[str, str]]:
    """The local record as it would be, and which computed field each of its changed fields is written for."""
    held = work.local.fields if work.local is not None else None
    computed = ctx.rule.computed.get(Side.LOCAL)
    if computed is None:
        return {**(held or {}), **writes}, {}
    expansion = computed.expand(writes, held)
    return computed.attach({**(held or {}), **expansion.fields}), expansion.origins


def _breaking(
    ctx: RunContext, work: Work, failures: Sequence[RuleFailure], made_of: Mapping[str, str]
) -> Iterator[FieldDecision]:
    decisions = work.merge.decisions if work.merge is not None else {}
    for failure in failures:
        names = {*failure.fields, *(made_of[name] for name in failure.fields if name in made_of)}
        at_fault = [
            each.rule for each in decisions.values() if each.local_write is not MISSING and each.rule.local in names
        ]
        # A blank that may not be is a fault of no write: it stands with the field, or with the record.
        at_fault = at_fault or [each for each in ctx.rule.rules if each.local in names] or list(ctx.rule.rules[:1])
        for rule in at_fault:
            known = decisions.get(rule_key(rule))
            # What was found first tells why the field is not written.
            problem = known.problem if known is not None and known.hold and known.problem else failure.problem
            held = _rejected(rule, problem, creates=work.local is None)
            yield attrs.evolve(held, rejects_record=held.rejects_record or failure.rejects_record)


def _name(rule: FieldRule, side: Side) -> str:
    return rule.local if side is Side.LOCAL else rule.remote


def _rejected(rule: FieldRule, problem: Problem, *, creates: bool) -> FieldDecision:
    whole = rule.on_loss is OnLoss.REJECT_RECORD or (rule.required and creates)
    return FieldDecision(rule, hold=True, problem=problem, rejects_record=whole)
