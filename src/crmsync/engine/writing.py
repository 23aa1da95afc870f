"""Send operations to a side: journaled first, in batches, with rows that failed for a passing reason sent again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import anyio

from crmsync.engine.conflicts import overwritten_by
from crmsync.engine.context import RunContext
from crmsync.engine.history import to_be_written
from crmsync.engine.tasks import single_error
from crmsync.engine.work import Work
from crmsync.errors import TransientError, UnexpectedResponseError
from crmsync.models.events import BatchWritten, RetryScheduled
from crmsync.models.history import RecordChange
from crmsync.models.records import Fields, Operation, Outcome, Record, Side
from crmsync.models.state import JournalEntry, JournalPurpose

_Item = TypeVar("_Item")

ROW_ATTEMPTS = 4
"""How often a row is sent while its store answers that it may be sent again (a lock, say)."""


def entries_of(ctx: RunContext, works: Sequence[Work]) -> list[JournalEntry]:
    """What is noted of every write before it is sent, so that a crash leaves word of what may have taken effect."""
    now = ctx.clock.now()
    entries: list[JournalEntry] = []
    for work in works:
        conflicts = overwritten_by(ctx, work)
        for side, operation in work.operations.items():
            plain = work.merge.newcomer if work.merge is not None else None
            sent = plain.sent if plain is not None else ctx.merger.digests(side, operation.fields)
            before = ctx.merger.digests(side, _replaced(work.record(side), operation))
            work.digests[side] = (sent, before)
            entries.append(
                JournalEntry(
                    operation.op_id,
                    ctx.integration_id,
                    ctx.entity_type,
                    side,
                    operation.kind,
                    work.link.markmail_id,
                    work.link.crm_id,
                    sent,
                    before,
                    now,
                    conflicts.get(side, ()),
                    change=to_be_written(ctx, work, side),
                )
            )
    return entries


async def journal(ctx: RunContext, entries: Sequence[JournalEntry]) -> None:
    """Note writes before they are sent."""
    if entries:
        await ctx.repository.add_journal(ctx.lease.current, entries)


async def announce(ctx: RunContext, purpose: JournalPurpose, writes: Sequence[tuple[Operation, RecordChange]]) -> None:
    """Note writes that move no link by themselves before they are sent, for the history and what is to follow them."""
    entries = [
        JournalEntry(
            operation.op_id,
            ctx.integration_id,
            ctx.entity_type,
            change.side,
            operation.kind,
            change.markmail_id,
            change.crm_id,
            started_at=ctx.clock.now(),
            purpose=purpose,
            change=change,
        )
        for operation, change in writes
    ]
    await journal(ctx, entries)


def _replaced(record: Record | None, operation: Operation) -> Fields:
    """What the target holds now in the fields to be written; nothing if it does not hold the record yet."""
    return {name: record.fields[name] for name in operation.fields if name in record.fields} if record else {}


async def send(ctx: RunContext, side: Side, works: Sequence[Work]) -> None:
    """Write one side's operations and put the outcomes into the works.

    :raises LeaseLostError: another process took over; what was on its way is in the journal that it found.
    :raises TransientError: a whole call failed; what of it took effect is in the journal for the next run to find out.
    """
    due = {work.operations[side].op_id: work for work in works if side in work.operations}
    outcomes = await write(ctx, side, [work.operations[side] for work in due.values()])
    for op_id, outcome in outcomes.items():
        due[op_id].outcomes[side] = outcome
        ctx.tally.sides[side].count_outcome(outcome)


async def write(ctx: RunContext, side: Side, operations: Sequence[Operation]) -> dict[str, Outcome]:
    """The final outcome of each operation, by op_id."""
    outcomes: dict[str, Outcome] = {}
    pending = list(operations)
    for attempt in range(1, ROW_ATTEMPTS + 1):
        await _write_once(ctx, side, pending, outcomes)
        pending = [op for op in pending if isinstance(outcomes[op.op_id].error, TransientError)]
        if not pending or attempt == ROW_ATTEMPTS:
            break
        seconds = 0.5 * 2 ** (attempt - 1)
        ctx.notify(RetryScheduled(ctx.run_id, side, attempt, seconds, f"{len(pending)} rows were refused for now"))
        await ctx.clock.sleep(seconds)
    return outcomes


async def _write_once(
    ctx: RunContext, side: Side, operations: Sequence[Operation], outcomes: dict[str, Outcome]
) -> None:
    store = ctx.store(side)
    limiter = anyio.CapacityLimiter(max(1, store.limits.concurrent_writes))

    async def send_batch(batch: Sequence[Operation]) -> None:
        async with limiter:
            await ctx.lease.confirm()
            answered = await store.write(batch)
        if [o.op_id for o in answered] != [op.op_id for op in batch]:
            msg = f"{store.name} did not answer each operation in order"
            raise UnexpectedResponseError(msg)
        outcomes.update((outcome.op_id, outcome) for outcome in answered)
        for foresight in ctx.foresights:
            for operation, outcome in zip(batch, answered, strict=True):
                foresight.note_write(side, operation, outcome)
        failed = sum(not outcome.ok for outcome in answered)
        ctx.notify(BatchWritten(ctx.run_id, side, len(batch) - failed, failed))

    with single_error():
        async with anyio.create_task_group() as group:
            for batch in batched(operations, store.limits.write_batch):
                group.start_soon(send_batch, batch)


def batched(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Slices of at most ``size``."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
