"""Carry a batch of work out: merge, journal, write both sides, and acknowledge in one transaction with the shadows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs
from anyio.lowlevel import checkpoint

from crmsync.diff import Merge, SideResult, merge_new, operation, overwrites, settle, sync_hash
from crmsync.diff.digests import canonical
from crmsync.diff.settle import DONE
from crmsync.engine.conflicts import conflicts_of, verdicts_on
from crmsync.engine.consents import note_consents
from crmsync.engine.context import RunContext
from crmsync.engine.examining import examine
from crmsync.engine.history import written
from crmsync.engine.last_words import ask_of, impose, remember_heard, to_be_asked, unwritten_words, waiting_words
from crmsync.engine.oscillation import history_after, tame
from crmsync.engine.overwrites import guard_overwrites
from crmsync.engine.work import Work
from crmsync.engine.writing import batched, entries_of, journal, send
from crmsync.errors import ConflictError, CRMError, DuplicateError, RecordError
from crmsync.models.events import PageAcknowledged, RecordRejected
from crmsync.models.immutable import evolved
from crmsync.models.plans import PlannedRecord, PlannedWrite
from crmsync.models.problems import Problem
from crmsync.models.records import SIDES, Outcome, OutcomeStatus, Side
from crmsync.models.state import Acknowledgement, Conflict, Cursors, JournalEntry, Link, LinkStatus

Gate = Callable[[Work, str], bool]
"""Whether a record's writes, by their fingerprint, may be carried out; applying a plan lets only what it holds pass."""


BETWEEN_BREATHS = 20
"""Records that are computed on before the answers to calls that are on their way are looked after."""


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


@attrs.define(slots=True)
class BatchResult:
    """What is left to the caller: pairs whose record was found gone while writing."""

    gone: list[tuple[Link, Side]] = attrs.field(factory=list)


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
        links=tuple(work.link for work in works), removed_links=tuple(each for work in works for each in work.replaces)
    )
    for foresight in ctx.foresights:
        foresight.note_acknowledged(touched)


async def acknowledge(ctx: RunContext, batch: Batch, cursors: Cursors | None = None) -> BatchResult:
    """Store what became of a batch that was written, and ``cursors`` with it; nothing in a dry run."""
    result = BatchResult()
    if ctx.dry_run:
        return result
    works, stale = batch.works, batch.stale
    acknowledgement = await _acknowledgement(ctx, works, stale, result, Acknowledgement(cursors=cursors))
    await note_consents(ctx, works)
    await ctx.acknowledge(acknowledgement)
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
    # Nothing is wrong with a link that is tried again: a crash cut its making short.
    cut_short = work.link.status is LinkStatus.REJECTED and not work.link.problems
    if work.remote is None or ((work.fresh or cut_short) and work.remote.key != work.link.markmail_id):
        return work.link.markmail_id
    return None


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
    _count(ctx, work)
    for side, op in work.operations.items():
        existing = work.record(side)
        status = OutcomeStatus.UPDATED if existing else OutcomeStatus.CREATED
        ctx.tally.sides[side].count_outcome(Outcome(op.op_id, status))
    for problem in (*((work.quarantine,) if work.quarantine else ()), *(work.merge.problems if work.merge else ())):
        ctx.tally.add_problem(work.link, problem)


def _lost(work: Work, side: Side) -> tuple[str, ...]:
    rules = overwrites(work.merge, side) if work.merge is not None else ()
    return tuple(rule.local if side is Side.LOCAL else rule.remote for rule in rules)


def _count(ctx: RunContext, work: Work) -> None:
    """Count what needed nothing, and the values that lost."""
    for note in work.merge.conflicts if work.merge else ():
        for loser in [note.winner.other] if note.winner else SIDES:
            ctx.tally.sides[loser].conflicts += 1
    if work.operations or work.quarantine is not None:
        return
    for side in SIDES:
        if work.record(side) is not None:
            ctx.tally.sides[side].unchanged += 1


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
            ctx.tally.add_problem(work.link, _STALE)
    return stale


_STALE = Problem("", "stale", "the record changed after the plan was made", "the next run decides anew")


def stale_link(link: Link) -> Link:
    """The link of a record that a plan no longer fits: the next run looks at it, although its cursor has passed."""
    return attrs.evolve(link, status=LinkStatus.REJECTED, problems=(_STALE,))


def _waiting_link(ctx: RunContext, work: Work) -> Link:
    """The link of a work that a plan no longer fits: what was to be carried over in it waits."""
    words = unwritten_words(work, *(_result(ctx, work, side) for side in SIDES))
    link = stale_link(work.link)
    return attrs.evolve(link, problems=(*link.problems, *words))


async def _acknowledgement(
    ctx: RunContext, works: Sequence[Work], stale: set[str], result: BatchResult, base: Acknowledgement
) -> Acknowledgement:
    links: list[Link] = []
    removed: list[str] = []
    conflicts: list[Conflict] = []
    resolved: list[str] = []
    for number, work in enumerate(works):
        if number % BETWEEN_BREATHS == 0:
            await checkpoint()
        if work.link.markmail_id in stale:
            link = _waiting_link(ctx, work)
        else:
            _count(ctx, work)
            results = {side: _result(ctx, work, side) for side in SIDES}
            link = _settled_link(ctx, work, results)
            found, settled = conflicts_of(ctx, work, link, results)
            conflicts += found
            resolved += settled
        ctx.tally.waiting += link.status is not LinkStatus.SYNCED
        removed += work.replaces
        if work.fresh or link != work.link:
            links.append(link)
        result.gone += [(link, side) for side, o in work.outcomes.items() if o.status is OutcomeStatus.MISSING]
    done = [op.op_id for work in works for op in work.operations.values()]
    return attrs.evolve(
        base,
        links=tuple(links),
        removed_links=tuple(removed),
        conflicts=tuple(conflicts),
        resolved_conflicts=tuple(resolved),
        done=tuple(done),
        changes=written(ctx, works),
    )


