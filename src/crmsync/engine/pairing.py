"""Link and separate records because a person says so."""

from __future__ import annotations

import attrs

from crmsync.diff import BLANK_SHADOW
from crmsync.engine.conflicts import attach_conflicts, parting
from crmsync.engine.context import LIVE, RETRIED, RunContext, id_of, shadow_of
from crmsync.engine.deletes import DeleteQueue, carry_out_deletes
from crmsync.engine.erasing import without_erased
from crmsync.engine.last_words import left_behind, waiting_words
from crmsync.engine.namesakes import OTHER_PERSON
from crmsync.engine.recovery import begin
from crmsync.engine.rekeying import LINKED_BY_HAND, take_keys_back
from crmsync.engine.retrying import carry
from crmsync.engine.work import Work
from crmsync.errors import ConfigurationError, ConflictError, NotFoundError, RecordError
from crmsync.models.records import Record, Side
from crmsync.models.state import Acknowledgement, Link, LinkStatus


async def link_records(ctx: RunContext, markmail_id: str, crm_id: str) -> None:
    """Make a pair of two records and merge them as a first meeting, under the mapping's policies.

    Two that are linked already are merged afresh. What they were linked to before must have been separated; the
    external key leaves the CRM's record that it was.

    :raises RecordError: one of the two is not there.
    :raises ConflictError: one is linked to another record, or was erased.
    """
    await begin(ctx)
    local, remote = await _both(ctx, markmail_id, crm_id)
    await _refuse_erased(ctx, local, remote)
    rows = [*(await ctx.links(Side.LOCAL, [markmail_id])).values(), *(await ctx.links(Side.REMOTE, [crm_id])).values()]
    for row in rows:
        _refuse_taken(row, markmail_id, crm_id)
    link = attrs.evolve(
        next((row for row in rows if row.markmail_id == markmail_id), ctx.new_link(markmail_id, crm_id, Side.LOCAL)),
        crm_id=crm_id,
        local_shadow=BLANK_SHADOW,
        remote_shadow=BLANK_SHADOW,
        mapping_version=ctx.rule.version,
    )
    # Stored before anything is written, in a state that every run looks at: a crash leaves a pair that is merged later.
    words = dict.fromkeys(problem for row in rows for problem in waiting_words(row))
    waiting = attrs.evolve(link, status=LinkStatus.REJECTED, problems=(LINKED_BY_HAND, *words))
    left = [widow for row in rows if (widow := _widow(ctx, row, markmail_id, crm_id)) is not None]
    left += [each for row in rows if row.markmail_id == markmail_id for each in left_behind(ctx, row, crm_id)]
    removed = tuple(dict.fromkeys(row.markmail_id for row in rows))
    await ctx.acknowledge(Acknowledgement(links=(waiting, *left), removed_links=removed))
    work, queue = Work(waiting, local, remote, fresh=True), DeleteQueue()
    await attach_conflicts(ctx, [work])
    await take_keys_back(ctx, [work])
    await carry(ctx, [work], Side.LOCAL, queue)
    if queue:
        await carry_out_deletes(ctx, queue)


async def unlink_record(ctx: RunContext, markmail_id: str) -> Link:
    """Separate a pair: both records live on, changes no longer flow, and no run links them by itself again.

    :raises NotFoundError: the record is not linked.
    """
    await begin(ctx)
    link = (await ctx.links(Side.LOCAL, [markmail_id])).get(markmail_id)
    if link is None or link.crm_id is None or link.status not in LIVE:
        msg = f"{markmail_id!r} is not linked to a record of the CRM"
        raise NotFoundError(msg)
    apart = attrs.evolve(link, status=LinkStatus.UNLINKED, problems=(), candidates=(), attempts=0)
    await ctx.acknowledge(attrs.evolve(await parting(ctx, [link]), links=(apart,)))
    return apart


async def create_anew(ctx: RunContext, markmail_id: str) -> None:
    """Give a record that has no counterpart a new one, whatever its candidates are.

    :raises NotFoundError: no such record waits. :raises RecordError: it is gone.
    :raises ConflictError: its external key is somebody else's.
    :raises ConfigurationError: the mapping creates no records on the other side.
    """
    await begin(ctx)
    link = (await ctx.links(Side.LOCAL, [markmail_id])).get(markmail_id)
    if link is None or link.local_shadow or link.remote_shadow or link.status not in (*RETRIED, LinkStatus.IGNORED):
        msg = f"{markmail_id!r} does not wait for a counterpart"
        raise NotFoundError(msg)
    if any(problem.code == OTHER_PERSON.code for problem in link.problems):
        # It would be created under the key, and so take the other one's record, or its key.
        msg = f"{markmail_id!r} has somebody else's external key: {OTHER_PERSON.remedy}"
        raise ConflictError(msg, code=OTHER_PERSON.code, candidates=[each.id for each in link.candidates])
    born, own_id = link.born, id_of(link, link.born) or ""
    if not (ctx.mapping.create_in_crm if born is Side.LOCAL else ctx.mapping.create_in_local):
        msg = f"the mapping creates no records on the {born.other} side"
        raise ConfigurationError(msg)
    record = (await ctx.store(born).get([own_id], fields=ctx.fields(born))).get(own_id)
    if record is None:
        msg = f"the {born} side has no record {own_id!r} any more"
        raise RecordError(msg, code="missing")
    local, remote = (record, None) if born is Side.LOCAL else (None, record)
    await carry(ctx, [Work(link, local, remote, fresh=True)], born, DeleteQueue())


async def _both(ctx: RunContext, markmail_id: str, crm_id: str) -> tuple[Record, Record]:
    local = (await ctx.local.get([markmail_id], fields=ctx.fields(Side.LOCAL))).get(markmail_id)
    remote = (await ctx.remote.get([crm_id], fields=ctx.fields(Side.REMOTE))).get(crm_id)
    if local is None or remote is None:
        where, given = ("the local side", markmail_id) if local is None else ("the CRM", crm_id)
        msg = f"{where} has no record {given!r}"
        raise RecordError(msg, code="missing")
    return local, remote


async def _refuse_erased(ctx: RunContext, local: Record, remote: Record) -> None:
    if not await without_erased(ctx, Side.LOCAL, [local]) or not await without_erased(ctx, Side.REMOTE, [remote]):
        msg = "this person was erased; allow the person again first"
        raise ConflictError(msg, code="erased")


def _refuse_taken(row: Link, markmail_id: str, crm_id: str) -> None:
    """Raise if a row is a live pair of one of the two with a third."""
    paired = row.status in LIVE and row.local_shadow and row.remote_shadow
    if paired and (row.markmail_id, row.crm_id) != (markmail_id, crm_id):
        msg = f"{row.markmail_id!r} is linked to {row.crm_id!r}: separate these two first"
        raise ConflictError(msg, code="already_linked", candidates=[row.crm_id or "", row.markmail_id])


def _widow(ctx: RunContext, row: Link, markmail_id: str, crm_id: str) -> Link | None:
    """The row of a separated or deleted pair, less the record that is linked anew: the other one stays set aside."""
    if row.status in LIVE or row.status is LinkStatus.QUARANTINED or row.crm_id is None:
        return None
    if row.markmail_id == markmail_id and row.crm_id != crm_id and shadow_of(row, Side.REMOTE):
        return attrs.evolve(row, markmail_id=ctx.twin_id(row.crm_id), local_shadow=b"")
    if row.crm_id == crm_id and row.markmail_id != markmail_id and shadow_of(row, Side.LOCAL):
        return attrs.evolve(row, crm_id=None, remote_shadow=b"")
    return None
