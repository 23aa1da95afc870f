"""Take back what a run wrote: a run of its own, planned and guarded like any other.

What the run overwrote is written again, what it created is deleted, what it deleted is created anew: each only if
nobody has changed it since. The bookkeeping is moved before the side is written, so that the next sync takes what is
restored for what it knows, and does not carry it to the other side. What a side refuses, and what a crash kept from it,
is moved back: then that write is simply not undone.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from enum import IntEnum
from functools import partial

import attrs

from crmsync.diff.echoes import is_lossy_image
from crmsync.engine.context import RunContext
from crmsync.engine.deletes import guard_deletes
from crmsync.engine.history import fields_of, noted
from crmsync.engine.recovery import begin
from crmsync.engine.tombstones import tombstone
from crmsync.engine.undone import shifted
from crmsync.engine.writing import announce, write
from crmsync.errors import NotFoundError
from crmsync.models.history import FieldChange, RecordChange, is_masked, untagged
from crmsync.models.plans import PlannedRecord, PlannedWrite
from crmsync.models.problems import Problem
from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus, Record, Side
from crmsync.models.state import Acknowledgement, JournalPurpose, Link

_BATCH = 500
_DONE = {
    OperationKind.CREATE: OutcomeStatus.CREATED,
    OperationKind.UPDATE: OutcomeStatus.UPDATED,
    OperationKind.DELETE: OutcomeStatus.DELETED,
}
_CHANGED = Problem("", "changed_since", "the record was changed after the run", "look at it, and change it by hand")
_UNLINKED = Problem("", "not_linked", "the record is linked differently since the run", "change it by hand")
_NOT_KEPT = Problem("", "not_kept", "the value before is not kept: the field is sensitive", "change it by hand")
_UNREADABLE = Problem(
    "", "not_readable", "the side does not show what it holds, so it may have changed since", "change it by hand"
)
_GONE = Problem("", "missing", "the record is not there any more", "")


@attrs.frozen(slots=True, eq=False)
class _Step:
    """One change on its way back.

    ``link`` is the link as it will be (None: forgotten), ``old_link`` as it is; ``record`` is the record as it is now.
    """

    change: RecordChange
    old_link: Link
    link: Link | None
    record: Record | None
    operation: Operation


class _Likeness(IntEnum):
    """How much what a field holds is like what the history has: not at all, what a side could make of it, the same."""

    NONE = 0
    IMAGE = 1
    SAME = 2


async def undo(ctx: RunContext, run_id: str) -> None:
    """Take back everything that a run wrote, newest first. In a dry run, plan it.

    :raises NotFoundError: no history of such a run is kept.
    :raises DeleteGuardError: it created more records than one run may delete.
    """
    await begin(ctx)
    kinds = Counter[OperationKind]()

    async def count(page: Sequence[RecordChange]) -> None:
        kinds.update(change.kind for change in page)

    await _pages(ctx, run_id, count)
    if not kinds:
        msg = f"no history of a run {run_id!r} of {ctx.entity_type} is kept"
        raise NotFoundError(msg)
    created = kinds[OperationKind.CREATE]
    ctx.deletes_planned += created
    guard_deletes(ctx, created)
    await _pages(ctx, run_id, partial(_undo_page, ctx))


async def _pages(ctx: RunContext, run_id: str, handle: Callable[[Sequence[RecordChange]], Awaitable[None]]) -> None:
    """Hand over a run's changes page by page, newest first."""
    before: int | None = None
    while page := await ctx.repository.list_changes(
        ctx.integration_id, ctx.entity_type, run_id=run_id, before_id=before, limit=_BATCH
    ):
        before = page[-1].id
        await handle(page)


async def _undo_page(ctx: RunContext, page: Sequence[RecordChange]) -> None:
    """Take a page back; of two changes of one record the newer first."""
    batch: dict[str, RecordChange] = {}
    for change in page:
        if change.markmail_id in batch:
            await _undo_batch(ctx, list(batch.values()))
            batch = {}
        batch[change.markmail_id] = change
    await _undo_batch(ctx, list(batch.values()))


