"""One run of one object: settle what a crash left, retry what failed, then take in each side's changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing

import anyio

from crmsync.engine.context import RunContext, id_of, shadow_of, with_keys_lacking
from crmsync.engine.deletes import DeleteQueue, carry_out_deletes
from crmsync.engine.intake import take_in
from crmsync.engine.matching import Matcher
from crmsync.engine.merging import follow_absent
from crmsync.engine.passing import SidePass
from crmsync.engine.reading import OnTheWay
from crmsync.engine.recovery import begin
from crmsync.engine.retrying import BATCH, carry, pairs_of, retry_unfinished
from crmsync.engine.tasks import single_error
from crmsync.engine.tombstones import came_back
from crmsync.engine.unkeyed import give_keys
from crmsync.engine.work import Work
from crmsync.errors import CursorExpiredError
from crmsync.models.plans import PlannedRecord
from crmsync.models.records import Record, Side
from crmsync.models.state import Acknowledgement, Cursors, Link


async def run(ctx: RunContext) -> None:
    """Do it all. In a dry run, collect in ``ctx.planned`` what would be done."""
    await begin(ctx)
    if ctx.options.reads_all or ctx.cursors.mapping_version != ctx.rule.version:
        ctx.cursors = Cursors(mapping_version=ctx.rule.version, unkeyed_after=ctx.cursors.unkeyed_after)
    ctx.reached = ctx.cursors
    ctx.asks_of_merges = ctx.had_links or ctx.cursors.remote is not None
    matcher = Matcher(first_load=ctx.cursors.local is None)
    await retry_unfinished(ctx, matcher)
    await sync_sides(ctx, matcher)
    await give_keys(ctx)


async def sync_sides(ctx: RunContext, matcher: Matcher) -> None:
    """Take in the CRM's pass, then the local side's, which is read and looked up while the last of that is written."""
    second = SidePass(ctx, matcher, Side.LOCAL)
    with single_error(), closing(second):
        async with anyio.create_task_group() as group:

            def begin(way: OnTheWay) -> None:
                if ctx.looks_ahead and ctx.cursors.local is not None and ctx.local.limits.change_feed:
                    second.begin(group, ctx.cursors.local, way)

            await _pass_over(ctx, matcher, Side.REMOTE, SidePass(ctx, matcher, Side.REMOTE, then=begin))
            await _pass_over(ctx, matcher, Side.LOCAL, second)


async def _pass_over(ctx: RunContext, matcher: Matcher, side: Side, each: SidePass) -> None:
    """Take in one side's pass; start over if its position has become too old."""
    cursor = ctx.cursors.local if side is Side.LOCAL else ctx.cursors.remote
    try:
        await each.go(cursor)
    except CursorExpiredError:
        if cursor is None:
            raise
        await SidePass(ctx, matcher, side).go(None)


PlanPages = Callable[[int], Awaitable[Sequence[PlannedRecord]]]
"""Gives a page (from 0) of a plan's records; an empty one after the last."""


async def apply(ctx: RunContext, page_of: PlanPages, cursors: Cursors) -> None:
    """Carry out exactly what a plan holds; records that changed since are left for the next run."""
    allowed = set[str]()
    matcher = Matcher(first_load=False)
    await begin(ctx)

    def gate(_work: Work, digest: str) -> bool:
        return digest in allowed

    queue = DeleteQueue()
    moved: list[PlannedRecord] = []
    page = 0
    while batch := await page_of(page):
        page += 1
        allowed.update(record.fingerprint for record in batch)
        links = await ctx.links(Side.LOCAL, [record.markmail_id for record in batch if record.markmail_id])
        pairs = [link for link in links.values() if all(shadow_of(link, side) for side in Side)]
        await carry(ctx, await pairs_of(ctx, pairs, queue), Side.LOCAL, queue, gate)
        linked: dict[str | None, str | None] = {link.markmail_id: link.crm_id for link in pairs}
        moved += [each for each in batch if each.crm_id != linked.get(each.markmail_id, each.crm_id)]
        back = {link.markmail_id for link in links.values() if came_back(link, Side.LOCAL)}
        lone = [record for record in batch if record.markmail_id not in linked]
        there = [record.crm_id for record in lone if record.crm_id and record.markmail_id not in back]
        here = [key for record in lone if (key := record.markmail_id) and (not record.crm_id or key in back)]
        await carry(ctx, await _met(ctx, matcher, Side.REMOTE, there, queue), Side.REMOTE, queue, gate)
        await carry(ctx, await _met(ctx, matcher, Side.LOCAL, here, queue), Side.LOCAL, queue, gate)
        tombstones = [links[key] for record in lone if not record.writes and (key := record.markmail_id) in back]
        await _queue_gone(ctx, tombstones, queue)
    await follow_absent(ctx, queue, gate=gate)
    there = await _not_followed(ctx, moved, queue)
    if queue:
        await carry_out_deletes(ctx, queue, gate=gate)
    # Somebody who was left alone by these may meet another one.
    queue = DeleteQueue()
    await carry(ctx, await _met(ctx, matcher, Side.REMOTE, there, queue), Side.REMOTE, queue, gate)
    if queue:
        await carry_out_deletes(ctx, queue, gate=gate)
    await ctx.acknowledge(Acknowledgement(cursors=with_keys_lacking(ctx, cursors)))


def pages_of(planned: Sequence[PlannedRecord]) -> PlanPages:
    """A plan's records, as many at a time as are looked at in one go."""

    async def page_of(page: int) -> Sequence[PlannedRecord]:
        return planned[page * BATCH : (page + 1) * BATCH]

    return page_of


async def _not_followed(ctx: RunContext, moved: Sequence[PlannedRecord], queue: DeleteQueue) -> list[str]:
    """Of records that were planned with another one of the CRM than they were linked to, the CRM's ids of the others.

    Their links did not follow to it: a merge set the pair aside, and the local record meets somebody new. Those of
    the deleted follow when they are.
    """
    links = await ctx.links(Side.REMOTE, [each.crm_id for each in moved if each.crm_id])
    following = [link for link, _ in queue.pairs.values()]
    known = {(link.markmail_id, link.crm_id) for link in (*links.values(), *following)}
    return [each.crm_id for each in moved if each.crm_id and (each.markmail_id, each.crm_id) not in known]


async def _met(ctx: RunContext, matcher: Matcher, side: Side, ids: Sequence[str], queue: DeleteQueue) -> list[Work]:
    """The planned meetings that start from these records of a side. Of who is gone, what links keep is queued."""
    records = await ctx.store(side).get(ids, fields=ctx.fields(side))
    links = await ctx.links(side, [each for each in ids if each not in records])
    _queue_absent(ctx, side, records, links.values(), queue)
    if not records:
        return []
    return (await take_in(ctx, matcher, side, list(records.values()))).works


async def _queue_gone(ctx: RunContext, tombstones: Sequence[Link], queue: DeleteQueue) -> None:
    """Queue those whose record in the CRM is gone like the local one was."""
    ids = [link.crm_id for link in tombstones if link.crm_id]
    _queue_absent(ctx, Side.REMOTE, await ctx.remote.get(ids, fields=ctx.fields(Side.REMOTE)), tombstones, queue)


def _queue_absent(
    ctx: RunContext, side: Side, records: Mapping[str, Record], links: Iterable[Link], queue: DeleteQueue
) -> None:
    """Queue the pairs whose last record is not there; of a pair that has both, the next run takes note."""
    for link in links:
        last = shadow_of(link, side) and not shadow_of(link, side.other)
        if last and id_of(link, side) not in records and not ctx.left_waiting(link):
            queue.add(link, side)
