"""Turn decisions into the fewest operations, of changed fields only; decide creates and deletes."""

from __future__ import annotations

import enum

import attrs

from crmsync.diff.cells import PreparedField
from crmsync.diff.decisions import FieldDecision, Merge, rejection
from crmsync.diff.directions import is_blank
from crmsync.diff.merge import Merger
from crmsync.models.mappings import DeletePolicy
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Fields, Operation, OperationKind, Record, Side
from crmsync.protocols.conversion import FieldRule


def merge_new(merger: Merger, source: Side, record: Record) -> Merge:
    """The decisions on a record that has no counterpart: what a new one on the other side should hold."""
    decisions: dict[str, FieldDecision] = {}
    from_local, fields = source is Side.LOCAL, record.fields
    newcomer = merger.new_remote if from_local else merger.new_local
    local, remote = (record, None) if source is Side.LOCAL else (None, record)
    if (plain := newcomer.newcomer(fields)) is not None:
        return Merge(local, remote, plain, known=False)
    values = newcomer.values(fields)
    for field, converted in zip(newcomer.fields, values, strict=False):
        decision = _new_field(field, fields, converted, from_local=from_local)
        if decision is not None:
            decisions[field.key] = decision
    return Merge(local, remote, decisions, known=False)


def _new_field(field: PreparedField, fields: Fields, converted: object, *, from_local: bool) -> FieldDecision | None:
    """``converted`` is the field's value in the target's form, MISSING if it has yet to be converted."""
    rule = field.rule
    name, normal = (rule.local, rule.normal_local) if from_local else (rule.remote, rule.normal_remote)
    value = fields.get(name, MISSING)
    if value is MISSING or is_blank(normal(value)):
        value = MISSING if rule.default is None else rule.default
        if value is MISSING or is_blank(normal(value)):
            return _blank_required(rule, Side.REMOTE if from_local else Side.LOCAL) if rule.required else None
        return _converted(field, value, from_local=from_local)
    if converted is MISSING:
        return _converted(field, value, from_local=from_local)
    return FieldDecision(rule, MISSING, converted) if from_local else FieldDecision(rule, converted, MISSING)


def _converted(field: PreparedField, value: object, *, from_local: bool) -> FieldDecision:
    rule = field.rule
    if field.sets:
        value = _owned(rule, Side.LOCAL if from_local else Side.REMOTE, value)
    converted = rule.to_remote(value) if from_local else rule.to_local(value)
    if converted.rejected:
        rejects = converted.whole_record or rule.required
        return FieldDecision(rule, hold=True, problem=rejection(rule, converted), rejects_record=rejects)
    report = None
    if converted.losses:
        loss = converted.losses[0]
        report = Problem(rule.local, f"{loss.kind}_accepted", loss.message)
    local, remote = (MISSING, converted.value) if from_local else (converted.value, MISSING)
    return FieldDecision(rule, local, remote, problem=report)


def _owned(rule: FieldRule, source: Side, value: object) -> object:
    if source is Side.LOCAL:
        return rule.join_local(tuple(e for e in rule.elements_local(value) if rule.owns(str(e))))
    names = ((e, rule.elements_local(rule.to_local((e,)).value)) for e in rule.elements_remote(value))
    return rule.join_remote(tuple(e for e, local in names if rule.owns(str(local[0] if local else e))))


def _blank_required(rule: FieldRule, target: Side) -> FieldDecision:
    name = rule.remote if target is Side.REMOTE else rule.local
    problem = Problem(rule.local, "required", f"{name} must not be blank", "fill it, or give the mapping a default")
    return FieldDecision(rule, hold=True, problem=problem, rejects_record=True)


def operation(
    side: Side, merge: Merge, *, op_id: str, record_id: str | None, key: str | None = None
) -> Operation | None:
    """The write that a side needs, or None. ``key`` is an external key still to be written, and reason enough to write.

    A counterpart that does not exist is created, unless the record as a whole is rejected.
    """
    existing = merge.local if side is Side.LOCAL else merge.remote
    fields = merge.writes(side)
    if merge.rejected:
        return None
    if existing is None:
        return Operation(op_id, OperationKind.CREATE, record_id, key, fields)
    if fields or key is not None:
        return Operation(op_id, OperationKind.UPDATE, existing.id, key, fields, existing.fields)
    return None


class DeleteAction(enum.StrEnum):
    """What the delete of one side's record means for the pair."""

    TOMBSTONE = "tombstone"
    """Remember it; the survivor stays and is never written back."""
    UNLINK = "unlink"
    ARCHIVE = "archive"
    DELETE = "delete"
    SPARE = "spare"
    """The survivor was edited since: an edit beats a delete. It stays, alone."""


@attrs.frozen(slots=True)
class DeleteDecision:
    """What to do with a pair of which ``deleted`` is gone."""

    action: DeleteAction
    deleted: Side


def decide_delete(
    merger: Merger, policy: DeletePolicy, deleted: Side, survivor: Record | None, shadow: bytes
) -> DeleteDecision:
    """The decision for one pair. ``survivor`` None: it is gone as well. ``shadow`` is the survivor's side's."""
    if survivor is None or policy is DeletePolicy.IGNORE:
        return DeleteDecision(DeleteAction.TOMBSTONE, deleted)
    if policy is DeletePolicy.UNLINK:
        return DeleteDecision(DeleteAction.UNLINK, deleted)
    if policy is DeletePolicy.ARCHIVE:
        return DeleteDecision(DeleteAction.ARCHIVE, deleted)
    if merger.edited(deleted.other, survivor, shadow):
        return DeleteDecision(DeleteAction.SPARE, deleted)
    return DeleteDecision(DeleteAction.DELETE, deleted)


def delete_limit(links: int, *, count: int, share: float) -> int:
    """How many deletes one run may make: the greater of a number and a share of the links."""
    return max(count, int(links * share))
