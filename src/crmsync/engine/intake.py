"""Turn records that a side reported into work: drop what did not change, fetch counterparts, match strangers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from crmsync.diff import BLANK_SHADOW
from crmsync.engine.conflicts import attach_conflicts
from crmsync.engine.consents import look_again
from crmsync.engine.context import ASIDE, RunContext, id_of, shadow_of
from crmsync.engine.matching import Matcher
from crmsync.engine.tombstones import came_back, revived
from crmsync.engine.work import Work
from crmsync.models.records import Record, Side
from crmsync.models.state import Link, LinkStatus


@attrs.define(slots=True)
class Intake:
    """What a batch of records leads to: work, and pairs of which one side turned out to be gone."""

    works: list[Work] = attrs.field(factory=list)
    gone: list[tuple[Link, Side]] = attrs.field(factory=list)

    def remote_ids(self) -> set[str | None]:
        """The CRM ids of all the pairs."""
        return {work.link.crm_id for work in self.works} | {link.crm_id for link, _ in self.gone}

    def extend(self, other: Intake) -> None:
        """Add another one's."""
        self.works += other.works
        self.gone += other.gone


async def take_in(ctx: RunContext, matcher: Matcher, side: Side, records: Sequence[Record]) -> Intake:
    """Sort a page's live records into linked pairs that changed, first meetings, and nothing to do."""
    other = side.other
    latest = {record.id: record for record in records}
    links = await ctx.links(side, list(latest))
    intake = Intake()
    changed: list[tuple[Link, Record]] = []
    strangers: list[Record] = []
    for record in await _without_gone(ctx, side, latest, links.values()):
        link = links.get(record.id)
        if link is None or ctx.is_memory(link):
            strangers.append(record)
        elif link.status in ASIDE:
            if came_back(link, side):
                changed.append((revived(ctx, link, side, record), record))
            else:
                ctx.tally.sides[side].unchanged += 1
        elif not shadow_of(link, other):
            if link.status is LinkStatus.IGNORED and _same_alone(ctx, link, side, record):
                ctx.tally.sides[side].unchanged += 1
            elif link.markmail_id not in ctx.tried:
                strangers.append(record)
        elif not (anew := _meets_anew(ctx, link, side, record)) and _same(ctx, link, side, record):
            seen = link.local_version if side is Side.LOCAL else link.remote_version
            ctx.tally.sides[side].count_unchanged(record, seen)
        elif not ctx.left_waiting(link):
            if anew:
                link = attrs.evolve(link, local_shadow=BLANK_SHADOW, remote_shadow=BLANK_SHADOW)
            changed.append((link, record))
    await _pair_up(ctx, side, changed, intake)
    if strangers:
        intake.works += await matcher.match(ctx, side, strangers, links)
    return intake


async def _without_gone(ctx: RunContext, side: Side, records: dict[str, Record], links: Iterable[Link]) -> list[Record]:
    """The records without those that are known to be gone, and that only a feed that is behind still shows as living.

    A lead, say, that was converted, whose link has gone on to the contact: it is nobody new, and the person may have
    been deleted here meanwhile. One that is back is taken as it is now.
    """
    gone = [link.crm_id for link in links if link.crm_id is not None and ctx.is_memory(link)]
    if gone:
        back = await ctx.remote.get(gone, fields=ctx.fields(Side.REMOTE))
        records = {key: back.get(key, record) for key, record in records.items() if key in back or key not in gone}
        ctx.tally.sides[side].unchanged += len(gone) - len(back)
    return list(records.values())


def _meets_anew(ctx: RunContext, link: Link, side: Side, record: Record) -> bool:
    """Whether a pair is to be merged as if it had never met: by the pass that comes first and shows every live one.

    One that a person said to leave as it is stays so until its record changes.
    """
    if not ctx.options.from_scratch or side is Side.LOCAL:
        return False
    return link.status is not LinkStatus.IGNORED or not _same(ctx, link, side, record)


def _same(ctx: RunContext, link: Link, side: Side, record: Record) -> bool:
    return link.mapping_version == ctx.rule.version and ctx.merger.unchanged(side, record, shadow_of(link, side))


def _same_alone(ctx: RunContext, link: Link, side: Side, record: Record) -> bool:
    return link.mapping_version == ctx.rule.version and link.last_sync_hash == ctx.merger.lone_hash(side, record)


async def _pair_up(ctx: RunContext, side: Side, changed: Sequence[tuple[Link, Record]], intake: Intake) -> None:
    other = side.other
    ids = [found for link, _ in changed if (found := id_of(link, other))]
    counterparts = await ctx.store(other).get(ids, fields=ctx.fields(other))
    for link, record in changed:
        counterpart = counterparts.get(id_of(link, other) or "")
        if counterpart is None:
            intake.gone.append((link, other))
        elif side is Side.LOCAL:
            intake.works.append(Work(link, record, counterpart))
        else:
            intake.works.append(Work(link, counterpart, record))
    await look_again(ctx, side, intake.works)
    await attach_conflicts(ctx, intake.works)
