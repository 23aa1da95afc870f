"""Deletes: counted against the guard before any is carried out, decided by policy, remembered as tombstones."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

import attrs

from crmsync.diff import DeleteAction, decide_delete, delete_limit
from crmsync.engine.batch import Gate, fingerprint
from crmsync.engine.conflicts import parting
from crmsync.engine.context import ASIDE, LIVE, RunContext, id_of, shadow_of
from crmsync.engine.history import noted
from crmsync.engine.keyindex import KeySet
from crmsync.engine.settling import stale_link
from crmsync.engine.tombstones import tombstone
from crmsync.engine.work import Work
from crmsync.engine.writing import announce, write
from crmsync.errors import DeleteGuardError, RecordError
from crmsync.models.history import RecordChange
from crmsync.models.mappings import DeletePolicy
from crmsync.models.plans import PlannedRecord, PlannedWrite
from crmsync.models.problems import Problem
from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus, Record, Side
from crmsync.models.state import Acknowledgement, Conflict, ConflictStatus, JournalPurpose, Link, LinkStatus

_SCAN = 1000


@attrs.define(slots=True)
class DeleteQueue:
    """Pairs of which a side is gone, until the end of the pass, when all of them are known and can be counted."""

    pairs: dict[str, tuple[Link, set[Side]]] = attrs.field(factory=dict)

    def add(self, link: Link, side: Side) -> None:
        """Note that one side's record of this pair is gone."""
        self.pairs.setdefault(link.markmail_id, (link, set()))[1].add(side)

    def remote_ids(self) -> list[str]:
        """The CRM's ids of the pairs of which that side is gone."""
        return [link.crm_id for link, gone in self.pairs.values() if Side.REMOTE in gone and link.crm_id]

    def forget(self, remote_ids: Collection[str]) -> None:
        """Take back pairs by their CRM's ids."""
        self.pairs = {key: pair for key, pair in self.pairs.items() if pair[0].crm_id not in remote_ids}

    def __bool__(self) -> bool:
        return bool(self.pairs)


async def queue_deleted(ctx: RunContext, side: Side, deleted: Sequence[Record], queue: DeleteQueue) -> None:
    """Sort the tombstones of a page: known pairs are queued, placeholders dropped, the rest was never ours."""
    links = await ctx.links(side, [record.id for record in deleted])
    placeholders = []
    for record in deleted:
        link = links.get(record.id)
        if link is None:
            continue
        known_gone = link.markmail_id == ctx.gone_id(record.id)
        if shadow_of(link, side):
            if not ctx.left_waiting(link):
                queue.add(link, side)
        elif known_gone or (link.status not in ASIDE and not shadow_of(link, side.other)):
            placeholders.append(link.markmail_id)
    if placeholders:
        await ctx.acknowledge(Acknowledgement(removed_links=tuple(placeholders)))


async def queue_absent(ctx: RunContext, side: Side, seen: KeySet, queue: DeleteQueue) -> None:
    """After a verified full scan: queue the pairs whose record was not in it, and is not there when asked for."""
    after = ""
    while links := await ctx.repository.scan_links(
        ctx.integration_id, ctx.entity_type, statuses=LIVE, after=after, limit=_SCAN
    ):
        after = links[-1].markmail_id
        absent = {
            found: link
            for link in ctx.still_live(links)
            if shadow_of(link, side) and (found := id_of(link, side)) is not None and found not in seen
            if not ctx.left_waiting(link)
        }
        present = await ctx.store(side).get(list(absent), fields=ctx.fields(side))
        for record_id, link in absent.items():
            if record_id not in present:
                queue.add(link, side)


@attrs.define(slots=True, eq=False)
class _Farewell:
    """One pair on its way to a tombstone."""

    link: Link
    gone: set[Side]
    survivor: Record | None
    action: DeleteAction
    operation: Operation | None = None
    outcome: Outcome | None = None

    @property
    def survivor_side(self) -> Side:
        return Side.REMOTE if Side.LOCAL in self.gone else Side.LOCAL


