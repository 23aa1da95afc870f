"""Read one side's pass page by page, the next page being fetched while this one is worked on.

Where a side writes more in one go than a page holds, pages are gathered up to that many records and dealt with as one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio
import attrs
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from crmsync.engine.context import RunContext
from crmsync.engine.tasks import single_error
from crmsync.errors import CRMError
from crmsync.models.events import PageRead
from crmsync.models.records import ChangePage, Side

_Prepared = TypeVar("_Prepared")

READ_AHEAD = 3
"""Pages that `read_prepared` may have handled between the moment when one was read and its own turn: while one is
handled the next is prepared, one waits for that, and one is read: so a side's calls at a time are made use of."""


async def read_pass(
    ctx: RunContext, side: Side, cursor: str | None, handle: Callable[[ChangePage], Awaitable[None]]
) -> None:
    """Hand every page of a pass to ``handle``, in order.

    A read error reaches the caller only after the pages before it are dealt with: it never interrupts a write.
    """
    with single_error():
        async with anyio.create_task_group() as group, _begun(group, ctx, side, cursor) as pages:
            async for page in pages:
                if isinstance(page, CRMError):
                    raise page
                ctx.tally.sides[side].read += len(page.records)
                await handle(page)


async def read_prepared(
    ctx: RunContext,
    side: Side,
    cursor: str | None,
    prepare: Callable[[ChangePage], Awaitable[_Prepared]],
    handle: Callable[[_Prepared], Awaitable[None]],
) -> None:
    """`read_pass`, but a page is prepared while the one before it is handled, and none earlier.

    What preparing raises reaches the caller like a read error.
    """
    with single_error():
        async with anyio.create_task_group() as group:
            send, receive = anyio.create_memory_object_stream[_Prepared | CRMError](0)
            group.start_soon(_prepare_ahead, _begun(group, ctx, side, cursor, waiting=1), prepare, send)
            async with receive:
                async for prepared in receive:
                    if isinstance(prepared, CRMError):
                        raise prepared
                    await handle(prepared)


def _begun(
    group: TaskGroup, ctx: RunContext, side: Side, cursor: str | None, *, waiting: int = 0
) -> MemoryObjectReceiveStream[ChangePage | CRMError]:
    send, receive = anyio.create_memory_object_stream[ChangePage | CRMError](waiting)
    group.start_soon(_read_ahead, ctx, side, cursor, send)
    return receive


async def _prepare_ahead(
    pages: MemoryObjectReceiveStream[ChangePage | CRMError],
    prepare: Callable[[ChangePage], Awaitable[_Prepared]],
    send: MemoryObjectSendStream[_Prepared | CRMError],
) -> None:
    with suppress(anyio.BrokenResourceError):  # see `_read_ahead`
        async with pages, send:
            async for page in pages:
                await send.send(page if isinstance(page, CRMError) else await _prepared(page, prepare))


async def _prepared(page: ChangePage, prepare: Callable[[ChangePage], Awaitable[_Prepared]]) -> _Prepared | CRMError:
    try:
        return await prepare(page)
    except CRMError as error:
        return error


async def _read_ahead(
    ctx: RunContext, side: Side, cursor: str | None, send: MemoryObjectSendStream[ChangePage | CRMError]
) -> None:
    store, fields = ctx.store(side), ctx.fields(side)
    limit = ctx.options.page_size or store.limits.read_page
    gathered: ChangePage | None = None
    with suppress(anyio.BrokenResourceError):  # the reader gave up; its own error is the one that matters
        async with send:
            while True:
                try:
                    page = await store.changes(cursor, fields=fields, limit=limit)
                except CRMError as error:
                    if gathered is not None:
                        await send.send(gathered)
                    await send.send(error)
                    return
                ctx.notify(PageRead(ctx.run_id, side, len(page.records), page.total))
                cursor = page.cursor
                gathered = page if gathered is None else _joined(gathered, page)
                # A page without records only moves the position: it is stored at once, so that a crash loses nothing of
                # what the side prepares meanwhile.
                if page.has_more and gathered.records and len(gathered.records) < _worth_writing(ctx):
                    continue
                await send.send(gathered)
                if not page.has_more:
                    return
                gathered = None


def _worth_writing(ctx: RunContext) -> int:
    """Records that make a good batch for the sides' writes: what a page is gathered up to."""
    return ctx.options.page_size or max(ctx.store(side).limits.write_batch for side in Side)


def _joined(page: ChangePage, following: ChangePage) -> ChangePage:
    """Two pages of one pass as one."""
    return attrs.evolve(following, records=page.records + following.records)
