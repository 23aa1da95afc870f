"""Conflicts on their way into the bookkeeping: what waits, what was decided, what a run settled."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal

import attrs

from crmsync.diff import ConflictNote, SideResult, Verdict, took_effect
from crmsync.engine.context import RunContext
from crmsync.engine.work import Work
from crmsync.models.history import MASK
from crmsync.models.records import MISSING, Side
from crmsync.models.state import Acknowledgement, Conflict, ConflictStatus, Link, LinkStatus
from crmsync.protocols.conversion import FieldRule

_WAITING = (ConflictStatus.OPEN, ConflictStatus.DECIDED)
_PER_RECORD = 100


async def attach_conflicts(ctx: RunContext, works: Sequence[Work]) -> None:
    """Load what waits on these records, with the decisions that people made meanwhile."""
    by_id = {work.link.markmail_id: work for work in works}
    for conflict in await _waiting_on(ctx, [work.link for work in works]):
        by_id[conflict.markmail_id].conflicts[conflict.field] = conflict


async def parting(ctx: RunContext, links: Sequence[Link]) -> Acknowledgement:
    """What waits on links whose records part ends: a decision that nobody carries out any more has no winner."""
    waiting = await _waiting_on(ctx, links)
    void = [
        attrs.evolve(one, decided_at=None, decided_by=None, given_value=None)
        for one in waiting
        if one.status is ConflictStatus.DECIDED
    ]
    now = ctx.clock.now()
    return Acknowledgement(
        conflicts=tuple(_settled(ctx, one, None, now) for one in void),
        resolved_conflicts=tuple(one.id for one in waiting if one.status is ConflictStatus.OPEN),
        resolved_at=now if waiting else None,
    )


async def waiting_fields(ctx: RunContext, links: Sequence[Link]) -> dict[str, set[str]]:
    """The local names of the fields that wait on these links, by markmail_id."""
    fields: dict[str, set[str]] = {}
    for conflict in await _waiting_on(ctx, links):
        fields.setdefault(conflict.markmail_id, set()).add(conflict.field)
    return fields


async def _waiting_on(ctx: RunContext, links: Sequence[Link]) -> list[Conflict]:
    # A link in step has nothing that waits: the pages of an ordinary run ask for none.
    ids = [link.markmail_id for link in links if link.status is not LinkStatus.SYNCED]
    if not ids:
        return []
    return await ctx.repository.list_conflicts(
        ctx.integration_id, ctx.entity_type, statuses=_WAITING, markmail_ids=ids, limit=_PER_RECORD * len(ids)
    )


def verdicts_on(ctx: RunContext, work: Work) -> dict[str, Verdict]:
    """People's decisions on one record, by local field name."""
    if not work.conflicts:
        return {}
    rules = {rule.local: rule for rule in ctx.rule.rules}
    return {
        name: _verdict(conflict, rules[name])
        for name, conflict in work.conflicts.items()
        if conflict.status is ConflictStatus.DECIDED and name in rules
    }


def _verdict(conflict: Conflict, rule: FieldRule) -> Verdict:
    if conflict.winner is not None:
        return Verdict(conflict.winner)
    given = tuple(conflict.given_value) if isinstance(conflict.given_value, list) else conflict.given_value
    return Verdict(value=_in_local_form(rule, given))


def _in_local_form(rule: FieldRule, given: object) -> object:
    """What a person typed, as the local side holds such a value: a date for its text, say, if they mean the same."""
    there = rule.to_remote(given)
    back = rule.to_local(there.value)
    alike = not (there.rejected or back.rejected) and rule.normal_local(back.value) == rule.normal_local(given)
    return back.value if alike else given


def conflicts_of(
    ctx: RunContext, work: Work, link: Link, results: Mapping[Side, SideResult]
) -> tuple[list[Conflict], list[str]]:
    """The conflicts to store, and the ids of those that no longer wait.

    One whose write failed is neither: the next run meets it again, and finds a decision where it was.
    """
    merge = work.merge
    if merge is None or (merge.smooth and not work.conflicts):
        return [], []
    stored: list[Conflict] = []
    waiting: set[str] = set()
    for decision in merge.decisions.values():
        note = decision.conflict
        settled = took_effect(merge, decision, results[Side.LOCAL], results[Side.REMOTE])
        if note is not None and (note.parked or settled):
            stored.append(_conflict(ctx, work, link, note))
        if note is not None or not settled:
            waiting.add(decision.rule.local)
    if merge.rejected:
        return stored, []
    return stored, [conflict.id for name, conflict in work.conflicts.items() if name not in waiting]


def overwritten_by(ctx: RunContext, work: Work) -> dict[Side, tuple[Conflict, ...]]:
    """The conflicts whose losing value the operations on each side replace, as they are to be recorded."""
    notes = [note for note in (work.merge.conflicts if work.merge else ()) if not note.parked]
    if not notes:
        return {}
    made = [(note, _conflict(ctx, work, work.link, note)) for note in notes]
    return {
        side: tuple(
            conflict
            for note, conflict in made
            if note.winner is not side and (note.rule.local if side is Side.LOCAL else note.rule.remote) in op.fields
        )
        for side, op in work.operations.items()
    }


def _conflict(ctx: RunContext, work: Work, link: Link, note: ConflictNote) -> Conflict:
    """The row of a conflict: the one that waited before, if there is one, with what this run met and did."""
    now = ctx.clock.now()
    waited = work.conflicts.get(note.rule.local) or Conflict(
        uuid.uuid4().hex,
        link.integration_id,
        link.entity_type,
        link.markmail_id,
        link.crm_id,
        note.rule.local,
        note.rule.remote,
        str(note.policy),
        ConflictStatus.OPEN,
        run_id=ctx.run_id,
        created_at=now,
    )
    local, remote = work.local, work.remote
    met = attrs.evolve(
        waited,
        crm_id=link.crm_id,
        policy=str(note.policy),
        local_value=_kept(note.rule, note.local_value),
        remote_value=_kept(note.rule, note.remote_value),
        local_changed_at=local.modified_at if local else None,
        local_changed_by=local.modified_by if local else None,
        remote_changed_at=remote.modified_at if remote else None,
        remote_changed_by=remote.modified_by if remote else None,
        erased_at=None,
    )
    return met if note.parked else _settled(ctx, met, note.winner, now)


def _kept(rule: FieldRule, value: object) -> object:
    """A value for a person to read, unless it is to be kept nowhere."""
    return MASK if rule.sensitive and value is not None and value is not MISSING else jsonable(value)


def _settled(ctx: RunContext, met: Conflict, winner: Side | None, now: dt.datetime) -> Conflict:
    settled = attrs.evolve(
        met, status=ConflictStatus.RESOLVED, winner=winner, resolved_at=now, resolved_run_id=ctx.run_id
    )
    if ctx.mapping.keep_values_days:
        return settled
    return attrs.evolve(settled, local_value=None, remote_value=None, given_value=None, erased_at=now)


def jsonable(value: object) -> object:
    """A value as JSON can hold it, for a person to read."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case Decimal() | dt.timedelta():
            return str(value)
        case Mapping():
            return {str(name): jsonable(item) for name, item in value.items()}
        case tuple() | list():
            return [jsonable(item) for item in value]
        case set() | frozenset():
            return sorted(str(jsonable(item)) for item in value)
    return str(value)