async def carry_out_deletes(ctx: RunContext, queue: DeleteQueue, *, gate: Gate | None = None) -> None:
    """Decide and carry out all queued deletes.

    :raises DeleteGuardError: there are more than the guard allows; none of this pass's is carried out.
    """
    farewells = await _decided(ctx, queue)
    deletes = [f for f in farewells if f.action is DeleteAction.DELETE]
    ctx.deletes_planned += len(deletes)
    guard_deletes(ctx, len(deletes))
    if ctx.dry_run:
        for farewell in farewells:
            _plan(ctx, farewell)
        await ctx.acknowledge(Acknowledgement(links=tuple(_farewell_link(ctx, f) for f in farewells)))
        return
    stale = [f for f in farewells if gate is not None and f.operation is not None and not gate(*_as_work(ctx, f))]
    for farewell in stale:
        farewell.operation = None
    if ctx.mapping.history_days:
        await _announce(ctx, farewells)
    for side in Side:
        batch = {f.operation.op_id: f for f in farewells if f.operation is not None and f.survivor_side is side}
        outcomes = await write(ctx, side, [f.operation for f in batch.values() if f.operation is not None])
        for op_id, outcome in outcomes.items():
            batch[op_id].outcome = outcome
            ctx.tally.sides[side].count_outcome(outcome)
    links = [stale_link(f.link) if f in stale else _farewell_link(ctx, f) for f in farewells]
    spared = [_spared(ctx, f) for f in farewells if f.action is DeleteAction.SPARE]
    parted = [f.link for f, link in zip(farewells, links, strict=True) if link.status not in LIVE]
    await ctx.acknowledge(await parting(ctx, parted))
    for start in range(0, len(links), _SCAN):
        part = slice(start, start + _SCAN)
        changes = tuple(change for f in farewells[part] if (change := _noted(ctx, f)) is not None)
        done = tuple(f.operation.op_id for f in farewells[part] if f.operation is not None)
        await ctx.acknowledge(Acknowledgement(links=tuple(links[part]), done=done, changes=changes))
    if spared:
        await ctx.acknowledge(Acknowledgement(conflicts=tuple(spared)))


async def _announce(ctx: RunContext, farewells: Sequence[_Farewell]) -> None:
    """Journal them for the history; without one, a delete that is repeated finds nothing to delete."""
    for start in range(0, len(farewells), _SCAN):
        part = farewells[start : start + _SCAN]
        writes = [(f.operation, _change(ctx, f, f.operation)) for f in part if f.operation is not None]
        await announce(ctx, JournalPurpose.FAREWELL, writes)


async def _decided(ctx: RunContext, queue: DeleteQueue) -> list[_Farewell]:
    survivors: dict[Side, dict[str, Record]] = {}
    for side in Side:
        ids = [
            found
            for link, gone in queue.pairs.values()
            if side not in gone and shadow_of(link, side) and (found := id_of(link, side))
        ]
        survivors[side] = dict(await ctx.store(side).get(ids, fields=_fields(ctx, side)))
    farewells = []
    for link, gone in queue.pairs.values():
        deleted = next(side for side in Side if side in gone)
        survivor = None if len(gone) > 1 else survivors[deleted.other].get(id_of(link, deleted.other) or "")
        policy = ctx.mapping.delete_in_crm if deleted is Side.LOCAL else ctx.mapping.delete_in_local
        shadow = shadow_of(link, deleted.other)
        action = decide_delete(ctx.merger, policy, deleted, survivor, shadow).action
        farewell = _Farewell(link, gone if survivor is not None else set(Side), survivor, action)
        if survivor is not None:
            farewell.operation = _operation(ctx, action, deleted.other, survivor)
        farewells.append(farewell)
    return farewells


def _operation(ctx: RunContext, action: DeleteAction, side: Side, survivor: Record) -> Operation | None:
    if action is DeleteAction.DELETE:
        return Operation(uuid.uuid4().hex, OperationKind.DELETE, survivor.id)
    if action is DeleteAction.ARCHIVE:
        fields = {_archive_field(ctx, side): True}
        return Operation(uuid.uuid4().hex, OperationKind.UPDATE, survivor.id, fields=fields)
    return None


def _archive_field(ctx: RunContext, side: Side) -> str:
    return ctx.mapping.local_archive_field if side is Side.LOCAL else ctx.mapping.remote_archive_field


def _fields(ctx: RunContext, side: Side) -> tuple[str, ...]:
    """What to ask a survivor for: also what the history is to say stood where it is to be archived."""
    policy = ctx.mapping.delete_in_local if side is Side.LOCAL else ctx.mapping.delete_in_crm
    archived = policy is DeletePolicy.ARCHIVE and ctx.mapping.history_days
    return tuple(dict.fromkeys((*ctx.fields(side), *([_archive_field(ctx, side)] if archived else ()))))


