"""One run of one object: settle what a crash left, retry what failed, then take in each side's changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs

from crmsync.engine.batch import carry_out
from crmsync.engine.context import RunContext
from crmsync.engine.deletes import DeleteQueue, carry_out_deletes, queue_absent, queue_deleted
from crmsync.engine.intake import take_in
from crmsync.engine.keyindex import KeySet
from crmsync.engine.matching import Matcher
from crmsync.engine.merging import follow_absent, follow_merged
from crmsync.engine.reading import read_pass
from crmsync.engine.recovery import begin
from crmsync.engine.retrying import BATCH, carry, pairs_of, retry_unfinished
from crmsync.engine.trail import MergeTrail
from crmsync.engine.work import Work
from crmsync.errors import CursorExpiredError
from crmsync.models.plans import PlannedRecord
from crmsync.models.records import ChangePage, Record, Side
from crmsync.models.state import Acknowledgement, Cursors


async def run(ctx: RunContext) -> None:
    """Do it all. In a dry run, collect in ``ctx.planned`` what would be done."""
    stored = await ctx.repository.get_cursors(ctx.integration_id, ctx.entity_type)
    outdated = stored.mapping_version != ctx.rule.version
    ctx.cursors = Cursors(mapping_version=ctx.rule.version) if ctx.options.reads_all or outdated else stored
    ctx.reached = ctx.cursors
    await begin(ctx)
    ctx.asks_of_merges = ctx.had_links or ctx.cursors.remote is not None
    matcher = Matcher(ctx, first_load=ctx.cursors.local is None)
    await retry_unfinished(ctx, matcher)
    for side in (Side.REMOTE, Side.LOCAL):
        await sync_side(ctx, matcher, side)


async def sync_side(ctx: RunContext, matcher: Matcher, side: Side) -> None:
    """Take in one side's pass; start over if its position has become too old."""
    cursor = ctx.cursors.local if side is Side.LOCAL else ctx.cursors.remote
    try:
        await _SidePass(ctx, matcher, side).go(cursor)
    except CursorExpiredError:
        if cursor is None:
            raise
        await _SidePass(ctx, matcher, side).go(None)


class _SidePass:
    """One pass over one side. The cursor stays behind once a delete waits: they are carried out when all are known."""

    def __init__(self, ctx: RunContext, matcher: Matcher, side: Side) -> None:
        self._ctx = ctx
        self._matcher = matcher
        self._side = side
        self._queue = DeleteQueue()
        self._trail = MergeTrail()
        self._seen = KeySet()
        self._written: set[str] = set()
        self._complete = False
        self._cursor: str | None = None

    async def go(self, cursor: str | None) -> None:
        ctx, side = self._ctx, self._side
        self._cursor = cursor
        await read_pass(ctx, side, cursor, self._page)
        if self._trail.waiting:
            await queue_deleted(ctx, side, list(self._trail.waiting.values()), self._queue)
        if self._complete and ctx.had_links:
            await queue_absent(ctx, side, self._seen, self._queue)
            if side is Side.REMOTE:
                await follow_absent(ctx, self._queue, self._trail)
        if self._queue:
            await carry_out_deletes(ctx, self._queue)
        reached = ctx.advanced(side, self._cursor)
        if reached != ctx.cursors:
            await ctx.acknowledge(Acknowledgement(cursors=reached))
        if side is Side.LOCAL:
            ctx.reached = attrs.evolve(ctx.reached, local=self._cursor)
        else:
            ctx.reached = attrs.evolve(ctx.reached, remote=self._cursor)

    async def _page(self, page: ChangePage) -> None:
        ctx, side = self._ctx, self._side
        live = [record for record in page.records if not record.deleted]
        gone = [record for record in page.records if record.deleted and record.merged_into is None]
        merged = [record for record in page.records if record.deleted and record.merged_into is not None]
        for record in live:
            self._seen.add(record.id)
        live = await self._asked_again(live)
        if side is Side.REMOTE and ctx.asks_of_merges:
            links = await ctx.links(side, [record.id for record in live])
            strangers = [record.id for record in live if record.id not in links]
            merged += await ctx.remote.merged_into(strangers)
            ctx.asked_of = set(strangers)
        moved = await follow_merged(ctx, merged, self._trail, self._queue)
        survivors = moved.remote_ids()
        intake = await take_in(ctx, self._matcher, side, [r for r in live if r.id not in survivors])
        intake.extend(moved)
        for link, missing in intake.gone:
            self._queue.add(link, missing)
        if gone:
            await queue_deleted(ctx, side, gone, self._queue)
        self._cursor, self._complete = page.cursor, page.complete_scan
        # What a complete scan did not show is known only after its last page: until then the cursor stays before it.
        waits = bool(self._queue or self._trail.waiting) or (page.complete_scan and ctx.had_links)
        cursors = None if waits else ctx.advanced(side, page.cursor)
        if cursors == ctx.cursors:
            cursors = None
        result = await carry_out(ctx, intake.works, side=side, cursors=cursors)
        self._written = result.written
        for link, missing in result.gone:
            self._queue.add(link, missing)

    async def _asked_again(self, live: list[Record]) -> list[Record]:
        """The records as they are now, where the page before wrote to them: this one may have been read before that.

        Else our own write would look undone, and the old value be carried to the other side.
        """
        old = [record.id for record in live if record.id in self._written]
        if not old:
            return live
        now = await self._ctx.store(self._side).get(old, fields=self._ctx.fields(self._side))
        return [now.get(record.id, record) for record in live if record.id in now or record.id not in self._written]


