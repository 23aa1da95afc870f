"""Merges in the CRM, and conversions: the links of what was folded into another record follow to that one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from crmsync.engine.batch import Gate, carry_out, fingerprint
from crmsync.engine.conflicts import attach_conflicts, parting
from crmsync.engine.context import ASIDE, LIVE, RunContext, shadow_of
from crmsync.engine.deletes import DeleteQueue
from crmsync.engine.intake import Intake
from crmsync.engine.last_words import last_words, overhear, unheard_pairs, waiting_words
from crmsync.engine.trail import MergeTrail
from crmsync.engine.work import Work
from crmsync.models.candidates import Candidate
from crmsync.models.plans import PlannedRecord
from crmsync.models.problems import Problem
from crmsync.models.records import Record, Side
from crmsync.models.state import Link, LinkStatus


async def repoint_merged(ctx: RunContext, merged: Sequence[Record], trail: MergeTrail) -> Intake:
    """Records that a merge in the CRM folded into another: their links follow to the surviving record.

    Where the survivor is linked already, the loser's link is separated: its local record is then a duplicate that a
    person should look at. Losers whose survivor is not there (yet) stay on the trail. A person who was deleted locally,
    meanwhile or before, stays deleted under the new id, and a pair that was unlinked stays so.
    """
    trail.add(merged)
    links = await ctx.links(Side.REMOTE, list(trail.waiting))
    survivors = {loser: trail.survivor(loser) for loser in trail.waiting}
    targets = list(dict.fromkeys(survivors.values()))
    taken = await ctx.links(Side.REMOTE, targets)
    remotes = await ctx.remote.get(targets, fields=ctx.fields(Side.REMOTE))
    locals_ = await ctx.local.get([link.markmail_id for link in links.values()], fields=ctx.fields(Side.LOCAL))
    intake, separated, superseded, parted = Intake(), list[Link](), list[str](), list[Link]()
    for loser, survivor in survivors.items():
        remote, link = remotes.get(survivor), links.get(loser)
        if remote is None and link is not None:
            continue
        last = trail.waiting.pop(loser).fields
        if link is None or remote is None or link.status not in LIVE or not link.local_shadow:
            continue
        placeholder = taken.get(survivor)
        linked = placeholder is not None and bool(shadow_of(placeholder, Side.LOCAL))
        linked = linked or trail.bound.get(survivor, loser) != loser
        if linked or survivor in intake.remote_ids():
            holder = placeholder or next((work.link for work in intake.works if work.link.crm_id == survivor), None)
            separated.append(_separated(ctx, link, survivor, holder))
            parted.append(link)
            continue
        _leave(ctx, trail, link, survivor)
        shadow = ctx.merger.succeeded(Side.REMOTE, remote, link.remote_shadow, last)
        moved = attrs.evolve(link, crm_id=survivor, remote_shadow=shadow)
        local = locals_.get(link.markmail_id)
        if local is None:
            intake.gone.append((moved, Side.LOCAL))
            trail.bound[survivor] = loser
        else:
            intake.works.append(Work(moved, local, remote, fresh=True))
        if placeholder is not None:
            superseded.append(placeholder.markmail_id)
    aside = {
        loser: link
        for loser, link in links.items()
        if _stays_so(link, locals_.get(link.markmail_id)) and not ctx.is_memory(link)
    }
    free = remotes.keys() - {*taken, *trail.bound, *intake.remote_ids()}
    present = {loser: to for loser, to in survivors.items() if to in remotes}
    for loser, stays in _set_aside(aside, present, free):
        separated.append(stays)
        if stays.crm_id != loser:
            _leave(ctx, trail, links[loser], present[loser])
    if separated or superseded:
        ended = await parting(ctx, parted)
        await ctx.acknowledge(attrs.evolve(ended, links=tuple(separated), removed_links=tuple(superseded)))
    await attach_conflicts(ctx, intake.works)
    return intake


def _leave(ctx: RunContext, trail: MergeTrail, link: Link, survivor: str) -> None:
    """Note that a link leaves a loser for the survivor, if the feed may show the loser as living after that."""
    if link.crm_id is not None and link.crm_id not in trail.shown:
        ctx.left.setdefault((link.markmail_id, survivor), []).append(link.crm_id)


def _stays_so(link: Link, local: Record | None) -> bool:
    """Whether a pair was set aside, and is so for the survivor, too: it is there, or nobody is left on either side."""
    left_here = local is not None and bool(shadow_of(link, Side.LOCAL))
    return link.status in ASIDE and (bool(shadow_of(link, Side.REMOTE)) or not left_here)


def _set_aside(
    aside: Mapping[str, Link], survivors: Mapping[str, str], free: Collection[str]
) -> Iterator[tuple[str, Link]]:
    """The links of losers that stay aside, with these: one goes on to each free survivor, the others keep nothing."""
    followed = set[str]()
    for loser, survivor in survivors.items():
        link = aside.get(loser)
        if link is not None and survivor in free and survivor not in followed:
            followed.add(survivor)
            yield loser, _followed(link, survivor)
        elif link is not None and link.remote_shadow:
            yield loser, attrs.evolve(link, remote_shadow=b"")


def _separated(ctx: RunContext, link: Link, survivor: str, holder: Link | None) -> Link:
    """The link of a record that was merged into one of another pair, and a problem that says so.

    The survivor and its local record stay with it as candidates: what was written to the merged record is part of their
    history, also when the survivor is merged into another one.
    """
    problem = Problem("", "merged", "its record was merged into one that is linked already", "merge the local ones")
    ctx.tally.add_problem(link, problem)
    if ctx.dry_run:
        # Nothing is written, but nothing tells of the merge again either, once the plan is carried out.
        ctx.planned.append(PlannedRecord(link.markmail_id, link.crm_id, (), fingerprint(ctx, Work(link, None, None))))
    problems = (problem, *waiting_words(link))
    candidates = [Candidate(id=survivor, side=Side.REMOTE)]
    if holder is not None and holder.local_shadow:
        candidates.append(Candidate(id=holder.markmail_id, side=Side.LOCAL))
    return attrs.evolve(
        link, status=LinkStatus.UNLINKED, remote_shadow=b"", problems=problems, candidates=tuple(candidates)
    )


def _followed(link: Link, survivor: str) -> Link:
    """The tombstone of a record that was merged. What was gone held something else than what the survivor holds."""
    return attrs.evolve(link, crm_id=survivor, local_shadow=shadow_of(link, Side.LOCAL))


async def follow_merged(
    ctx: RunContext, merged: Sequence[Record], trail: MergeTrail, queue: DeleteQueue, gate: Gate | None = None
) -> Intake:
    """As `repoint_merged`, after what the losers said last was carried over (see `last_words`).

    What the others said is for the survivors, of which those come along that are linked already.
    """
    if not merged:
        return Intake()
    words = await last_words(ctx, merged)
    if words:
        result = await carry_out(ctx, words, side=Side.REMOTE, gate=gate)
        for link, missing in result.gone:
            queue.add(link, missing)
    intake = await repoint_merged(ctx, merged, trail)
    if ctx.dry_run:
        _as_told(ctx, words, intake.works, trail)
    survivors = await overhear(ctx, merged, trail)
    known = intake.remote_ids()
    pairs = await unheard_pairs(ctx, [survivor for survivor in survivors if survivor not in known])
    await attach_conflicts(ctx, pairs)
    intake.works += pairs
    return intake


def _as_told(ctx: RunContext, words: Sequence[Work], works: Sequence[Work], trail: MergeTrail) -> None:
    """In a plan: the local records as they are once the words are carried over, and their pairs to be planned again.

    The survivor may be a loser, too, of a page to come: then the pair comes with that.
    """
    trail.told.update(
        (work.link.markmail_id, work.operations[Side.LOCAL].fields) for work in words if Side.LOCAL in work.operations
    )
    for work in works:
        fields = trail.told.pop(work.link.markmail_id, None)
        if fields is not None and work.local is not None:
            work.local = attrs.evolve(work.local, fields={**work.local.fields, **fields})
            ctx.planned_ids.discard(work.link.markmail_id)


async def follow_absent(
    ctx: RunContext,
    queue: DeleteQueue,
    trail: MergeTrail | None = None,
    gate: Gate | None = None,
    among: Collection[str] | None = None,
) -> None:
    """Take those out of the queue whose record is not deleted but merged into another one, and carry them on there.

    ``among`` are the CRM's ids of those to ask about; None: all.
    """
    absent = [record_id for record_id in queue.remote_ids() if among is None or record_id in among]
    if not absent:
        return
    trail = MergeTrail() if trail is None else trail
    moved = await follow_merged(
        ctx, await ctx.remote.merged_away(absent, fields=ctx.fields(Side.REMOTE)), trail, queue, gate
    )
    queue.forget(trail.followed())
    for link, missing in moved.gone:
        queue.add(link, missing)
    result = await carry_out(ctx, moved.works, side=Side.REMOTE, gate=gate)
    for link, missing in result.gone:
        queue.add(link, missing)