async def _undo_batch(ctx: RunContext, batch: Sequence[RecordChange]) -> None:
    links = await ctx.links(Side.LOCAL, [change.markmail_id for change in batch])
    for change in batch:
        if change.markmail_id not in links:
            ctx.tally.add_problem(_link_of(ctx, change), _UNLINKED, side=change.side)
    for side in Side:
        known = [(c, link) for c in batch if c.side is side and (link := links.get(c.markmail_id)) is not None]
        ids = [found for change, link in known if (found := _record_id(change, link))]
        fields = await fields_of(ctx, side, [change for change, _ in known])
        records = await ctx.store(side).get(ids, fields=fields)
        steps = [
            step
            for change, link in known
            if (step := _step(ctx, change, link, records.get(_record_id(change, link) or ""))) is not None
        ]
        if ctx.dry_run:
            _plan(ctx, side, steps)
        else:
            await _carry_out(ctx, side, steps)


def _record_id(change: RecordChange, link: Link) -> str | None:
    """The id of the changed record now: the link's, which a merge in the CRM may have moved."""
    if change.side is Side.LOCAL:
        return link.markmail_id
    return link.crm_id or change.crm_id


def _step(ctx: RunContext, change: RecordChange, link: Link, record: Record | None) -> _Step | None:
    """How to take a change back; None, and a problem noted, if it cannot be."""
    op_id, side = uuid.uuid4().hex, change.side
    if record is None and change.kind is OperationKind.CREATE:
        return None  # it is gone already: by an undo that was cut short, or by hand
    if (record is None) is not (change.kind is OperationKind.DELETE):
        ctx.tally.add_problem(link, _GONE if record is None else _CHANGED, side=side)
        return None
    for one in change.fields:
        if is_masked(one.before):
            ctx.tally.add_problem(link, attrs.evolve(_NOT_KEPT, path=one.field), side=side)
    if record is None:
        held = {one.field: value for one in _kept(change) if (value := untagged(one.before)) is not None}
        key = change.markmail_id if side is Side.REMOTE and ctx.remote.limits.external_key else None
        new_id = change.markmail_id if side is Side.LOCAL else None
        return _Step(change, link, None, None, Operation(op_id, OperationKind.CREATE, new_id, key, held))
    created = change.kind is OperationKind.CREATE
    if created and side is Side.REMOTE and change.crm_id not in (None, record.id):
        # Merged or converted since: the survivor is not what the run created.
        ctx.tally.add_problem(link, _CHANGED, side=side)
        return None
    fields = change.fields if created else _kept(change)
    as_left = {one.field: untagged(one.before) for one in fields if _is_as_left(ctx, side, one, record)}
    if not any(one.field in record.fields for one in fields):
        # An activity, say: what it became part of shows none of it.
        ctx.tally.add_problem(link, _UNREADABLE, side=side)
        return None
    for one in fields:
        if one.field not in as_left and (created or not _likeness(ctx, side, one.field, one.before, record)):
            problem = _CHANGED if one.field in record.fields else _UNREADABLE
            ctx.tally.add_problem(link, attrs.evolve(problem, path=one.field), side=side)
    if not as_left or (created and len(as_left) < len(change.fields)):
        return None
    if created:
        operation = Operation(op_id, OperationKind.DELETE, record.id)
        # Its counterpart stays alone.
        return _Step(change, link, tombstone(link, {side}), record, operation)
    operation = Operation(op_id, OperationKind.UPDATE, record.id, fields=as_left, held=record.fields)
    return _Step(change, link, shifted(ctx, link, side, as_left), record, operation)


def _kept(change: RecordChange) -> tuple[FieldChange, ...]:
    """The fields of which it is known what they held before."""
    return tuple(one for one in change.fields if not is_masked(one.before))


def _is_as_left(ctx: RunContext, side: Side, one: FieldChange, record: Record) -> bool:
    """Whether a field is as the run left it, and not rather as it was before, which may resemble that."""
    after = _likeness(ctx, side, one.field, one.after, record)
    return after is not _Likeness.NONE and after >= _likeness(ctx, side, one.field, one.before, record)


