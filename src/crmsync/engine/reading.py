"""Read one side's pass page by page, the next page being fetched while this one is worked on.

Where a side writes more in one go than a page holds, pages are gathered up to that many records. Where it writes less,
they are taken apart, so that the first records are written while the others are looked at.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import TypeVar

import anyio
import attrs
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from crmsync.engine.context import RunContext
from crmsync.engine.headstart import HeadStart
from crmsync.engine.tasks import single_error
from crmsync.errors import CRMError
from crmsync.models.events import PageRead
from crmsync.models.records import ChangePage, Record, Side

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

LEAST = 500
"""Fewer records are not taken apart: each portion is a transaction, and what a guard tells the rest of a run from."""

ON_THE_WAY = 2000
"""Records that are worked on at the same time, or three portions if that is more. Each takes up to 16 KB."""


@attrs.frozen(slots=True, eq=False)
class Portion:
    """Records of one pass that are worked on together.

    ``ends`` is the page that ends with them, whose position may be stored after them; None: it goes on. ``read_at`` is
    what `Written.moments` was when they were asked for.
    """

    records: tuple[Record, ...]
    ends: ChangePage | None
    read_at: int


@attrs.define(slots=True, eq=False)
class Written:
    """Which of a side's records a pass has written to: what was read before that shows them as they were."""

    _noted: deque[set[str]] = attrs.field(factory=deque)
    _forgotten: int = 0

    @property
    def moments(self) -> int:
        """How often something was noted."""
        return self._forgotten + len(self._noted)

    def note(self, ids: set[str]) -> None:
        """Records that were just written to."""
        self._noted.append(ids)

    def since(self, moment: int) -> set[str]:
        """Those noted since ``moments`` was that. What was noted earlier is forgotten: portions come in their order."""
        while self._forgotten < moment:
            self._noted.popleft()
            self._forgotten += 1
        return set().union(*self._noted)


@attrs.define(slots=True, eq=False)
class OnTheWay:
    """How many records are handed over and not done with, and how many portions were handed over.

    They are those of a pass, and of the next one if that is begun meanwhile.
    """

    records: int = 0
    portions: int = 0
    _fewer: anyio.Event = attrs.field(factory=anyio.Event)

    async def enter(self, portion: Portion) -> None:
        """Wait until there is room for a portion."""
        while self.records and self.records + len(portion.records) > max(ON_THE_WAY, 3 * len(portion.records)):
            await self._fewer.wait()
        self.records += len(portion.records)
        self.portions += 1

    def leave(self, portion: Portion) -> None:
        """It is done with."""
        self.records -= len(portion.records)
        self._fewer.set()
        self._fewer = anyio.Event()


async def read_pass(
    ctx: RunContext, side: Side, cursor: str | None, handle: Callable[[Portion], Awaitable[None]]
) -> None:
    """Hand every page of a pass to ``handle``, in order, and none taken apart.

    A read error reaches the caller only after the pages before it are dealt with: it never interrupts a write.
    """
    with single_error():
        async with anyio.create_task_group() as group, read_portions(group, Reading(ctx, side), cursor) as portions:
            async for portion in portions:
                if isinstance(portion, CRMError):
                    raise portion
                ctx.tally.sides[side].read += len(portion.records)
                await handle(portion)


def read_portions(
    group: TaskGroup, reading: Reading, cursor: str | None
) -> MemoryObjectReceiveStream[Portion | CRMError]:
    """The portions of a pass, in order; the last is the error that ended it, if one did."""
    send, receive = anyio.create_memory_object_stream[Portion | CRMError](0)
    group.start_soon(_read_ahead, reading, cursor, send)
    return receive


def prepared(
    group: TaskGroup,
    items: MemoryObjectReceiveStream[_Given | CRMError],
    prepare: Callable[[_Given], Awaitable[_Made]],
    *,
    at_once: int = 1,
) -> MemoryObjectReceiveStream[_Made | CRMError]:
    """What ``prepare`` makes of each, in order: of so many while the one before them is worked on, and none earlier.

    What it raises is handed on like an error of reading.
    """
    send, receive = anyio.create_memory_object_stream[_Made | CRMError](0)
    group.start_soon(_prepare_ahead, items, prepare, send, at_once)
    return receive