def _settled_link(ctx: RunContext, work: Work, results: Mapping[Side, SideResult]) -> Link:
    """The link as it is after the writes: shadows, versions, status and what is still wrong."""
    link = work.link
    if work.quarantine is not None or work.merge is None:
        return _quarantined(ctx, work, work.quarantine or _STALE)
    if work.remote is None and _is_there(work, Side.REMOTE):
        link = evolved(link, crm_id=work.outcomes[Side.REMOTE].id)
    problems, candidates = _problems(ctx, work, work.merge, link, results)
    local, remote = link.local_shadow, link.remote_shadow
    if _is_there(work, Side.LOCAL) and _is_there(work, Side.REMOTE):
        local, remote = settle(ctx.merger, work.merge, (local, remote), results[Side.LOCAL], results[Side.REMOTE])
    status = LinkStatus.SYNCED
    if work.merge.parked:
        status = LinkStatus.CONFLICT
    if problems:
        status = LinkStatus.REJECTED
    return evolved(
        link,
        status=status,
        local_shadow=local,
        remote_shadow=remote,
        local_version=_version(work, Side.LOCAL),
        remote_version=_version(work, Side.REMOTE),
        last_sync_hash=_lone_hash(ctx, work) if not (local or remote) else sync_hash(local, remote),
        mapping_version=ctx.rule.version,
        problems=tuple(problems),
        attempts=link.attempts + 1 if problems else 0,
        failing_since=(link.failing_since or ctx.clock.now()) if problems else None,
        candidates=candidates if problems else (),
        flips=history_after(ctx, work, results),
    )


def _quarantined(ctx: RunContext, work: Work, problem: Problem) -> Link:
    link = work.link
    _report(ctx, link, problem, None)
    return attrs.evolve(
        link,
        status=LinkStatus.QUARANTINED,
        problems=(problem, *waiting_words(link)),
        attempts=link.attempts + 1,
        failing_since=link.failing_since or ctx.clock.now(),
        last_sync_hash=_lone_hash(ctx, work) or link.last_sync_hash,
    )


def _is_there(work: Work, side: Side) -> bool:
    """Whether a side has the record, or has it now."""
    if work.record(side) is not None:
        return True
    outcome = work.outcomes.get(side)
    return outcome is not None and outcome.ok


def _problems(
    ctx: RunContext, work: Work, merge: Merge, link: Link, results: Mapping[Side, SideResult]
) -> tuple[list[Problem], tuple[str, ...]]:
    """Report what is still wrong: the problems, and the candidates that the last of them names."""
    problems = list(merge.problems)
    for problem in problems:
        _report(ctx, link, problem, None)
    for problem in merge.accepted_losses:
        ctx.tally.add_problem(link, problem)
    for side, outcome in work.outcomes.items():
        errors = [(outcome.error, _problem_of(outcome))] if outcome.error is not None else []
        errors += [(error, _problem_of_record(error)) for error in outcome.unwritten]
        for error, problem in errors:
            problems.append(problem)
            link = attrs.evolve(link, candidates=_candidates(error) or link.candidates)
            _report(ctx, link, problem, side)
    for problem in unwritten_words(work, results[Side.LOCAL], results[Side.REMOTE]):
        problems.append(problem)
        _report(ctx, link, problem, None)
    return problems, link.candidates


def _lone_hash(ctx: RunContext, work: Work) -> str:
    """What the only record's own side holds; empty for a pair."""
    records = [(side, record) for side in SIDES if (record := work.record(side)) is not None]
    return ctx.merger.lone_hash(*records[0]) if len(records) == 1 else ""


def _report(ctx: RunContext, link: Link, problem: Problem, side: Side | None) -> None:
    ctx.tally.add_problem(link, problem, side=side)
    ctx.notify(RecordRejected(ctx.run_id, link.markmail_id, link.crm_id, problem))


def _result(ctx: RunContext, work: Work, side: Side) -> SideResult:
    if side not in work.operations:
        dropped = work.merge is not None and work.merge.writes(side)
        return _DROPPED if dropped else DONE
    outcome = work.outcomes[side]
    unwritten = frozenset(error.field for error in outcome.unwritten if error.field) if outcome.unwritten else _ALL
    # Two fields of one name have no digest in common.
    digests = work.digests.get(side, ()) if ctx.merger.readings.side(side).plain else ()
    return SideResult(outcome.ok, outcome.stored, unwritten, *digests)


_DROPPED: Final = SideResult(ok=False)
_ALL: Final = frozenset[str]()


def _version(work: Work, side: Side) -> str | None:
    outcome, record = work.outcomes.get(side), work.record(side)
    if outcome is not None and outcome.ok:
        return outcome.stored.version if outcome.stored else None
    return record.version if record else None


def _problem_of(outcome: Outcome) -> Problem:
    error = outcome.error
    if isinstance(error, RecordError):
        return _problem_of_record(error)
    message = error.message if error else "the record could not be written"
    return Problem("", "unavailable", message, "it is tried again in the next run")


def _problem_of_record(error: RecordError) -> Problem:
    return Problem(error.field or "", error.code, error.message, "mend the record on the side that holds the value")


def _candidates(error: CRMError) -> tuple[str, ...]:
    if isinstance(error, ConflictError):
        return error.candidates
    if isinstance(error, DuplicateError) and error.existing_id:
        return (error.existing_id,)
    return ()
