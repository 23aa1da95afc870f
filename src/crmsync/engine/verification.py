"""Compare both sides completely, or a sample of them, without believing cursors or shadows; repair on request.

The CRM is read once, page by page, and each linked record is compared with its local counterpart; then the local side
is read for records that the first reading did not meet. Whatever looks wrong is read again before it is reported,
because people and other runs go on working meanwhile. Memory grows by sixteen bytes a record.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import attrs

from crmsync.diff import FieldDrift, field_drifts, forget_fields
from crmsync.diff.decisions import rule_key
from crmsync.engine.conflicts import attach_conflicts, waiting_fields
from crmsync.engine.context import LIVE, WAITING, RunContext, id_of
from crmsync.engine.deletes import DeleteQueue, carry_out_deletes
from crmsync.engine.keyindex import KeySet
from crmsync.engine.matching import Matcher
from crmsync.engine.merging import follow_absent
from crmsync.engine.reading import Portion, read_pass
from crmsync.engine.retrying import BATCH, carry
from crmsync.engine.tombstones import came_back, revived
from crmsync.engine.work import Work
from crmsync.models.records import Record, Side
from crmsync.models.state import Link, LinkStatus
from crmsync.models.verification import Drift, DriftKind, VerifyOptions
from crmsync.protocols.conversion import FieldRule

_WAITING = (*WAITING, LinkStatus.IGNORED)
_LOST = {
    frozenset({Side.LOCAL}): DriftKind.MISSING_LOCAL,
    frozenset({Side.REMOTE}): DriftKind.MISSING_REMOTE,
    frozenset(Side): DriftKind.MISSING_BOTH,
}
_ALONE = {Side.LOCAL: DriftKind.UNLINKED_LOCAL, Side.REMOTE: DriftKind.UNLINKED_REMOTE}
_KINDS = {FieldDrift.UNSYNCED: DriftKind.UNSYNCED, FieldDrift.DIVERGED: DriftKind.DIVERGED}


@attrs.define(slots=True, eq=False)
class Findings:
    """What a verification has met so far. ``keep`` bounds the list of single findings, not the counts."""

    keep: int
    pairs: int = 0
    waiting: int = 0
    represented: int = 0
    counts: Counter[DriftKind] = attrs.field(factory=Counter)
    by_field: dict[str, Counter[DriftKind]] = attrs.field(factory=dict)
    listed: list[Drift] = attrs.field(factory=list)

    def add(self, kind: DriftKind, markmail_id: str | None, crm_id: str | None, field: str | None = None) -> None:
        """Count one, and list it while there is room."""
        self.counts[kind] += 1
        if field is not None:
            self.by_field.setdefault(field, Counter())[kind] += 1
        if len(self.listed) < self.keep:
            self.listed.append(Drift(kind=kind, markmail_id=markmail_id, crm_id=crm_id, field=field))


@attrs.frozen(slots=True, eq=False)
class _Look:
    """What a link's two records are like at a moment. A record that is None is gone."""

    link: Link
    local: Record | None
    remote: Record | None
    drifts: tuple[tuple[FieldRule, FieldDrift], ...] = ()
    key_lost: bool = False

    @property
    def gone(self) -> frozenset[Side]:
        """The sides whose record is gone."""
        held = {Side.LOCAL: self.local, Side.REMOTE: self.remote}
        return frozenset(side for side, record in held.items() if record is None)

    @property
    def suspect(self) -> bool:
        """Whether anything is out of step."""
        return bool(self.gone) or self.key_lost or any(d is not FieldDrift.REPRESENTED for _, d in self.drifts)

    def without(self, fields: Collection[str]) -> _Look:
        """The same without these local fields."""
        if not fields:
            return self
        return attrs.evolve(self, drifts=tuple(each for each in self.drifts if each[0].local not in fields))