async def _prepare_ahead(
    items: MemoryObjectReceiveStream[_Given | CRMError],
    prepare: Callable[[_Given], Awaitable[_Made]],
    send: MemoryObjectSendStream[_Made | CRMError],
    at_once: int,
) -> None:
    free = anyio.Semaphore(at_once)

    async def hand_on(item: _Given | CRMError, turn: anyio.Event, done: anyio.Event) -> None:
        made = item if isinstance(item, CRMError) else await _prepared(item, prepare)
        await turn.wait()
        try:
            await send.send(made)
        except anyio.BrokenResourceError:  # see `_read_ahead`
            group.cancel_scope.cancel()
        done.set()
        free.release()

    async with items, send, anyio.create_task_group() as group:
        turn = anyio.Event()
        turn.set()
        await free.acquire()
        async for item in items:
            done = anyio.Event()
            group.start_soon(hand_on, item, turn, done)
            turn = done
            await free.acquire()


async def _prepared(item: _Given, prepare: Callable[[_Given], Awaitable[_Made]]) -> _Made | CRMError:
    try:
        return await prepare(item)
    except CRMError as error:
        return error


@attrs.frozen(slots=True)
class Reading:
    """How a pass is read. Without ``written``, pages are not taken apart; ``way`` is what they are handed over on.

    ``start`` is that of a pass which is begun before its turn. ``then`` is called with the way once all is handed over,
    if that was more than one portion.
    """

    ctx: RunContext
    side: Side
    written: Written | None = None
    way: OnTheWay | None = None
    start: HeadStart | None = None
    then: Callable[[OnTheWay], None] | None = None

    def moment(self) -> int:
        return self.written.moments if self.written is not None else 0

    def ended(self) -> None:
        """All is handed over."""
        if self.then is not None and self.way is not None and self.way.portions > 1:
            self.then(self.way)

    def tell(self, page: ChangePage) -> None:
        """Tell the observers of a page."""
        event = PageRead(self.ctx.run_id, self.side, len(page.records), page.total)
        if self.start is None or not self.start.hold(event):
            self.ctx.notify(event)

    def gathers(self) -> int:
        """Records that make a good batch for the sides' writes: what a page is gathered up to."""
        return self.ctx.options.page_size or max(self.ctx.store(side).limits.write_batch for side in Side)

    def apart(self, page: ChangePage, read_at: int) -> Iterator[Portion]:
        """The portions of a page: each as much as a side writes, or is asked for, at the same time."""
        records = page.records
        # The local side, a database as a rule, is not waited for as calls are.
        crm = self.ctx.remote.limits
        full_calls = math.ceil(LEAST / crm.write_batch) * crm.write_batch
        size = max(full_calls, crm.write_batch * crm.concurrent_writes, crm.find_batch)
        if self.written is None or not self.ctx.takes_apart:
            size = len(records)
        start = 0
        while len(records) - start > size:
            yield Portion(records[start : start + size], None, read_at)
            start += size
        yield Portion(records[start:], page, read_at)


async def _read_ahead(reading: Reading, cursor: str | None, send: MemoryObjectSendStream[Portion | CRMError]) -> None:
    ctx, side = reading.ctx, reading.side
    store, fields = ctx.store(side), ctx.fields(side)
    limit = ctx.options.page_size or store.limits.read_page
    gathered: ChangePage | None = None
    read_at = reading.moment()

    async def hand_over(page: ChangePage) -> None:
        for portion in reading.apart(page, read_at):
            if reading.way is not None:
                await reading.way.enter(portion)
            await send.send(portion)

    with suppress(anyio.BrokenResourceError):  # the reader gave up; its own error is the one that matters
        async with send:
            while True:
                if gathered is None:
                    read_at = reading.moment()
                start = None if reading.start is None or reading.start.is_over else reading.start
                try:
                    page = await store.changes(cursor, fields=fields, limit=limit)
                except CRMError as error:
                    if gathered is not None:
                        await hand_over(gathered)
                    await send.send(error)
                    return
                if start is not None and not await start.keeps(page):
                    continue
                reading.tell(page)
                cursor = page.cursor
                gathered = page if gathered is None else _joined(gathered, page)
                # A page without records only moves the position: it is stored at once, so that a crash loses nothing of
                # what the side prepares meanwhile.
                if page.has_more and gathered.records and len(gathered.records) < reading.gathers():
                    continue
                await hand_over(gathered)
                if not page.has_more:
                    reading.ended()
                    return
                gathered = None


def _joined(page: ChangePage, following: ChangePage) -> ChangePage:
    """Two pages of one pass as one."""
    return attrs.evolve(following, records=page.records + following.records)
