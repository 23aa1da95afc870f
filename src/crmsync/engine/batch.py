"""Carry a batch of work out: merge, journal, write both sides, and acknowledge in one transaction with the shadows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence

import attrs
from anyio.lowlevel import checkpoint

from crmsync.diff import merge_new, operation, overwrites
from crmsync.diff.digests import canonical
from crmsync.engine.conflicts import verdicts_on
from crmsync.engine.consents import note_consents
from crmsync.engine.context import RunContext
from crmsync.engine.examining import examine
from crmsync.engine.last_words import ask_of, impose, remember_heard, to_be_asked
from crmsync.engine.oscillation import tame
from crmsync.engine.overwrites import guard_overwrites
from crmsync.engine.rekeying import is_by_hand
from crmsync.engine.settling import STALE, BatchResult, acknowledgement_of, count
from crmsync.engine.tasks import BETWEEN_BREATHS
from crmsync.engine.work import Work
from crmsync.engine.writing import batched, entries_of, journal, send
from crmsync.models.events import PageAcknowledged
from crmsync.models.plans import PlannedRecord, PlannedWrite
from crmsync.models.records import SIDES, Operation, OperationKind, Outcome, OutcomeStatus, Side
from crmsync.models.state import Acknowledgement, Cursors, JournalEntry, LinkStatus

Gate = Callable[[Work, str], bool]
"""Whether a record's writes, by their fingerprint, may be carried out; applying a plan lets only what it holds pass."""


@attrs.define(slots=True, eq=False)
class Batch:
    """Work that was decided, on its way to be written and acknowledged together.

    ``side`` is the one that it was read from. ``stale`` are the markmail_ids of those that a plan does not hold.
    ``entries`` are what is journaled before it is written; None until that was put down.
    """

    side: Side
    works: list[Work]
    stale: set[str] = attrs.field(factory=set)
    entries: list[JournalEntry] | None = None

    def written(self) -> set[str]:
        """The ids of the side's records that were there and that a write is sent to."""
        side = self.side
        return {record.id for work in self.works if side in work.operations and (record := work.record(side))}


async def carry_out(
    ctx: RunContext, works: Sequence[Work], *, side: Side, cursors: Cursors | None = None, gate: Gate | None = None
) -> BatchResult:
    """Decide, write and acknowledge. ``cursors`` are stored in the same transaction as the batch's results.

    :raises OverwriteGuardError: too much would be overwritten; nothing of this batch was written.
    """
    batch = await decide(ctx, works, side, gate)
    await write_out(ctx, batch)
    return await acknowledge(ctx, batch, cursors)


async def decide(ctx: RunContext, works: Sequence[Work], side: Side, gate: Gate | None = None) -> Batch:
    """What is to be written."""
    works = _wanted(ctx, works)
    if gate is None and ctx.asks_of_merges:
        await ask_of(ctx, [work for work in works if work.fresh])
    await _decide_all(ctx, works)
    return Batch(side, works, await _hold_back(ctx, works, gate) if gate else set())


async def decide_ahead(ctx: RunContext, works: Sequence[Work], side: Side) -> Batch | None:
    """`decide` as it would while nothing is known of what merged records said; None if the CRM had to be asked."""
    if ctx.heard or (ctx.asks_of_merges and to_be_asked(ctx, [work for work in works if work.fresh])):
        return None
    works = _wanted(ctx, works)
    await _decide_all(ctx, works)
    batch = Batch(side, works)
    await _prepare(ctx, batch)
    return batch


