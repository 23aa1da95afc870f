"""What to do about one field whose values met or changed: leave it, write one side or both, or wait for somebody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, TypeAlias

import attrs

from crmsync.diff.cells import Cell
from crmsync.diff.decisions import ConflictNote, FieldDecision, held_back
from crmsync.diff.directions import FLOWS, flows_to, is_blank, writes_over
from crmsync.diff.policies import Verdict, decide, is_restrictive
from crmsync.models.mappings import OSCILLATION, ConflictPolicy, Enforcement, OnBlank
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Side
from crmsync.protocols.conversion import Conversion, FieldRule, LossKind

# Of each changed field these are asked for several times, and an enumeration takes longer to look into than a module.
_LOCAL: Final = Side.LOCAL
_REMOTE: Final = Side.REMOTE
_CLEAR: Final = OnBlank.CLEAR
_DECIDE_AGAIN: Final = "it is the value given for a conflict: decide that again, with one that fits"
_MOST_RESTRICTIVE: Final = ConflictPolicy.MOST_RESTRICTIVE

Decided: TypeAlias = Mapping[str, Verdict]
"""People's decisions on parked conflicts, by local field name."""


def met(cell: Cell, uncertainty: timedelta, decided: Decided | None) -> FieldDecision:
    """A field of which nothing was ever acknowledged."""
    if cell.agrees():
        return FieldDecision(cell.rule)
    for blank in Side:
        if is_blank(cell.normal(blank)):
            return _fill(cell, blank)
    return _conflict(cell, uncertainty, decided)


def changed(cell: Cell, sides: tuple[Side, ...], uncertainty: timedelta, decided: Decided | None) -> FieldDecision:
    """A field that these sides changed."""
    if cell.agrees():
        return FieldDecision(cell.rule)
    if len(sides) > 1:
        return _conflict(cell, uncertainty, decided)
    return _flow(cell, sides[0])


def carried_out(cell: Cell, verdict: Verdict) -> FieldDecision:
    """What a person decided, whichever side changed since."""
    if cell.agrees():
        return FieldDecision(cell.rule)
    if verdict.winner is None:
        return _as_given(_replace_both(cell, verdict.value, policy=OSCILLATION))
    return _overwrite(cell, verdict.winner, policy=OSCILLATION)


def _flow(cell: Cell, source: Side) -> FieldDecision:
    """Only ``source`` changed since the last sync."""
    rule, target = cell.rule, _REMOTE if source is _LOCAL else _LOCAL
    if rule.policy is _MOST_RESTRICTIVE and not _may_relax(cell, source):
        return _overwrite(cell, target, policy=rule.policy)
    if cell.is_echo(source):
        return FieldDecision(rule)
    if writes_over(rule, target, cell.normal(target)):
        return _write(cell, source)
    if flows_to(rule, source) is Enforcement.MIRROR:
        return _overwrite(cell, target, policy="mirror")
    return FieldDecision(rule)


def _may_relax(cell: Cell, source: Side) -> bool:
    """Whether a change of a protected flag may flow: always towards protection, away from it only by a given value.

    That the other side did not change since both agreed proves the change to be the newer evidence.
    """
    protected = is_restrictive(cell.rule, source.other, cell.normal(source.other))
    return not protected or not is_blank(cell.normal(source))


def _fill(cell: Cell, blank: Side) -> FieldDecision:
    """A blank meets a value for the first time, or another blank."""
    if flows_to(cell.rule, blank) in (*FLOWS, Enforcement.FILL_BLANK):
        return _write(cell, blank.other)
    if flows_to(cell.rule, blank.other) is Enforcement.MIRROR:
        return _overwrite(cell, blank, policy="mirror")
    return FieldDecision(cell.rule)


def _conflict(cell: Cell, uncertainty: timedelta, decided: Decided | None) -> FieldDecision:
    rule = cell.rule
    if not any(writes_over(rule, side, cell.normal(side)) for side in Side):
        return FieldDecision(rule)
    person = decided.get(rule.local) if decided else None
    verdict = decide(cell, uncertainty, person)
    if verdict.winner is not None:
        return _overwrite(cell, verdict.winner, policy=rule.policy)
    if verdict.value is MISSING:
        note = ConflictNote(rule, rule.policy, cell.local_value, cell.remote_value, parked=True)
        return FieldDecision(rule, hold=True, conflict=note)
    replaced = _replace_both(cell, verdict.value, policy=rule.policy)
    return replaced if person is None else _as_given(replaced)


