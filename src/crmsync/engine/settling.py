"""What became of work: the links as they are now, what is still wrong with them, and what is stored of all that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
from anyio.lowlevel import checkpoint

from crmsync.diff import Merge, SideResult, settle, sync_hash
from crmsync.diff.settle import DONE
from crmsync.engine.conflicts import conflicts_of
from crmsync.engine.context import RETRIED, RunContext
from crmsync.engine.history import written
from crmsync.engine.last_words import unwritten_words, waiting_words
from crmsync.engine.oscillation import history_after
from crmsync.engine.rekeying import LINKED_BY_HAND, is_by_hand
from crmsync.engine.tasks import BETWEEN_BREATHS
from crmsync.engine.work import Work
from crmsync.errors import ConflictError, CRMError, DuplicateError, RecordError
from crmsync.models.candidates import Candidate
from crmsync.models.events import RecordRejected
from crmsync.models.immutable import evolved
from crmsync.models.problems import Problem
from crmsync.models.records import SIDES, Outcome, OutcomeStatus, Side
from crmsync.models.state import Acknowledgement, Conflict, Link, LinkStatus

_REMEDIES: Final = {
    "not_found": "see that the record it is about is there; this one is tried again in every run",
    "reference_not_linked": "sync the record that it leads to; this one is tried again in every run",
}

STALE = Problem("", "stale", "the record changed after the plan was made", "the next run decides anew")


@attrs.define(slots=True)
class BatchResult:
    """What is left to the caller: pairs whose record was found gone while writing."""

    gone: list[tuple[Link, Side]] = attrs.field(factory=list)


async def acknowledgement_of(
    ctx: RunContext, works: Sequence[Work], stale: set[str], result: BatchResult
) -> Acknowledgement:
    """What is to be stored of these works; those that a plan no longer fits (``stale``) wait for the next run."""
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
            count(ctx, work)
            results = {side: _result(ctx, work, side) for side in SIDES}
            link = _settled_link(ctx, work, results)
            if link.status in RETRIED:
                ctx.tried.add(link.markmail_id)
            found, settled = conflicts_of(ctx, work, link, results)
            conflicts += found
            resolved += settled
        ctx.tally.waiting += link.status is not LinkStatus.SYNCED
        removed += work.replaces
        if work.fresh or link != work.link:
            links.append(link)
        # After the link that lets their crm_ids go.
        links += work.left
        result.gone += [(link, side) for side, o in work.outcomes.items() if o.status is OutcomeStatus.MISSING]
    done = [op.op_id for work in works for op in work.operations.values()]
    return Acknowledgement(
        links=tuple(links),
        removed_links=tuple(removed),
        conflicts=tuple(conflicts),
        resolved_conflicts=tuple(resolved),
        resolved_at=ctx.clock.now() if resolved else None,
        done=tuple(done),
        changes=written(ctx, works),
    )


def stale_link(link: Link) -> Link:
    """The link of a record that a plan no longer fits: the next run looks at it, although its cursor has passed."""
    return attrs.evolve(link, status=LinkStatus.REJECTED, problems=(STALE,))


def _waiting_link(ctx: RunContext, work: Work) -> Link:
    """The link of a work that a plan no longer fits: what was to be carried over in it waits."""
    words = unwritten_words(work, *(_result(ctx, work, side) for side in SIDES))
    link = stale_link(work.link)
    return attrs.evolve(link, problems=(*link.problems, *words))


def _settled_link(ctx: RunContext, work: Work, results: Mapping[Side, SideResult]) -> Link:
    """The link as it is after the writes: shadows, versions, status and what is still wrong."""
    link = work.link
    if work.quarantine is not None or work.merge is None:
        return _quarantined(ctx, work, work.quarantine or STALE)
    if work.remote is None and _is_there(work, Side.REMOTE):
        link = evolved(link, crm_id=work.outcomes[Side.REMOTE].id)
    problems, candidates = _problems(ctx, work, work.merge, link, results)
    if is_by_hand(link) and not results[Side.REMOTE].ok:
        problems.append(LINKED_BY_HAND)
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
    return evolved(
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
) -> tuple[list[Problem], tuple[Candidate, ...]]:
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
            link = attrs.evolve(link, candidates=_candidates(error, side) or link.candidates)
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
    return Problem(error.field or "", error.code, error.message, _remedy_of(error))


def _remedy_of(error: RecordError) -> str:
    """What a person can do about a record that a side refused."""
    if isinstance(error, DuplicateError):
        return "merge the two there, link the records by hand, or correct the value that only one of them may have"
    return _REMEDIES.get(error.code, "mend the record on the side that holds the value")


def _candidates(error: CRMError, side: Side) -> tuple[Candidate, ...]:
    """The records that a side names in its refusal: they are its own."""
    ids: Sequence[str] = ()
    if isinstance(error, ConflictError):
        ids = error.candidates
    elif isinstance(error, DuplicateError) and error.existing_id:
        ids = (error.existing_id,)
    return tuple(Candidate(id=each, side=side) for each in ids)


def count(ctx: RunContext, work: Work) -> None:
    """Count what needed nothing, and the values that lost."""
    for note in work.merge.conflicts if work.merge else ():
        for loser in [note.winner.other] if note.winner else SIDES:
            ctx.tally.sides[loser].conflicts += 1
    if work.operations or work.quarantine is not None:
        return
    for side in SIDES:
        if work.record(side) is not None:
            ctx.tally.sides[side].unchanged += 1