def guard_deletes(ctx: RunContext, deletes: int) -> None:
    """Stop the run if ``ctx.deletes_planned``, ``deletes`` of them new, is more than the guard allows.

    :raises DeleteGuardError: it is, and this is no dry run.
    """
    if not deletes or ctx.approved:
        return
    limit = ctx.options.allow_deletes
    if limit is None:
        limit = delete_limit(ctx.live_links, count=ctx.mapping.delete_guard_count, share=ctx.mapping.delete_guard_share)
    if ctx.deletes_planned > limit:
        ctx.stop(DeleteGuardError(ctx.deletes_planned, limit))


def _farewell_link(ctx: RunContext, farewell: _Farewell) -> Link:
    """The link of a pair of which one side's record is gone, or both; or as it waits, where its delete failed."""
    link, outcome = farewell.link, farewell.outcome
    if outcome is not None and outcome.status is OutcomeStatus.FAILED:
        error = outcome.error
        code = error.code if isinstance(error, RecordError) else "unavailable"
        problem = Problem(
            "", code, error.message if error else "the delete failed", "it is tried again in the next run"
        )
        ctx.tally.add_problem(link, problem, side=farewell.survivor_side)
        ctx.tally.waiting += 1
        ctx.tried.add(link.markmail_id)
        return attrs.evolve(
            link,
            status=LinkStatus.REJECTED,
            problems=(problem,),
            attempts=link.attempts + 1,
            failing_since=link.failing_since or ctx.clock.now(),
        )
    gone = set(Side) if farewell.action is DeleteAction.DELETE else farewell.gone
    if farewell.action is not DeleteAction.UNLINK:
        link = tombstone(link, gone)
    else:
        link = attrs.evolve(
            link,
            status=LinkStatus.UNLINKED,
            local_shadow=b"" if Side.LOCAL in gone else link.local_shadow,
            remote_shadow=b"" if Side.REMOTE in gone else link.remote_shadow,
        )
    return attrs.evolve(
        link,
        problems=(),
        candidates=(),
        attempts=0,
        failing_since=None,
    )


def _noted(ctx: RunContext, farewell: _Farewell) -> RecordChange | None:
    """What the history keeps of it, if the mapping keeps one."""
    operation, outcome = farewell.operation, farewell.outcome
    if not ctx.mapping.history_days or operation is None or outcome is None or not outcome.ok:
        return None
    return _change(ctx, farewell, operation)


def _change(ctx: RunContext, farewell: _Farewell, operation: Operation) -> RecordChange:
    cause = "archived" if operation.kind is OperationKind.UPDATE else "deleted"
    causes = dict.fromkeys((*_fields(ctx, farewell.survivor_side), *operation.fields), cause)
    write = (farewell.survivor_side, operation, farewell.outcome)
    return noted(ctx, farewell.link, write, farewell.survivor, causes)


def _spared(ctx: RunContext, farewell: _Farewell) -> Conflict:
    now, side = ctx.clock.now(), farewell.survivor_side
    ctx.tally.sides[side.other].conflicts += 1
    link = farewell.link
    return Conflict(
        uuid.uuid4().hex,
        link.integration_id,
        link.entity_type,
        link.markmail_id,
        link.crm_id,
        "",
        "",
        "edit_beats_delete",
        ConflictStatus.RESOLVED,
        winner=side,
        run_id=ctx.run_id,
        created_at=now,
        resolved_at=now,
    )


def _as_work(ctx: RunContext, farewell: _Farewell) -> tuple[Work, str]:
    work = Work(farewell.link, None, None)
    if farewell.operation is not None:
        work.operations[farewell.survivor_side] = farewell.operation
    return work, fingerprint(ctx, work)


def _plan(ctx: RunContext, farewell: _Farewell) -> None:
    work, digest = _as_work(ctx, farewell)
    op = farewell.operation
    writes = (PlannedWrite(farewell.survivor_side, op.kind, op.fields),) if op else ()
    ctx.planned.append(PlannedRecord(work.link.markmail_id, work.link.crm_id, writes, digest))
    if op is not None:
        # Who only stays alone may meet another one in this run.
        ctx.planned_ids.add(work.link.markmail_id)
        status = OutcomeStatus.UPDATED
        if op.kind is OperationKind.DELETE:
            status = OutcomeStatus.DELETED
            ctx.going.add((farewell.survivor_side, op.id or ""))
        ctx.tally.sides[farewell.survivor_side].count_outcome(Outcome(op.op_id, status))