def _as_given(decision: FieldDecision) -> FieldDecision:
    """What is wrong with a value that a person gave is mended where it was given."""
    if decision.problem is None:
        return decision
    return attrs.evolve(decision, problem=attrs.evolve(decision.problem, remedy=_DECIDE_AGAIN))


def _overwrite(cell: Cell, winner: Side, *, policy: str) -> FieldDecision:
    """Write the winner's value over the other side's, if the direction allows, and note what was lost."""
    if not writes_over(cell.rule, winner.other, cell.normal(winner.other)):
        return FieldDecision(cell.rule)
    decision = _write(cell, winner)
    written = decision.local_write is not MISSING or decision.remote_write is not MISSING
    if decision.hold or not written or is_blank(cell.normal(winner.other)):
        return decision
    note = ConflictNote(cell.rule, policy, cell.local_value, cell.remote_value, winner=winner)
    return attrs.evolve(decision, conflict=note)


def _replace_both(cell: Cell, value: object, *, policy: str) -> FieldDecision:
    """A custom policy made a value of its own, or a person gave one, in local form."""
    rule = cell.rule
    if is_blank(rule.normal_local(value)) and rule.on_blank is not OnBlank.CLEAR:
        if rule.on_blank is OnBlank.KEEP:
            return FieldDecision(rule)
        value = rule.default
    converted = rule.to_remote(value)
    if converted.rejected:
        return held_back(rule, converted)
    if rule.required and is_blank(rule.normal_remote(converted.value)):
        return FieldDecision(rule, hold=True, problem=_required(rule, Side.REMOTE))
    local = value if rule.normal_local(value) != cell.local_normal else MISSING
    remote = converted.value if rule.normal_remote(converted.value) != cell.remote_normal else MISSING
    note = ConflictNote(rule, policy, cell.local_value, cell.remote_value)
    return FieldDecision(
        rule,
        local_write=local if writes_over(rule, Side.LOCAL, cell.local_normal) else MISSING,
        remote_write=remote if writes_over(rule, Side.REMOTE, cell.remote_normal) else MISSING,
        conflict=note,
    )


def _write(cell: Cell, source: Side) -> FieldDecision:
    rule, target = cell.rule, _REMOTE if source is _LOCAL else _LOCAL
    converted = cell.converted(source)
    if rule.on_blank is not _CLEAR and is_blank(cell.normal(source)):
        if rule.on_blank is OnBlank.KEEP:
            return FieldDecision(rule)
        converted = rule.to_remote(rule.default) if source is _LOCAL else rule.to_local(rule.default)
    if converted.rejected or converted.value is MISSING:
        return held_back(rule, converted)
    normal = cell.image(target)
    if rule.required and is_blank(normal):
        return FieldDecision(rule, hold=True, problem=_required(rule, target))
    if normal == cell.normal(target):
        return FieldDecision(rule)
    problem = _loss(rule, converted) if converted.losses else None
    if target is _LOCAL:
        return FieldDecision(rule, converted.value, MISSING, problem=problem)
    return FieldDecision(rule, MISSING, converted.value, problem=problem)


def _loss(rule: FieldRule, converted: Conversion) -> Problem | None:
    """A loss that ``on_loss`` accepts and wants reported; `ACCEPT` compiles to conversions without losses."""
    # A loss of precision lies below what either side compares by: it is no news at each write.
    loss = next((loss for loss in converted.losses if loss.kind is not LossKind.PRECISION), None)
    if loss is None:
        return None
    return Problem(rule.local, f"{loss.kind}_accepted", loss.message)


def _required(rule: FieldRule, target: Side) -> Problem:
    name = rule.remote if target is Side.REMOTE else rule.local
    return Problem(rule.local, "required", f"{name} must not be blank", "fill it, or give the field mapping a default")
