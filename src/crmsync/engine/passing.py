"""One pass over one side: portion by portion read, looked up, decided, written and acknowledged.

These are five steps of a belt. While a portion is written, the one before is acknowledged, the one after it is decided,
the next two are looked up, and another one is read. What that makes of a portion is what it would be if it came alone:
nothing is written before all portions before it have their answers, and what those touched is looked up and decided
again (`Foresight`). Acknowledged is in the order of reading, so that the cursor passes nothing that waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
import attrs
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from crmsync.engine.batch import Batch, acknowledge, decide, decide_ahead, write_out
from crmsync.engine.context import RunContext
from crmsync.engine.deletes import DeleteQueue, carry_out_deletes, queue_absent, queue_deleted
from crmsync.engine.foresight import Foresight
from crmsync.engine.headstart import HeadStart
from crmsync.engine.intake import Intake, take_in
from crmsync.engine.keyindex import KeySet
from crmsync.engine.matching import Matcher
from crmsync.engine.merging import follow_absent, follow_merged
from crmsync.engine.reading import OnTheWay, Portion, Reading, Written, prepared, read_portions
from crmsync.engine.tasks import single_error
from crmsync.engine.trail import MergeTrail
from crmsync.errors import CRMError
from crmsync.models.records import ChangePage, Record, Side
from crmsync.models.state import Acknowledgement, Link

LOOKED_AHEAD = 5000
"""Records of a portion up to which it is planned while the one before is written."""


@attrs.frozen(slots=True, eq=False)
class _Ahead:
    """A portion, and what was planned for it, in which view of the run."""

    portion: Portion
    view: RunContext | None = None
    intake: Intake | None = None
    batch: Batch | None = None

    def live(self) -> list[Record]:
        return [record for record in self.portion.records if not record.deleted]


@attrs.frozen(slots=True, eq=False)
class _Answered:
    """A portion's batch that was written. ``ends`` is the page whose position may be stored with it."""

    portion: Portion
    batch: Batch
    ends: ChangePage | None
    settled: anyio.Event