async def write_out(ctx: RunContext, batch: Batch) -> None:
    """Journal and write a batch; in a dry run, plan it.

    :raises OverwriteGuardError: too much would be overwritten; nothing of this batch was written.
    """
    works = batch.works
    guard_overwrites(ctx, works)
    if ctx.dry_run:
        for work in works:
            plan_record(ctx, work)
        return
    if batch.entries is None:
        await _prepare(ctx, batch)
    await journal(ctx, batch.entries or ())
    await send(ctx, Side.LOCAL, works)
    for work in works:
        _follow_local(work)
    await send(ctx, Side.REMOTE, works)
    # Whoever plans ahead need not wait for the acknowledgement to know which links it is about.
    touched = Acknowledgement(
        links=tuple(link for work in works for link in (work.link, *work.left)),
        removed_links=tuple(each for work in works for each in work.replaces),
    )
    for foresight in ctx.foresights:
        foresight.note_acknowledged(touched)


async def acknowledge(ctx: RunContext, batch: Batch, cursors: Cursors | None = None) -> BatchResult:
    """Store what became of a batch that was written, and ``cursors`` with it; nothing in a dry run."""
    result = BatchResult()
    if ctx.dry_run:
        return result
    works = batch.works
    acknowledgement = await acknowledgement_of(ctx, works, batch.stale, result)
    await note_consents(ctx, works)
    await ctx.acknowledge(attrs.evolve(acknowledgement, cursors=cursors))
    await remember_heard(ctx, works)
    for foresight in ctx.foresights:
        foresight.note_links(work.link for work in works)
    ctx.notify(PageAcknowledged(ctx.run_id, batch.side, len(works)))
    return result


async def _decide_all(ctx: RunContext, works: Iterable[Work]) -> None:
    for some in batched(works, BETWEEN_BREATHS):
        for work in some:
            _decide(ctx, work)
        await checkpoint()


async def _prepare(ctx: RunContext, batch: Batch) -> None:
    """Put down what is to be journaled."""
    batch.entries = []
    for some in batched(batch.works, BETWEEN_BREATHS):
        batch.entries += entries_of(ctx, some)
        await checkpoint()


def _wanted(ctx: RunContext, works: Sequence[Work]) -> list[Work]:
    """Leave out what the mapping does not create on the other side, and what a dry run has planned already."""
    kept = []
    for work in works:
        allowed = ctx.mapping.create_in_crm if work.remote is None else ctx.mapping.create_in_local
        if (work.local is None or work.remote is None) and not allowed and work.quarantine is None:
            ctx.tally.sides[Side.LOCAL if work.remote is None else Side.REMOTE].unchanged += 1
        elif not (ctx.dry_run and work.link.markmail_id in ctx.planned_ids):
            kept.append(work)
    return kept


def _decide(ctx: RunContext, work: Work) -> None:
    """Fill in the merge and the operations of one record."""
    if work.quarantine is not None:
        return
    if work.local is not None and work.remote is not None:
        shadows = (work.link.local_shadow, work.link.remote_shadow)
        work.merge = ctx.merger.merge(work.local, work.remote, *shadows, verdicts_on(ctx, work))
        tame(ctx, work)
    elif work.local is not None:
        work.merge = merge_new(ctx.merger, Side.LOCAL, work.local)
    elif work.remote is not None:
        work.merge = merge_new(ctx.merger, Side.REMOTE, work.remote)
    if work.merge is None:
        return
    impose(ctx, work)
    examine(ctx, work)
    for side in SIDES:
        new_id = work.link.markmail_id if side is Side.LOCAL else None
        key = _key_to_write(ctx, work) if side is Side.REMOTE else None
        op = operation(side, work.merge, op_id=os.urandom(16).hex(), record_id=new_id, key=key)
        if op is not None:
            work.operations[side] = op


def _key_to_write(ctx: RunContext, work: Work) -> str | None:
    """The external key, where the remote record does not carry it yet."""
    if not ctx.remote.limits.external_key:
        return None
    # Nothing is wrong with a link that is tried again: a crash cut its making short, as it may that of one by hand.
    cut_short = work.link.status is LinkStatus.REJECTED and (not work.link.problems or is_by_hand(work.link))
    if work.remote is None or ((work.fresh or cut_short) and work.remote.key != work.link.markmail_id):
        return work.link.markmail_id
    # What was refused may have been the write that was to bring it.
    lacks = ctx.gives_keys or work.link.status in (LinkStatus.REJECTED, LinkStatus.IGNORED)
    return work.link.markmail_id if lacks and work.remote.key is None else None


