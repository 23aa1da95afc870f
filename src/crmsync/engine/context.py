"""What every part of a run works with."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence

import attrs

from crmsync.diff import Merger, PersonMarks
from crmsync.diff.digests import is_of_gone
from crmsync.engine.budget import RunBudget
from crmsync.engine.foresight import ForeseeingStore, Foresight
from crmsync.engine.lease import RunLease
from crmsync.engine.metering import MeteredStore
from crmsync.engine.overwrites import OverwriteTally
from crmsync.engine.tally import RunTally
from crmsync.errors import SafetyStopError
from crmsync.models.candidates import Candidate
from crmsync.models.events import SyncEvent
from crmsync.models.history import MASK
from crmsync.models.mappings import ObjectMapping
from crmsync.models.plans import PlannedRecord
from crmsync.models.records import Fields, Record, Side
from crmsync.models.runs import RunOptions
from crmsync.models.state import Acknowledgement, Cursors, Link, LinkStatus
from crmsync.models.stops import Stop
from crmsync.protocols.conversion import Normaliser, RecordRule
from crmsync.protocols.observers import Observer
from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.runtime import Clock, ConsentLog

LIVE = (LinkStatus.SYNCED, LinkStatus.CONFLICT, LinkStatus.REJECTED, LinkStatus.IGNORED)
"""Statuses of links that stand for a pair of living records."""

ASIDE = (LinkStatus.DELETED, LinkStatus.UNLINKED)
"""Statuses of links that keep two records apart, or one from being created anew."""

WAITING = (LinkStatus.CONFLICT, LinkStatus.REJECTED, LinkStatus.QUARANTINED)
"""Statuses of links that are not finished: while there are any, a run is partial."""

RETRIED = (LinkStatus.REJECTED, LinkStatus.QUARANTINED)
"""Statuses of links that every run looks at again, once."""

_TWINS = uuid.UUID("5f0c9f0e-6d2b-4c56-9a3f-0c1c5d3f7a10")
"""The namespace of the ids that records born in the CRM get locally."""


@attrs.define(slots=True, eq=False)
class RunContext:
    """One run of one object of one integration.

    ``cursors`` are the positions that are acknowledged so far, ``reached`` those read so far. ``had_links`` False:
    the run began with nothing linked, so nothing can be deleted. ``erasures``: people were erased, of whom ``marks``
    tell. ``tried`` are the markmail_ids that this run looked at because an earlier one could not finish them, and those
    that it could not finish itself.
    ``live_links`` are the links that the run began with. ``gives_keys``: some records may have been linked while the
    external key could not be written, and get it now. ``approved``: a person has approved what is carried out, so no
    guard counts it; ``approval`` is what was carried out like that. ``selected``: the run looks at some records only,
    and reports on them alone. ``heard`` is what records said last, by their ids, that were folded into this
    record of the CRM; ``told_of`` are those of whom this is carried out. ``left`` are the records that links leave for
    the one they were merged into, by the local id and that one's, while no feed has told so. ``asks_of_merges`` False:
    this run reads all that was folded away; ``asked_of`` are the records of the CRM that it was asked of just now.
    ``foresight`` answers and keeps what is looked up for a page while the page before is written; in ``foresights`` is
    noted what is written.
    In a dry run nothing is written or acknowledged: ``planned`` collects what would be, ``moved`` the links that would
    be stored by now though nothing is written (None: removed), ``going`` the records that would be deleted by now,
    ``readdressed`` those of a side that would have another e-mail by now, ``would_stop`` what a guard would say.
    """

    run_id: str
    integration_id: str
    entity_type: str
    mapping: ObjectMapping
    rule: RecordRule
    merger: Merger
    local: MeteredStore
    remote: MeteredStore
    repository: SyncRepository
    clock: Clock
    budget: RunBudget
    options: RunOptions
    tally: RunTally
    lease: RunLease
    marks: PersonMarks
    cursors: Cursors = attrs.field(factory=Cursors)
    reached: Cursors = attrs.field(factory=Cursors)
    had_links: bool = True
    erasures: bool = False
    live_links: int = 0
    deletes_planned: int = 0
    overwritten: OverwriteTally = attrs.field(factory=OverwriteTally)
    gives_keys: bool = False
    approved: bool = False
    approval: Stop | None = None
    would_stop: SafetyStopError | None = None
    observers: Sequence[Observer] = ()
    consents: ConsentLog | None = None
    dry_run: bool = False
    selected: bool = False
    foresight: Foresight | None = None
    foresights: list[Foresight] = attrs.field(factory=list)
    tried: set[str] = attrs.field(factory=set)
    heard: dict[str, Mapping[str, Fields]] = attrs.field(factory=dict)
    told_of: set[str] = attrs.field(factory=set)
    left: dict[tuple[str, str | None], list[str]] = attrs.field(factory=dict)
    asks_of_merges: bool = True
    asked_of: set[str] = attrs.field(factory=set)
    planned: list[PlannedRecord] = attrs.field(factory=list)
    planned_ids: set[str] = attrs.field(factory=set)
    moved: dict[str, Link | None] = attrs.field(factory=dict)
    going: set[tuple[Side, str]] = attrs.field(factory=set)
    readdressed: dict[Side, dict[str, str]] = attrs.field(factory=lambda: {side: {} for side in Side})

    @property
    def takes_apart(self) -> bool:
        """Whether a page's first records are written before its others are planned; a dry run plans what a run does.

        Of few calls none is spent on what may have to be asked again. References are read by links of other records
        than those that are looked at.
        """
        return self.budget.left is None and not any(rule.references for rule in self.rule.rules)

    @property
    def looks_ahead(self) -> bool:
        """Whether records are planned while others are written. A dry run writes nothing."""
        return self.takes_apart and not self.dry_run

    def store(self, side: Side) -> MeteredStore:
        """One side's record store."""
        return self.local if side is Side.LOCAL else self.remote

    def fields(self, side: Side) -> tuple[str, ...]:
        """The fields to ask a side for: what is mapped, and what identifies."""
        match = self.rule.match
        if side is Side.LOCAL:
            names = (*self.rule.local_fields, match.local_email, match.local_remote_id)
        else:
            names = (*self.rule.remote_fields, match.remote_email)
        return tuple(dict.fromkeys(name for name in names if name))

    def sensitive(self, side: Side) -> Mapping[str, Normaliser]:
        """The fields of a side whose values are kept nowhere, with their normal forms."""
        if side is Side.LOCAL:
            return {rule.local: rule.normal_local for rule in self.rule.rules if rule.sensitive}
        return {rule.remote: rule.normal_remote for rule in self.rule.rules if rule.sensitive}

    def digest_of(self, normal: Normaliser, value: object) -> str:
        """What tells one value of a field from another for those who hold the integration's key."""
        return self.merger.digester.scalar(normal(value)).hex()

    def shown(self, side: Side, fields: Fields) -> Fields:
        """A record's fields as a plan may hold them."""
        secret = self.sensitive(side)
        return {name: MASK if name in secret and value is not None else value for name, value in fields.items()}

    def email(self, side: Side, record: Record) -> str | None:
        """The record's e-mail in the form that identifies, or None."""
        spelled = self.spelled_email(side, record)
        return spelled.casefold() if spelled else None

    def spelled_email(self, side: Side, record: Record) -> str | None:
        """The record's e-mail as the side holds it: what stands in its place (a name, say) may be told by its case."""
        name = self.rule.match.local_email if side is Side.LOCAL else self.rule.match.remote_email
        value = record.fields.get(name) if name else None
        return value.strip() or None if isinstance(value, str) else None

    def twin_id(self, crm_id: str) -> str:
        """The local id for a record born in the CRM: always the same, so a repeated create finds itself."""
        return str(uuid.uuid5(_TWINS, f"{self.integration_id}\0{self.entity_type}\0{crm_id}"))

    def heard_id(self, crm_id: str) -> str:
        """In place of a local id, for the tombstone of a record that is gone, and of which nothing is left to hear."""
        return self.twin_id(f"heard\0{crm_id}")

    def left_id(self, crm_id: str) -> str:
        """In place of a local id, for what is kept of a record that is gone, and whose local record has another one."""
        return self.twin_id(f"left\0{crm_id}")

    def gone_id(self, crm_id: str) -> str:
        """The same for one that was found gone before it had a counterpart: it may have said something last."""
        return self.twin_id(f"gone\0{crm_id}")

    def is_memory(self, link: Link) -> bool:
        """Whether a link only remembers a record that is gone: it stands for no local record."""
        crm_id = link.crm_id or ""
        known = link.local_shadow or link.remote_shadow
        return not known and link.markmail_id in (self.heard_id(crm_id), self.left_id(crm_id), self.gone_id(crm_id))

    def new_link(self, markmail_id: str, crm_id: str | None, born: Side) -> Link:
        """A link that knows nothing yet but its ids."""
        return Link(
            self.integration_id,
            self.entity_type,
            markmail_id,
            crm_id,
            born=born,
            mapping_version=self.rule.version,
        )

    def advanced(self, side: Side, cursor: str | None) -> Cursors:
        """The acknowledged positions with one side's moved on."""
        if side is Side.LOCAL:
            return attrs.evolve(self.cursors, local=cursor)
        return attrs.evolve(self.cursors, remote=cursor)

    async def links(self, side: Side, ids: Sequence[str]) -> dict[str, Link]:
        """The links of these records of one side."""
        if not ids:
            return {}
        find = self.repository.links_by_local if side is Side.LOCAL else self.repository.links_by_remote

        async def look(wanted: Sequence[str]) -> Mapping[str, Link]:
            return await find(self.integration_id, self.entity_type, wanted)

        found = dict(await look(ids)) if self.foresight is None else await self.foresight.links(side, ids, look)
        return self._as_planned(side, ids, found) if self.moved else found

    def _as_planned(self, side: Side, ids: Sequence[str], found: Mapping[str, Link]) -> dict[str, Link]:
        """Links that were found, as a run would have moved them by now."""
        kept = {record_id: link for record_id, link in found.items() if link.markmail_id not in self.moved}
        if side is Side.LOCAL:
            return kept | {key: link for key in ids if (link := self.moved.get(key)) is not None}
        moved = {link.crm_id: link for link in self.moved.values() if link is not None}
        return kept | {key: moved[key] for key in ids if key in moved}

    def left_waiting(self, link: Link) -> bool:
        """Whether this run has tried a link in vain: it is the next run's, whatever this one reads of its records."""
        return link.markmail_id in self.tried and link.status in RETRIED

    def still_live(self, links: Iterable[Link]) -> list[Link]:
        """Live links as the bookkeeping holds them, without those that a plan has parted with by now."""
        now = (self.moved.get(link.markmail_id, link) for link in links)
        return [link for link in now if link is not None and link.status in LIVE]

    def foreseeing(self, foresight: Foresight) -> RunContext:
        """The same run for a page's plan, which writes nothing: what it looks up and counts is kept apart."""
        return attrs.evolve(
            self,
            local=ForeseeingStore(self.local, Side.LOCAL, foresight),
            remote=ForeseeingStore(self.remote, Side.REMOTE, foresight),
            tally=RunTally(self.tally.started_at),
            foresight=foresight,
        )

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Store in one transaction, if there is anything to store; a dry run notes the links alone, for itself.

        With links that move on to another record of the CRM goes what is kept of the one before, see ``left``.
        """
        if self.left:
            acknowledgement = self._with_left(acknowledgement)
        if self.dry_run:
            self.moved |= dict.fromkeys(acknowledgement.removed_links)
            self.moved |= {link.markmail_id: link for link in acknowledgement.links}
            return
        if acknowledgement == Acknowledgement():
            return
        await self.repository.acknowledge(self.lease.current, acknowledgement)
        for foresight in self.foresights:
            foresight.note_acknowledged(acknowledgement)
        if acknowledgement.cursors is not None:
            self.cursors = acknowledgement.cursors

    def _with_left(self, acknowledgement: Acknowledgement) -> Acknowledgement:
        rows = [
            self.kept_of(crm_id, link.markmail_id)
            for link in acknowledgement.links
            for crm_id in self.left.pop((link.markmail_id, link.crm_id), ())
        ]
        return attrs.evolve(acknowledgement, links=(*acknowledgement.links, *rows))

    def kept_of(self, crm_id: str, markmail_id: str) -> Link:
        """What is kept of a record that is gone, whose local record has another one: that is named as a candidate."""
        own = Candidate(id=markmail_id, side=Side.LOCAL)
        link = self.new_link(self.left_id(crm_id), crm_id, Side.REMOTE)
        return attrs.evolve(link, status=LinkStatus.UNLINKED, candidates=(own,))

    def tombstone_of(self, own_id: str, crm_id: str) -> Link:
        """The tombstone of a record of the CRM alone, under `heard_id` or `gone_id`."""
        return attrs.evolve(self.new_link(own_id, crm_id, Side.REMOTE), status=LinkStatus.DELETED)

    def stop(self, error: SafetyStopError) -> None:
        """What a guard calls: ends a run; a dry run goes on and remembers the first one."""
        if not self.dry_run:
            raise error
        self.would_stop = self.would_stop or error

    def notify(self, event: SyncEvent) -> None:
        """Tell every observer."""
        for observer in self.observers:
            observer.notify(event)


async def count_links(ctx: RunContext) -> None:
    """Note how many links the run begins with."""
    counts = await ctx.repository.count_links(ctx.integration_id, ctx.entity_type)
    ctx.had_links = any(counts.values())
    ctx.live_links = sum(count for status, count in counts.items() if status in LIVE)


async def note_positions(ctx: RunContext) -> None:
    """Note how far both sides were read, and, before anything is linked without one, that external keys may lack."""
    ctx.cursors = await ctx.repository.get_cursors(ctx.integration_id, ctx.entity_type)
    ctx.gives_keys = ctx.remote.limits.external_key and ctx.cursors.unkeyed_after is not None
    known = with_keys_lacking(ctx, ctx.cursors)
    if known != ctx.cursors:
        await ctx.acknowledge(Acknowledgement(cursors=known))
        ctx.cursors = known


def with_keys_lacking(ctx: RunContext, cursors: Cursors) -> Cursors:
    """Positions as they are where the CRM takes no external keys now: any link may lack one."""
    return cursors if ctx.remote.limits.external_key else attrs.evolve(cursors, unkeyed_after="")


def shadow_of(link: Link, side: Side) -> bytes:
    """One side's shadow of a link. Empty: that side has no record, or none any more."""
    shadow = link.local_shadow if side is Side.LOCAL else link.remote_shadow
    return b"" if is_of_gone(shadow) else shadow


def id_of(link: Link, side: Side) -> str | None:
    """One side's id of a link."""
    return link.markmail_id if side is Side.LOCAL else link.crm_id
