"""Look again at records that an earlier run could not finish, and carry out what that leads to."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from crmsync.diff import BLANK_SHADOW
from crmsync.engine.batch import Gate, carry_out
from crmsync.engine.conflicts import attach_conflicts
from crmsync.engine.context import RETRIED, RunContext, id_of, shadow_of
from crmsync.engine.deletes import DeleteQueue, carry_out_deletes
from crmsync.engine.matching import Matcher
from crmsync.engine.merging import follow_absent
from crmsync.engine.recovery import begin
from crmsync.engine.rekeying import take_keys_back
from crmsync.engine.work import Work
from crmsync.models.records import Record, Side
from crmsync.models.state import Acknowledgement, ConflictStatus, Link

BATCH = 1000
"""How many records are looked at in one go."""


async def retry_unfinished(ctx: RunContext, matcher: Matcher) -> None:
    """Look again at everything that an earlier run could not finish, although its source did not change.

    Whom a record is matched with is looked up before anything is written: a decision may change the e-mail address by
    which another record would be found, and no plan can know who is met then. The next run meets them.
    """
    await _retry_rejects(ctx, matcher)
    decided = await ctx.repository.list_conflicts(
        ctx.integration_id, ctx.entity_type, statuses=(ConflictStatus.DECIDED,), limit=100_000
    )
    ids = list(dict.fromkeys(conflict.markmail_id for conflict in decided))
    links = await ctx.links(Side.LOCAL, [each for each in ids if each not in ctx.tried])
    await retry(ctx, matcher, list(links.values()))


async def retry_only(ctx: RunContext, markmail_ids: Sequence[str] | None) -> None:
    """Look again at these rejects, ignored ones among them, or with None at all that are not; and at nothing else."""
    await begin(ctx)
    matcher = Matcher(first_load=False)
    if markmail_ids is None:
        await _retry_rejects(ctx, matcher)
        return
    links = list((await ctx.links(Side.LOCAL, markmail_ids)).values())
    for start in range(0, len(links), BATCH):
        await retry(ctx, matcher, links[start : start + BATCH])


async def _retry_rejects(ctx: RunContext, matcher: Matcher) -> None:
    after = ""
    # What a side takes in one go is handed over in one go: there the order of the ids may be any.
    batch = max(BATCH, *(ctx.store(side).limits.write_batch for side in Side))
    while links := await ctx.repository.scan_links(
        ctx.integration_id, ctx.entity_type, statuses=RETRIED, after=after, limit=batch
    ):
        after = links[-1].markmail_id
        await retry(ctx, matcher, [link for link in links if link.markmail_id not in ctx.tried])


async def retry(ctx: RunContext, matcher: Matcher, links: Sequence[Link]) -> None:
    """Take in these links' records as they are now, whether or not their sources say that they changed."""
    ctx.tried.update(link.markmail_id for link in links)
    pairs = [link for link in links if link.local_shadow and link.remote_shadow]
    queue = DeleteQueue()
    lone = [link for link in links if not (link.local_shadow and link.remote_shadow)]
    records = {born: await _lone_records(ctx, born, lone) for born in Side}
    await matcher.look_up(ctx, {e for born in Side for r in records[born] if (e := ctx.email(born, r))})
    works = await pairs_of(ctx, pairs, queue)
    if ctx.options.from_scratch:
        for work in works:
            work.link = attrs.evolve(work.link, local_shadow=BLANK_SHADOW, remote_shadow=BLANK_SHADOW)
    await take_keys_back(ctx, works)
    await carry(ctx, works, Side.LOCAL, queue)
    for born in (Side.REMOTE, Side.LOCAL):
        await carry(ctx, await _lone(ctx, matcher, born, records[born]), born, queue)
    matcher.forget()
    await follow_absent(ctx, queue)
    if queue:
        await carry_out_deletes(ctx, queue)


async def carry(ctx: RunContext, works: list[Work], side: Side, queue: DeleteQueue, gate: Gate | None = None) -> None:
    """Carry out what there is; pairs of which a record was found gone while writing are queued."""
    if works:
        result = await carry_out(ctx, works, side=side, gate=gate)
        for link, missing in result.gone:
            queue.add(link, missing)


async def pairs_of(ctx: RunContext, links: Sequence[Link], queue: DeleteQueue) -> list[Work]:
    """Linked pairs with both records as they are now; those of which one is gone are queued."""
    locals_ = await ctx.local.get([link.markmail_id for link in links], fields=ctx.fields(Side.LOCAL))
    remotes = await ctx.remote.get([link.crm_id for link in links if link.crm_id], fields=ctx.fields(Side.REMOTE))
    works = []
    for link in links:
        local, remote = locals_.get(link.markmail_id), remotes.get(link.crm_id or "")
        if local is not None and remote is not None:
            works.append(Work(link, local, remote))
        for side, record in ((Side.LOCAL, local), (Side.REMOTE, remote)):
            if record is None:
                queue.add(link, side)
    await attach_conflicts(ctx, works)
    return works


async def _lone_records(ctx: RunContext, born: Side, links: Sequence[Link]) -> list[Record]:
    """Records that never got a counterpart, as they are now; the links of those that are gone are dropped.

    A CRM's feed may show them as living for a while: their tombstones stay.
    """
    by_id = {found: link for link in links if link.born is born and (found := id_of(link, born))}
    records = await ctx.store(born).get(list(by_id), fields=ctx.fields(born))
    vanished = {record_id: link.markmail_id for record_id, link in by_id.items() if record_id not in records}
    if vanished:
        gone = [ctx.tombstone_of(ctx.gone_id(each), each) for each in vanished] if born is Side.REMOTE else []
        await ctx.acknowledge(Acknowledgement(links=tuple(gone), removed_links=tuple(vanished.values())))
    return list(records.values())


async def _lone(ctx: RunContext, matcher: Matcher, born: Side, records: Sequence[Record]) -> list[Work]:
    """Match them, but for those that the batch before has linked meanwhile."""
    links = await ctx.links(born, [record.id for record in records])
    still = [r for r in records if (link := links.get(r.id)) is not None and not shadow_of(link, born.other)]
    return await matcher.match(ctx, born, still, links) if still else []
