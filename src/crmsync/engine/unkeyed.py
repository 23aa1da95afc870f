"""External keys for records that were linked while the key's field could not be written: hidden, or not there yet.

That the field is lacking is noted before anything is linked. The first runs that find it look once through all links.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from crmsync.engine.conflicts import attach_conflicts
from crmsync.engine.context import RunContext
from crmsync.engine.deletes import DeleteQueue, carry_out_deletes
from crmsync.engine.merging import follow_absent
from crmsync.engine.retrying import BATCH, carry
from crmsync.engine.work import Work
from crmsync.models.records import Side
from crmsync.models.state import Acknowledgement, Link, LinkStatus

_SETTLED = (LinkStatus.SYNCED, LinkStatus.CONFLICT)
"""Statuses of pairs that no run looks at again by itself; whatever was refused gets its key with the next attempt."""


async def give_keys(ctx: RunContext) -> None:
    """Write the external key to the linked records that lack it. Where a budget ends this, the next run goes on.

    It comes last: what changed is more urgent. A record with another one's key is for a person to look at.
    """
    if not ctx.gives_keys:
        return
    after, queue = ctx.cursors.unkeyed_after or "", DeleteQueue()
    batch = max(BATCH, ctx.remote.limits.write_batch)
    while links := await ctx.repository.scan_links(
        ctx.integration_id, ctx.entity_type, statuses=_SETTLED, after=after, limit=batch
    ):
        after = links[-1].markmail_id
        await carry(ctx, await _lacking(ctx, ctx.still_live(links)), Side.REMOTE, queue)
        await ctx.acknowledge(Acknowledgement(cursors=attrs.evolve(ctx.cursors, unkeyed_after=after)))
    await follow_absent(ctx, queue)
    if queue:
        await carry_out_deletes(ctx, queue)
    await ctx.acknowledge(Acknowledgement(cursors=attrs.evolve(ctx.cursors, unkeyed_after=None)))
    ctx.reached = attrs.evolve(ctx.reached, unkeyed_after=None)


async def _lacking(ctx: RunContext, links: Sequence[Link]) -> list[Work]:
    """The pairs whose remote record carries no key. Who is gone is met by a pass."""
    remotes = await ctx.remote.get([link.crm_id for link in links if link.crm_id], fields=ctx.fields(Side.REMOTE))
    unkeyed = {link.markmail_id: link for link in links if (r := remotes.get(link.crm_id or "")) and r.key is None}
    locals_ = await ctx.local.get(list(unkeyed), fields=ctx.fields(Side.LOCAL))
    works = [Work(link, locals_[key], remotes[link.crm_id or ""]) for key, link in unkeyed.items() if key in locals_]
    await attach_conflicts(ctx, works)
    return works