class Verification:
    """One comparison of one object. In a dry run nothing is repaired."""

    def __init__(self, ctx: RunContext, options: VerifyOptions) -> None:
        self.findings = Findings(options.keep)
        self._ctx = ctx
        self._options = options
        self._matcher = Matcher(first_load=False)
        self._lost = DeleteQueue()
        self._read = {side: KeySet() for side in Side}
        self._met = KeySet()

    async def go(self) -> None:
        """Compare, and repair unless this is a dry run.

        :raises SafetyStopError: a guard stopped the repair; what was repaired before stays.
        """
        if self._options.sample is None:
            await read_pass(self._ctx, Side.REMOTE, None, self._remote_page)
            await read_pass(self._ctx, Side.LOCAL, None, self._local_page)
            await self._scan(self._nowhere)
        else:
            await self._scan(self._chosen)
        if self._ctx.dry_run:
            return
        await follow_absent(self._ctx, self._lost)
        if self._lost:
            await carry_out_deletes(self._ctx, self._lost)

    async def _remote_page(self, portion: Portion) -> None:
        live = {record.id: record for record in portion.records if not record.deleted}
        links = await self._ctx.links(Side.REMOTE, list(live))
        for record_id in live:
            self._read[Side.REMOTE].add(record_id)
        for link in links.values():
            self._met.add(link.markmail_id)
        await self._strangers(Side.REMOTE, [record_id for record_id in live if record_id not in links])
        await self._returned([link for link in links.values() if _half_gone(link) is not None])
        await self._examine(list(links.values()), {Side.REMOTE: live})

    async def _local_page(self, portion: Portion) -> None:
        live = {record.id: record for record in portion.records if not record.deleted and record.id not in self._met}
        links = await self._ctx.links(Side.LOCAL, list(live))
        for record_id in live:
            self._read[Side.LOCAL].add(record_id)
        await self._strangers(Side.LOCAL, [record_id for record_id in live if record_id not in links])
        await self._examine(list(links.values()), {Side.LOCAL: live})

    async def _scan(self, wanted: Callable[[Link], bool]) -> None:
        """Examine links that are chosen without reading a side."""
        ctx, after = self._ctx, ""
        while links := await ctx.repository.scan_links(
            ctx.integration_id, ctx.entity_type, statuses=LIVE, after=after, limit=BATCH
        ):
            after = links[-1].markmail_id
            await self._examine([link for link in links if wanted(link)], {})

    def _nowhere(self, link: Link) -> bool:
        """Whether neither side's reading has shown a record of this link."""
        return (
            link.markmail_id not in self._met
            and link.markmail_id not in self._read[Side.LOCAL]
            and (link.crm_id or "") not in self._read[Side.REMOTE]
        )

    def _chosen(self, link: Link) -> bool:
        seeded = f"{self._options.seed}\0{link.markmail_id}".encode("utf-8", "surrogatepass")
        draw = int.from_bytes(hashlib.blake2b(seeded, digest_size=8).digest(), "big") / 2**64
        return draw < (self._options.sample or 0)

    async def _examine(self, links: Sequence[Link], held: Mapping[Side, Mapping[str, Record]]) -> None:
        """Compare pairs. What looks wrong is read again, both sides and the link: someone may be at work on it."""
        settled = [link for link in links if _compared(link)]
        self.findings.waiting += sum(link.status in _WAITING for link in links)
        self.findings.pairs += len(settled)
        looks = await self._look(settled, held)
        for look in looks:
            self.findings.represented += sum(d is FieldDrift.REPRESENTED for _, d in look.drifts)
        suspects = [look.link.markmail_id for look in looks if look.suspect]
        if not suspects:
            return
        now = await self._ctx.links(Side.LOCAL, suspects)
        again = await self._look([link for link in now.values() if _compared(link)], {})
        waiting = await waiting_fields(self._ctx, [look.link for look in again])
        less = [look.without(waiting.get(look.link.markmail_id, ())) for look in again]
        confirmed = [look for look in less if look.suspect]
        for look in confirmed:
            self._report(look)
        if not self._ctx.dry_run:
            await self._repair(confirmed)

    async def _look(self, links: Sequence[Link], held: Mapping[Side, Mapping[str, Record]]) -> list[_Look]:
        if not links:
            return []
        ctx, records = self._ctx, dict(held)
        for side in Side:
            if side not in records:
                ids = [found for link in links if (found := id_of(link, side))]
                records[side] = await ctx.store(side).get(ids, fields=ctx.fields(side))
        looks = []
        for link in links:
            local, remote = records[Side.LOCAL].get(link.markmail_id), records[Side.REMOTE].get(link.crm_id or "")
            if local is None or remote is None:
                looks.append(_Look(link, local, remote))
                continue
            drifts = field_drifts(ctx.merger, local, remote, link.local_shadow, link.remote_shadow)
            key_lost = ctx.remote.limits.external_key and remote.key != link.markmail_id
            looks.append(_Look(link, local, remote, tuple(drifts), key_lost))
        return looks

    def _report(self, look: _Look) -> None:
        ids = (look.link.markmail_id, look.link.crm_id)
        if look.gone:
            self.findings.add(_LOST[look.gone], *ids)
        if look.key_lost:
            self.findings.add(DriftKind.KEY, *ids)
        for rule, drift in look.drifts:
            if drift is not FieldDrift.REPRESENTED:
                self.findings.add(_KINDS[drift], *ids, rule.local)

    async def _repair(self, looks: Sequence[_Look]) -> None:
        """Merge what differs under the policies, and queue what is gone for the delete policies and their guard."""
        works = []
        for look in looks:
            for side in look.gone:
                self._lost.add(look.link, side)
            if look.local is not None and look.remote is not None:
                anew = frozenset(rule_key(rule) for rule, drift in look.drifts if drift is FieldDrift.DIVERGED)
                link = attrs.evolve(
                    look.link,
                    local_shadow=forget_fields(self._ctx.merger, look.link.local_shadow, anew),
                    remote_shadow=forget_fields(self._ctx.merger, look.link.remote_shadow, anew),
                )
                # A key that is another record's is for a person to look at; one that was cleared is written again.
                works.append(Work(link, look.local, look.remote, fresh=look.key_lost and look.remote.key is None))
        await attach_conflicts(self._ctx, works)
        await carry(self._ctx, works, Side.LOCAL, self._lost)

    async def _returned(self, tombstones: Sequence[Link]) -> None:
        """Pairs that are whole again, whichever record came back, though their tombstones say that one is gone."""
        if not tombstones:
            return
        ctx, works = self._ctx, list[Work]()
        locals_ = await ctx.local.get([link.markmail_id for link in tombstones], fields=ctx.fields(Side.LOCAL))
        links = (await ctx.links(Side.LOCAL, list(locals_))).values()
        ids = [link.crm_id for link in links if link.crm_id]
        remotes = await ctx.remote.get(ids, fields=ctx.fields(Side.REMOTE)) if ids else {}
        for link in links:
            local, remote, side = locals_[link.markmail_id], remotes.get(link.crm_id or ""), _half_gone(link)
            if remote is not None and side is not None:
                self.findings.add(DriftKind.RETURNED, link.markmail_id, link.crm_id)
                back = local if side is Side.LOCAL else remote
                works.append(Work(revived(ctx, link, side, back), local, remote))
        if works and not ctx.dry_run:
            await attach_conflicts(ctx, works)
            await carry(ctx, works, Side.LOCAL, self._lost)

    async def _strangers(self, side: Side, ids: Sequence[str]) -> None:
        """Records without a link, which the mapping would give one."""
        ctx = self._ctx
        wanted = ctx.mapping.create_in_crm if side is Side.LOCAL else ctx.mapping.create_in_local
        if not ids or not wanted:
            return
        records = await ctx.store(side).get(ids, fields=ctx.fields(side))
        links = await ctx.links(side, list(records))
        alone = [record for record_id, record in records.items() if record_id not in links]
        for record in alone:
            self.findings.add(_ALONE[side], *((record.id, None) if side is Side.LOCAL else (None, record.id)))
        if alone and not ctx.dry_run:
            await carry(ctx, await self._matcher.match(ctx, side, alone, {}), side, self._lost)


def _half_gone(link: Link) -> Side | None:
    """The side whose record a tombstone says is gone, while its counterpart was there."""
    return next((side for side in Side if came_back(link, side)), None)


def _compared(link: Link) -> bool:
    """Whether a link is a pair that was merged, but for fields that wait for a decision."""
    merged = link.status in (LinkStatus.SYNCED, LinkStatus.CONFLICT)
    return merged and bool(link.local_shadow) and bool(link.remote_shadow)