class SidePass:
    """One pass over one side. The cursor stays behind once a delete waits: they are carried out when all are known.

    ``then`` is called, with what the pass's records are handed over on, when all of them are, if that is more than one
    portion.
    """

    def __init__(
        self, ctx: RunContext, matcher: Matcher, side: Side, *, then: Callable[[OnTheWay], None] | None = None
    ) -> None:
        self._ctx = ctx
        self._matcher = matcher
        self._side = side
        self._queue = DeleteQueue()
        self._missed: set[str] = set()
        self._trail = MergeTrail()
        self._seen = KeySet()
        self._written = Written()
        self._way = OnTheWay()
        self._then = then
        self._start: HeadStart | None = None
        self._begun: MemoryObjectReceiveStream[_Ahead | CRMError] | None = None
        self._first: anyio.Event | None = None
        self._cursor: str | None = None
        self._complete = False
        self._answered: _Answered | None = None

    def begin(self, group: TaskGroup, cursor: str | None, way: OnTheWay) -> None:
        """Begin to read and to look up before it is this pass's turn, which comes with `go` for the same position.

        ``way`` is the one of the pass before: there is no more room for both than for one.
        """
        self._way = way
        self._start = HeadStart(self._side)
        self._ctx.foresights.append(self._start.others)
        self._begun = self._planned(group, cursor)

    def close(self) -> None:
        """Let go of what was begun, if its turn did not come."""
        if self._begun is not None:
            self._begun.close()

    async def go(self, cursor: str | None) -> None:
        """Take in all that changed since this position.

        :raises CursorExpiredError: the side no longer knows it.
        """
        ctx, side = self._ctx, self._side
        self._cursor = cursor
        if self._start is None:
            ctx.foresights.clear()
        else:
            self._take_turn(self._start)
        with single_error():
            async with anyio.create_task_group() as group:
                await self._carry_on(self._begun or self._planned(group, cursor))
        if self._trail.waiting:
            # The survivor is not there: deleted, or merged on after its page was read, which is asked below.
            self._missed.update(self._trail.waiting)
            await queue_deleted(ctx, side, list(self._trail.waiting.values()), self._queue)
        if self._complete and ctx.had_links:
            await queue_absent(ctx, side, self._seen, self._queue)
        if self._complete and ctx.had_links and side is Side.REMOTE:
            await follow_absent(ctx, self._queue, self._trail)
        elif self._missed:
            await follow_absent(ctx, self._queue, self._trail, among=self._missed)
        if self._queue:
            await carry_out_deletes(ctx, self._queue)
        reached = ctx.advanced(side, self._cursor)
        if reached != ctx.cursors:
            await ctx.acknowledge(Acknowledgement(cursors=reached))
        if side is Side.LOCAL:
            ctx.reached = attrs.evolve(ctx.reached, local=self._cursor)
        else:
            ctx.reached = attrs.evolve(ctx.reached, remote=self._cursor)

    def _take_turn(self, start: HeadStart) -> None:
        outdated, events = start.end()
        self._ctx.foresights.remove(start.others)
        self._written.note(outdated)
        for event in events:
            self._ctx.notify(event)

    def _planned(self, group: TaskGroup, cursor: str | None) -> MemoryObjectReceiveStream[_Ahead | CRMError]:
        reading = Reading(self._ctx, self._side, self._written, self._way, self._start, self._then)
        read = read_portions(group, reading, cursor)
        looked_up = prepared(group, read, self._look_ahead, at_once=2)
        return prepared(group, looked_up, self._decide_ahead)

    async def _carry_on(self, planned: MemoryObjectReceiveStream[_Ahead | CRMError]) -> None:
        """Write one portion after the other. What was written is acknowledged even if what comes after it fails."""
        failed: CRMError | None = None
        with single_error():
            async with planned, anyio.create_task_group() as group:
                send, answered = anyio.create_memory_object_stream[_Answered](1)
                group.start_soon(self._acknowledge_all, answered)
                async with send:
                    try:
                        await self._write_all(planned, send)
                    except CRMError as error:
                        failed = error
                    except anyio.BrokenResourceError:
                        pass  # it could not be acknowledged: that error is the one that matters
        if failed is not None:
            raise failed

    async def _write_all(
        self, planned: MemoryObjectReceiveStream[_Ahead | CRMError], send: MemoryObjectSendStream[_Answered]
    ) -> None:
        async for ahead in planned:
            if isinstance(ahead, CRMError):
                raise ahead
            self._answered = await self._written_out(ahead)
            await send.send(self._answered)

    async def _acknowledge_all(self, answered: MemoryObjectReceiveStream[_Answered]) -> None:
        ctx = self._ctx
        late = False
        async with answered:
            async for each in answered:
                cursors = None if each.ends is None or late else ctx.advanced(self._side, each.ends.cursor)
                result = await acknowledge(ctx, each.batch, None if cursors == ctx.cursors else cursors)
                late = late or bool(result.gone)
                self._miss(result.gone)
                each.settled.set()
                self._way.leave(each.portion)

    def _miss(self, gone: Sequence[tuple[Link, Side]]) -> None:
        """Queue pairs whose record is not there. Nothing told why: in the CRM it may live on in another one."""
        for link, missing in gone:
            self._queue.add(link, missing)
            if missing is Side.REMOTE and link.crm_id:
                self._missed.add(link.crm_id)

    async def _all_settled(self) -> None:
        """Wait until everything that was written is acknowledged."""
        if self._answered is not None:
            await self._answered.settled.wait()

    async def _look_ahead(self, portion: Portion) -> _Ahead:
        """Plan a portion while others are written, where that can be found right afterwards."""
        if self._first is None:
            self._first = anyio.Event()
            try:
                return await self._looked_up(portion)
            finally:
                self._first.set()
        # All keys at once are read for the first one, or while nothing is written.
        if self._matcher.reads_index(len(portion.records)):
            await self._first.wait()
            if self._matcher.reads_index(len(portion.records)):
                return _Ahead(portion)
        return await self._looked_up(portion)

    async def _looked_up(self, portion: Portion) -> _Ahead:
        ctx, ahead = self._ctx, _Ahead(portion)
        live = ahead.live()
        merges = any(record.merged_into is not None for record in portion.records)
        # What a bulk job takes is too much to hold several times.
        if not ctx.looks_ahead or merges or len(live) > LOOKED_AHEAD:
            return ahead
        foresight = Foresight()
        ctx.foresights.append(foresight)
        view = ctx.foreseeing(foresight)
        view.asked_of = await self._asked_of(view, live)
        if await view.remote.merged_into(sorted(view.asked_of), fields=view.fields(Side.REMOTE)):
            return _Ahead(portion, view)
        return _Ahead(portion, view, await take_in(view, self._matcher, self._side, live))

    async def _decide_ahead(self, ahead: _Ahead) -> _Ahead:
        """Decide what was looked up."""
        if self._start is not None:
            await self._start.over()
        if ahead.view is None or ahead.intake is None:
            return ahead
        batch = await decide_ahead(ahead.view, ahead.intake.works, self._side)
        return attrs.evolve(ahead, batch=batch)

    async def _written_out(self, ahead: _Ahead) -> _Answered:
        ctx, side, portion = self._ctx, self._side, ahead.portion
        ctx.tally.sides[side].read += len(portion.records)
        for record in ahead.live():
            self._seen.add(record.id)
        intake, batch = await self._plan(ahead)
        self._miss(intake.gone)
        gone = [record for record in portion.records if record.deleted and record.merged_into is None]
        if gone:
            await self._all_settled()
            await queue_deleted(ctx, side, gone, self._queue)
        if batch is None:
            batch = await decide(ctx, intake.works, side)
        if portion.ends is not None:
            self._cursor, self._complete = portion.ends.cursor, portion.ends.complete_scan
        # What a complete scan did not show is known only after its last page: until then the cursor stays before it.
        waits = bool(self._queue or self._trail.waiting) or (self._complete and ctx.had_links)
        await write_out(ctx, batch)
        self._written.note(batch.written())
        return _Answered(portion, batch, None if waits else portion.ends, anyio.Event())

    async def _plan(self, ahead: _Ahead) -> tuple[Intake, Batch | None]:
        """What was planned ahead, if it stands; else what is planned now. Without a batch it is not decided yet."""
        ctx, view, live = self._ctx, self._ctx, ahead.live()
        if ctx.heard or ctx.told_of:
            await self._all_settled()  # who else was told is found out there
        if ahead.view is not None and ahead.view.foresight is not None:
            foresight = ahead.view.foresight
            ctx.foresights.remove(foresight)
            others = self._written_since(ahead.portion) | self._trail.bound.keys()
            stands = foresight.stands() and others.isdisjoint(r.id for r in live)
            if stands and ahead.intake is not None and not (ctx.heard and ahead.batch):
                ctx.asked_of = ahead.view.asked_of
                ctx.tally.add(ahead.view.tally)
                return ahead.intake, ahead.batch
            view = ctx.foreseeing(foresight)
        await self._all_settled()
        live = await self._asked_again(ahead.portion, live)
        merged = [r for r in ahead.portion.records if r.deleted and r.merged_into is not None]
        self._trail.shown.update(record.id for record in merged)
        ctx.asked_of = await self._asked_of(view, live)
        merged += await view.remote.merged_into(sorted(ctx.asked_of), fields=view.fields(Side.REMOTE))
        if merged:
            view = ctx  # what is written of the merges was not foreseen
        moved = await follow_merged(ctx, merged, self._trail, self._queue)
        survivors = moved.remote_ids() | self._trail.bound.keys() | self._trail.absent()
        intake = await take_in(view, self._matcher, self._side, [r for r in live if r.id not in survivors])
        if view is not ctx:
            ctx.tally.add(view.tally)
        intake.extend(moved)
        return intake, None

    async def _asked_of(self, view: RunContext, live: Sequence[Record]) -> set[str]:
        """The records that are not linked yet: the CRM is asked who was merged into them."""
        if self._side is Side.LOCAL or not view.asks_of_merges:
            return set()
        links = await view.links(Side.REMOTE, [record.id for record in live])
        return {record.id for record in live} - links.keys()

    async def _asked_again(self, portion: Portion, live: list[Record]) -> list[Record]:
        """The records as they are now, where portions before wrote to them: this one may have been read before that.

        Else our own write would look undone, and the old value be carried to the other side.
        """
        old = self._written_since(portion).intersection(record.id for record in live)
        if not old:
            return live
        now = await self._ctx.store(self._side).get(sorted(old), fields=self._ctx.fields(self._side))
        return [now.get(record.id, record) for record in live if record.id in now or record.id not in old]

    def _written_since(self, portion: Portion) -> set[str]:
        return self._written.since(portion.read_at)
