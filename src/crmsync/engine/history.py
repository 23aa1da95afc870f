"""Note what was written, for the timeline of a record and for undoing a run; forget it when its time is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from crmsync.diff.decisions import Merge
from crmsync.engine.context import RunContext
from crmsync.engine.work import Work
from crmsync.models.history import FieldChange, RecordChange, masked, tagged
from crmsync.models.records import Fields, Operation, OperationKind, Outcome, Record, Side
from crmsync.models.schema import ObjectSchema
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


def to_be_written(ctx: RunContext, work: Work, side: Side) -> RecordChange | None:
    """What the history is to say of a write once it took effect; None if it says nothing."""
    operation = work.operations[side]
    if not ctx.mapping.history_days or not operation.fields:
        return None
    return noted(ctx, work.link, (side, operation, None), work.record(side), _causes(side, work.merge))


async def fields_of(ctx: RunContext, side: Side, changes: Iterable[RecordChange]) -> tuple[str, ...]:
    """What to ask a side for to look at changes: the mapping's fields, and others that they name and the side has."""
    fields = ctx.fields(side)
    names = {one.field for change in changes if change.side is side for one in change.fields}.difference(fields)
    if not names:
        return fields
    schema = await ctx.store(side).describe()
    return (*fields, *sorted(name for name in names if _shows(schema, name)))


def _shows(schema: ObjectSchema, name: str) -> bool:
    field = schema.field(name)
    return schema.open if field is None else field.readable


def noted(
    ctx: RunContext,
    link: Link,
    write: tuple[Side, Operation, Outcome | None],
    before: Record | None,
    causes: Causes,
) -> RecordChange:
    """One write to a record that was ``before``; None: it was created. Without an outcome, as it is to be."""
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
        outcome.id if side is Side.REMOTE and outcome is not None and outcome.id else link.crm_id,
        fields,
        ctx.clock.now(),
    )


def _values(
    operation: Operation, outcome: Outcome | None, before: Record | None
) -> Iterator[tuple[str, object, object]]:
    held: Fields = before.fields if before else {}
    if operation.kind is OperationKind.DELETE:
        yield from ((name, value, None) for name, value in held.items())
        return
    unwritten = {error.field for error in outcome.unwritten} if outcome else set()
    stored: Fields = outcome.stored.fields if outcome and outcome.stored else {}
    for name, sent in operation.fields.items():
        if name not in unwritten:
            yield name, held.get(name), stored.get(name, sent)


def _causes(side: Side, merge: Merge | None) -> Causes:
    if merge is None:
        return {}
    usual = "synced" if merge.known else "first_meeting"
    if (merge.local if side is Side.LOCAL else merge.remote) is None:
        usual = "created"
    decisions = merge.decisions.values()
    named = ((d.rule.local if side is Side.LOCAL else d.rule.remote, d.conflict) for d in decisions)
    return {name: f"conflict:{conflict.policy}" if conflict else usual for name, conflict in named}
