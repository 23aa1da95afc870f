"""One run of one object: settle what a crash left, retry what failed, then take in each side's changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import attrs

from crmsync.engine.batch import carry_out
from crmsync.engine.context import RunContext
from crmsync.engine.deletes import DeleteQueue, carry_out_deletes, queue_absent, queue_deleted
from crmsync.engine.foresight import Foresight
from crmsync.engine.intake import Intake, take_in
from crmsync.engine.keyindex import KeySet
from crmsync.engine.matching import Matcher
from crmsync.engine.merging import follow_absent, follow_merged
from crmsync.engine.reading import READ_AHEAD, read_prepared
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
    matcher = Matcher(first_load=ctx.cursors.local is None)
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


LOOKED_AHEAD = 5000
"""Records of a page up to which it is planned while the one before is written."""


@attrs.frozen(slots=True, eq=False)
class _Ahead:
    """A page, and what was planned for it, in which view of the run. The CRM was asked of merges into the strangers."""

    page: ChangePage
    view: RunContext | None = None
    intake: Intake | None = None
    strangers: set[str] = attrs.field(factory=set)


def _live(page: ChangePage) -> list[Record]:
    return [record for record in page.records if not record.deleted]


class _SidePass:
    """One pass over one side. The cursor stays behind once a delete waits: they are carried out when all are known."""

    def __init__(self, ctx: RunContext, matcher: Matcher, side: Side) -> None:
        self._ctx = ctx
        self._matcher = matcher
        self._side = side
        self._queue = DeleteQueue()
        self._trail = MergeTrail()
        self._seen = KeySet()
        self._written: deque[set[str]] = deque(maxlen=READ_AHEAD)
        self._begun = False
        self._complete = False
        self._cursor: str | None = None

    async def go(self, cursor: str | None) -> None:
        ctx, side = self._ctx, self._side
        self._cursor = cursor
        ctx.foresights.clear()
        await read_prepared(ctx, side, cursor, self._look_ahead, self._page)
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

    async def _look_ahead(self, page: ChangePage) -> _Ahead:
        """Plan a page while the one before is written, where that can be found right afterwards."""
        ctx, first = self._ctx, not self._begun
        self._begun = True
        live = _live(page)
        merges = any(record.merged_into is not None for record in page.records)
        # Of few calls none is spent on what may have to be asked again. References are read by links of other records
        # than the page's. All keys at once are read while nothing is written. What a bulk job takes is too much to hold
        # twice.
        refers = any(rule.references for rule in ctx.rule.rules)
        index = self._matcher.reads_index(len(live)) and not first
        large = len(live) > LOOKED_AHEAD
        if ctx.dry_run or ctx.budget.left is not None or merges or refers or index or large:
            return _Ahead(page)
        foresight = Foresight()
        ctx.foresights.append(foresight)
        view = ctx.foreseeing(foresight)
        strangers = await self._asked_of(view, live)
        if await view.remote.merged_into(sorted(strangers), fields=view.fields(Side.REMOTE)):
            return _Ahead(page, view)
        return _Ahead(page, view, await take_in(view, self._matcher, self._side, live), strangers)

    async def _page(self, ahead: _Ahead) -> None:
        ctx, side, page = self._ctx, self._side, ahead.page
        ctx.tally.sides[side].read += len(page.records)
        for record in _live(page):
            self._seen.add(record.id)
        intake = await self._intake(ahead)
        for link, missing in intake.gone:
            self._queue.add(link, missing)
        gone = [record for record in page.records if record.deleted and record.merged_into is None]
        if gone:
            await queue_deleted(ctx, side, gone, self._queue)
        self._cursor, self._complete = page.cursor, page.complete_scan
        # What a complete scan did not show is known only after its last page: until then the cursor stays before it.
        waits = bool(self._queue or self._trail.waiting) or (page.complete_scan and ctx.had_links)
        cursors = None if waits else ctx.advanced(side, page.cursor)
        if cursors == ctx.cursors:
            cursors = None
        result = await carry_out(ctx, intake.works, side=side, cursors=cursors)
        self._written.append(result.written)
        for link, missing in result.gone:
            self._queue.add(link, missing)

    async def _intake(self, ahead: _Ahead) -> Intake:
        """What was planned ahead, if it stands; else what is planned now."""
        ctx, view = self._ctx, self._ctx
        live = _live(ahead.page)
        if ahead.view is not None and ahead.view.foresight is not None:
            foresight = ahead.view.foresight
            ctx.foresights.remove(foresight)
            stands = foresight.stands() and self._written_since().isdisjoint(r.id for r in live)
            if stands and ahead.intake is not None:
                ctx.asked_of = ahead.strangers
                ctx.tally.add(ahead.view.tally)
                return ahead.intake
            view = ctx.foreseeing(foresight)
        live = await self._asked_again(live)
        merged = [record for record in ahead.page.records if record.deleted and record.merged_into is not None]
        ctx.asked_of = await self._asked_of(view, live)
        merged += await view.remote.merged_into(sorted(ctx.asked_of), fields=view.fields(Side.REMOTE))
        if merged:
            view = ctx  # what is written of the merges was not foreseen
        moved = await follow_merged(ctx, merged, self._trail, self._queue)
        survivors = moved.remote_ids()
        intake = await take_in(view, self._matcher, self._side, [r for r in live if r.id not in survivors])
        if view is not ctx:
            ctx.tally.add(view.tally)
        intake.extend(moved)
        return intake

    async def _asked_of(self, view: RunContext, live: Sequence[Record]) -> set[str]:
        """The records that are not linked yet: the CRM is asked who was merged into them."""
        if self._side is Side.LOCAL or not view.asks_of_merges:
            return set()
        links = await view.links(Side.REMOTE, [record.id for record in live])
        return {record.id for record in live} - links.keys()

    async def _asked_again(self, live: list[Record]) -> list[Record]:
        """The records as they are now, where the pages before wrote to them: this one may have been read before that.

        Else our own write would look undone, and the old value be carried to the other side.
        """
        old = self._written_since().intersection(record.id for record in live)
        if not old:
            return live
        now = await self._ctx.store(self._side).get(sorted(old), fields=self._ctx.fields(self._side))
        return [now.get(record.id, record) for record in live if record.id in now or record.id not in old]

    def _written_since(self) -> set[str]:
        """What was written since the page that is next was read, at the earliest."""
        return set().union(*self._written)


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