def _likeness(ctx: RunContext, side: Side, name: str, kept: object, record: Record) -> _Likeness:
    """Whether a field holds what the history has of it, before or after the run, or what the side made of that."""
    if name not in record.fields:
        return _Likeness.NONE
    if is_masked(kept):
        assert isinstance(kept, dict)
        normal = ctx.sensitive(side).get(name)
        same = normal is not None and ctx.digest_of(normal, record.fields[name]) == kept["value"]
        return _Likeness.SAME if same else _Likeness.NONE
    held, left = record.fields[name], untagged(kept)
    for rule in ctx.rule.rules:
        if name == (rule.local if side is Side.LOCAL else rule.remote):
            normal = rule.normal_local if side is Side.LOCAL else rule.normal_remote
            held, left = normal(held), normal(left)
    if held == left:
        return _Likeness.SAME
    # A CRM that does not answer what it stored: the run knew only what it sent.
    ours = side is Side.REMOTE and record.modified_by_self
    return _Likeness.IMAGE if ours and is_lossy_image(left, held) else _Likeness.NONE


def _plan(ctx: RunContext, side: Side, steps: Sequence[_Step]) -> None:
    for step in steps:
        change, op = step.change, step.operation
        lost = tuple(op.fields) if op.kind is OperationKind.UPDATE else ()
        planned = PlannedWrite(side, op.kind, ctx.shown(side, op.fields), lost)
        ctx.planned.append(PlannedRecord(change.markmail_id, change.crm_id, (planned,), op.op_id))
        ctx.tally.sides[side].count_outcome(Outcome(op.op_id, _DONE[op.kind]))


async def _carry_out(ctx: RunContext, side: Side, steps: Sequence[_Step]) -> None:
    await announce(ctx, JournalPurpose.UNDO, [(step.operation, _change(ctx, step, None)) for step in steps])
    await ctx.acknowledge(Acknowledgement(links=tuple(step.link for step in steps if step.link is not None)))
    outcomes = await write(ctx, side, [step.operation for step in steps])
    links, forgotten, changes = [], [], []
    for step in steps:
        outcome = outcomes[step.operation.op_id]
        ctx.tally.sides[side].count_outcome(outcome)
        for problem in _problems(outcome):
            ctx.tally.add_problem(step.old_link, problem, side=side)
        if outcome.ok and ctx.mapping.history_days:
            changes.append(_change(ctx, step, outcome))
        if outcome.ok and step.link is None:
            forgotten.append(step.change.markmail_id)
        elif step.link is not None and (link := _as_it_came(ctx, step, step.link, outcome)) != step.link:
            links.append(link)
    done = tuple(step.operation.op_id for step in steps)
    await ctx.acknowledge(
        Acknowledgement(tuple(links), removed_links=tuple(forgotten), done=done, changes=tuple(changes))
    )


def _as_it_came(ctx: RunContext, step: _Step, link: Link, outcome: Outcome) -> Link:
    """The link after the write: as it was, where the side did not do it."""
    if outcome.status is OutcomeStatus.FAILED or (not outcome.ok and step.operation.kind is OperationKind.UPDATE):
        return step.old_link
    held = step.record.fields if step.record is not None else {}
    left = {name: held[name] for error in outcome.unwritten if (name := error.field) and name in held}
    return shifted(ctx, link, step.change.side, left) if left else link


def _problems(outcome: Outcome) -> Iterator[Problem]:
    """What a side did not take back."""
    if not outcome.ok:
        yield Problem("", "undo_failed", outcome.error.message if outcome.error else _GONE.message)
    for error in outcome.unwritten:
        yield Problem(error.field or "", "undo_failed", error.message, "change it by hand")


def _change(ctx: RunContext, step: _Step, outcome: Outcome | None) -> RecordChange:
    """The undoing as the history has it; without an outcome, as it is to be."""
    fields = step.record.fields if step.record is not None else step.operation.fields
    causes = dict.fromkeys((*fields, *step.operation.fields), "undo")
    return noted(ctx, step.old_link, (step.change.side, step.operation, outcome), step.record, causes)


def _link_of(ctx: RunContext, change: RecordChange) -> Link:
    return ctx.new_link(change.markmail_id, change.crm_id, change.side)
