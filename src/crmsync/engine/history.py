"""Note what was written, for the timeline of a record and for undoing a run; forget it when its time is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from crmsync.diff.decisions import Merge
from crmsync.engine.context import RunContext
from crmsync.engine.work import Work
from crmsync.models.history import FieldChange, RecordChange, masked, tagged
from crmsync.models.records import Fields, Operation, OperationKind, Outcome, Record, Side
from crmsync.models.state import Link

Causes = Mapping[str, str]
"""Why fields are written, by the written side's names; of others it is ``synced``."""


def written(ctx: RunContext, works: Sequence[Work]) -> tuple[RecordChange, ...]:
    """What the sides accepted of these works; nothing if the mapping keeps no history."""
    if not ctx.mapping.history_days:
        return ()
    return tuple(
        noted(ctx, work.link, (side, work.operations[side], outcome), work.record(side), _causes(side, work.merge))
        for work in works
        for side, outcome in work.outcomes.items()
        if outcome.ok and work.operations[side].fields
    )


def noted(
    ctx: RunContext, link: Link, write: tuple[Side, Operation, Outcome], before: Record | None, causes: Causes
) -> RecordChange:
    """One accepted write to a record that was ``before``; None: it was created."""
    side, operation, outcome = write
    secret = ctx.sensitive(side)

    def kept(name: str, value: object) -> object:
        normal = secret.get(name)
        return tagged(value) if normal is None or value is None else masked(ctx.digest_of(normal, value))

    fields = tuple(
        FieldChange(name, kept(name, old), kept(name, new), causes.get(name, "synced"))
        for name, old, new in _values(operation, outcome, before)
    )
    return RecordChange(
        link.integration_id,
        link.entity_type,
        ctx.run_id,
        side,
        OperationKind.CREATE if before is None else operation.kind,
        link.markmail_id,
        outcome.id if side is Side.REMOTE and outcome.id else link.crm_id,
        fields,
        ctx.clock.now(),
    )


def _values(operation: Operation, outcome: Outcome, before: Record | None) -> Iterator[tuple[str, object, object]]:
    held: Fields = before.fields if before else {}
    if operation.kind is OperationKind.DELETE:
        yield from ((name, value, None) for name, value in held.items())
        return
    unwritten = {error.field for error in outcome.unwritten}
    for name, sent in operation.fields.items():
        if name not in unwritten:
            yield name, held.get(name), outcome.stored.fields.get(name, sent) if outcome.stored else sent


def _causes(side: Side, merge: Merge | None) -> Causes:
    if merge is None:
        return {}
    usual = "synced" if merge.known else "first_meeting"
    if merge.local is None or merge.remote is None:
        usual = "created"
    decisions = merge.decisions.values()
    named = ((d.rule.local if side is Side.LOCAL else d.rule.remote, d.conflict) for d in decisions)
    return {name: f"conflict:{conflict.policy}" if conflict else usual for name, conflict in named}