def _follow_local(work: Work) -> None:
    """After the local side answered: adopt the id that it chose; where it failed, leave the remote side alone."""
    outcome = work.outcomes.get(Side.LOCAL)
    if outcome is None or work.local is not None:
        return
    if not outcome.ok:
        work.operations.pop(Side.REMOTE, None)
    elif outcome.id is not None and outcome.id != work.link.markmail_id:
        work.replaces = (*work.replaces, work.link.markmail_id)
        work.link = attrs.evolve(work.link, markmail_id=outcome.id)
        remote = work.operations.get(Side.REMOTE)
        if remote is not None and remote.key is not None:
            work.operations[Side.REMOTE] = attrs.evolve(remote, key=outcome.id)


def fingerprint(ctx: RunContext, work: Work) -> str:
    """What identifies a record's planned writes. Keyed, so that nobody can find the values by trying them."""
    writes = {
        str(side): (str(op.kind), op.id, op.key, {name: canonical(value) for name, value in op.fields.items()})
        for side, op in work.operations.items()
    }
    ids = (work.link.markmail_id, work.link.crm_id, work.quarantine.code if work.quarantine else "")
    key = ctx.merger.digester.key
    return hashlib.blake2b(canonical((ids, writes)), digest_size=32, key=key).hexdigest()


def plan_record(ctx: RunContext, work: Work) -> None:
    """Note in a dry run what would be written, and count it as if it had been."""
    ctx.planned_ids.add(work.link.markmail_id)
    writes = tuple(
        PlannedWrite(side, op.kind, ctx.shown(side, op.fields), _lost(work, side))
        for side, op in work.operations.items()
    )
    linked = bool(work.link.local_shadow and work.link.remote_shadow)
    ctx.planned.append(PlannedRecord(work.link.markmail_id, work.link.crm_id, writes, fingerprint(ctx, work), linked))
    count(ctx, work)
    for side, op in work.operations.items():
        existing = work.record(side)
        status = OutcomeStatus.UPDATED if existing else OutcomeStatus.CREATED
        ctx.tally.sides[side].count_outcome(Outcome(op.op_id, status))
        _readdress(ctx, side, op)
    for problem in (*((work.quarantine,) if work.quarantine else ()), *(work.merge.problems if work.merge else ())):
        ctx.tally.add_problem(work.link, problem)


def _readdress(ctx: RunContext, side: Side, op: Operation) -> None:
    """Note the e-mail that a planned write gives a record: who meets others by it meets them as they are then."""
    match = ctx.rule.match
    name = match.local_email if side is Side.LOCAL else match.remote_email
    if op.kind is OperationKind.UPDATE and op.id is not None and name in op.fields:
        ctx.readdressed[side][op.id] = str(op.fields[name] or "").strip().casefold()


def _lost(work: Work, side: Side) -> tuple[str, ...]:
    rules = overwrites(work.merge, side) if work.merge is not None else ()
    return tuple(rule.local if side is Side.LOCAL else rule.remote for rule in rules)


async def _hold_back(ctx: RunContext, works: Sequence[Work], gate: Gate) -> set[str]:
    """Take back what the plan does not hold: those records changed since it was made.

    But for what was heard then of records that were folded into them, and is asked for again here.
    """
    stale = set()
    for work in await ask_of(ctx, [work for work in works if not gate(work, fingerprint(ctx, work))]):
        work.operations.clear()
        _decide(ctx, work)
    for work in works:
        if not gate(work, fingerprint(ctx, work)):
            work.operations.clear()
            stale.add(work.link.markmail_id)
            if not ctx.approved:
                # After an approved plan the same run decides them anew.
                ctx.tally.add_problem(work.link, STALE)
    return stale
