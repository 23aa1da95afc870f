"""Stops: what a guard's stop leaves for people to look at, and how an approved plan is carried out by the next run."""

from __future__ import annotations

import re

from crmsync.engine.context import RunContext
from crmsync.engine.overwrites import OverwriteTally
from crmsync.engine.run import apply
from crmsync.errors import SafetyStopError
from crmsync.models.plans import PlannedRecord
from crmsync.models.stops import Stop


async def note_stop(ctx: RunContext, error: SafetyStopError) -> None:
    """Leave word of a stop."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()
    stop = Stop(ctx.integration_id, ctx.entity_type, ctx.run_id, name, error.message, ctx.clock.now())
    await ctx.repository.note_stop(stop)


async def find_stop(ctx: RunContext) -> Stop | None:
    """The stop that waits, if there is one."""
    found = await ctx.repository.list_stops(ctx.integration_id, ctx.entity_type)
    return found[0] if found else None


async def carry_out_approved(ctx: RunContext, stop: Stop) -> None:
    """Carry out the plan that a person has approved, if it is still one of this mapping; then guard as ever.

    Records that changed since are left for the run that follows. Budgets hold here too; where one ends this, the
    approval stays and the next run goes on.
    """
    plan = stop.plan
    if plan is None or stop.approved_at is None or plan.mapping_version != ctx.rule.version:
        return

    async def page_of(page: int) -> list[PlannedRecord]:
        records = await ctx.repository.stopped_records(ctx.integration_id, ctx.entity_type, page)
        return [record.planned for record in records]

    ctx.approved = True
    await apply(ctx, page_of, plan.cursors)
    ctx.approved = False
    ctx.approval = stop
    ctx.deletes_planned, ctx.overwritten = 0, OverwriteTally()
    await ctx.repository.remove_stop(ctx.integration_id, ctx.entity_type)