PlanPages = Callable[[int], Awaitable[Sequence[PlannedRecord]]]
"""Gives a page (from 0) of a plan's records; an empty one after the last."""


async def apply(ctx: RunContext, page_of: PlanPages, cursors: Cursors) -> None:
    """Carry out exactly what a plan holds; records that changed since are left for the next run."""
    allowed = set[str]()
    matcher = Matcher(ctx, first_load=False)
    await begin(ctx)

    def gate(_work: Work, digest: str) -> bool:
        return digest in allowed

    queue = DeleteQueue()
    page = 0
    while batch := await page_of(page):
        page += 1
        allowed.update(record.fingerprint for record in batch)
        links = await ctx.links(Side.LOCAL, [record.markmail_id for record in batch if record.markmail_id])
        pairs = [link for link in links.values() if link.local_shadow and link.remote_shadow]
        await carry(ctx, await pairs_of(ctx, pairs, queue), Side.LOCAL, queue, gate)
        linked = {link.markmail_id for link in pairs}
        lone = [record for record in batch if record.markmail_id not in linked]
        await carry(ctx, await _met(ctx, matcher, Side.REMOTE, lone), Side.REMOTE, queue, gate)
        await carry(ctx, await _met(ctx, matcher, Side.LOCAL, lone), Side.LOCAL, queue, gate)
    await follow_absent(ctx, queue, gate=gate)
    if queue:
        await carry_out_deletes(ctx, queue, gate=gate)
    await ctx.acknowledge(Acknowledgement(cursors=cursors))


def pages_of(planned: Sequence[PlannedRecord]) -> PlanPages:
    """A plan's records, as many at a time as are looked at in one go."""

    async def page_of(page: int) -> Sequence[PlannedRecord]:
        return planned[page * BATCH : (page + 1) * BATCH]

    return page_of


async def _met(ctx: RunContext, matcher: Matcher, side: Side, planned: Sequence[PlannedRecord]) -> list[Work]:
    """The planned first meetings that start from this side: with a CRM id from there, the others from the local one."""
    if side is Side.REMOTE:
        ids = [record.crm_id for record in planned if record.crm_id]
    else:
        ids = [record.markmail_id for record in planned if record.markmail_id and not record.crm_id]
    records = await ctx.store(side).get(ids, fields=ctx.fields(side))
    if not records:
        return []
    return (await take_in(ctx, matcher, side, list(records.values()))).works
