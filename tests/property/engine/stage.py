"""One application and two CRMs, the real engine between them, and everything that people and networks do to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs

from crmsync.errors import CRMError, RejectedError
from crmsync.models.integrations import Integration
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, FieldMapping, ObjectMapping, two_way
from crmsync.models.plans import Plan
from crmsync.models.records import Operation, Side, StoreLimits
from crmsync.models.runs import RunReport, RunStatus
from crmsync.models.schema import FieldType
from crmsync.models.state import Conflict, ConflictStatus, Decision, Link
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.faults import Crash
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.world import FakeClock, World
from tests.property.engine.incidents import Incident, Incidents
from tests.property.engine.knowledge import ACME, BETA, LOCAL, SITES, Knowledge

OBJECT = "Contact"
TEXTS = {"name": "Name", "city": "City", "note": "Note"}
REMOTE_NAMES = {**TEXTS, "email": "Email", "tags": "Tags", "opted_out": "OptedOut"}
LOSSES: dict[str, Callable[[object], object]] = {
    "none": lambda value: value,
    "cut": lambda value: value[:6] if isinstance(value, str) else value,
    "upper": lambda value: value.upper() if isinstance(value, str) else value,
    "trim": lambda value: value.strip() if isinstance(value, str) else value,
}
LATE = timedelta(minutes=5)
LOOK_BACK = timedelta(minutes=10)
LEASE_SECONDS = 60


@attrs.frozen
class Conditions:
    """What the sides are like, and what the mapping says."""

    policy: ConflictPolicy = ConflictPolicy.NEWEST_WINS
    loss: str = "none"
    external_key: bool = True
    returns_stored: bool = True
    scanned: bool = False
    late: bool = False
    page: int | None = None
    delete: DeletePolicy = DeletePolicy.IGNORE


@attrs.define
class Counts:
    """How much was played, over all histories."""

    histories: int = 0
    runs: int = 0
    points: int = 0
    incidents: Counter[str] = attrs.field(factory=Counter)


class Stage:
    """A history, as it is played. Edits and runs are told in ``story``, line by line."""

    def __init__(self, conditions: Conditions, repository: SyncRepository, counts: Counts) -> None:
        self.conditions = conditions
        self.repository = repository
        self.counts = counts
        self.clock = FakeClock()
        self.knowledge = Knowledge()
        self.story: list[str] = [f"given {conditions}"]
        self.strict = True
        self.narrow = False
        self.was_narrow = False
        self.odd: set[int] = set()
        self.deleted: list[tuple[str, int, int]] = []
        self._edits = 0
        self.local = MemoryRecordStore(
            "subscribers",
            clock=self.clock,
            limits=StoreLimits(accepts_ids=True, change_feed=not conditions.scanned, look_back=timedelta(seconds=5)),
        )
        self.remotes = {ACME: self._remote("003", conditions.loss), BETA: self._remote("cnt", "none")}

    def _remote(self, prefix: str, loss: str) -> MemoryRecordStore:
        return MemoryRecordStore(
            OBJECT,
            clock=self.clock,
            id_prefix=prefix,
            limits=StoreLimits(
                external_key=self.conditions.external_key,
                look_back=LOOK_BACK,
                time_precision=timedelta(seconds=1),
                write_batch=3,
                read_page=50,
            ),
            lossy={"Note": LOSSES[loss]},
            late=LATE if self.conditions.late else timedelta(0),
            returns_stored=self.conditions.returns_stored,
            reject=self._refusal,
        )

    def _refusal(self, operation: Operation) -> CRMError | None:
        bad = self.strict and "bad" in str(operation.fields.get("Name"))
        return RejectedError("refused by a rule", code="rule", field="Name") if bad else None

    async def begin(self) -> None:
        """Make the two integrations known."""
        for name in (ACME, BETA):
            await self.repository.save_integration(Integration(id=name, provider="memory"))

    # --- what people do

    def store(self, site: str) -> MemoryRecordStore:
        """The store of a site."""
        return self.local if site == LOCAL else self.remotes[site]

    def records_of(self, site: str, person: int) -> dict[str, dict[str, object]]:
        """The living records with a person's e-mail."""
        email = _name(site, "email")
        return {i: f for i, f in self.store(site).snapshot().items() if f.get(email) == address(person)}

    def create(self, site: str, person: int, name: str | None) -> None:
        """Somebody enters a person."""
        self.story.append(f"{site}: p{person} is entered")
        if self.records_of(site, person):
            self.odd.add(person)
        record = self.store(site).add({_name(site, "email"): address(person)})
        self.knowledge.note(site, person, "", record, self.clock.now())
        if name is not None:
            self._write(site, person, record, "name", name)

    def edit(self, site: str, person: int, field: str, word: str | None) -> None:
        """Somebody sets or clears a text; each text set is new, so that nothing returns to what it was."""
        for record, held in self.records_of(site, person).items():
            if word is not None or held.get(_name(site, field)) is not None:
                self._edits += 1
                text = None if word is None else f"{self._edits:03}{word}"
                self._write(site, person, record, field, text)
            return

    def opt(self, site: str, person: int, *, out: bool) -> None:
        """Somebody opts a person out or in."""
        for record, held in self.records_of(site, person).items():
            if held.get(_name(site, "opted_out")) is not out:
                self._write(site, person, record, "opted_out", out)
            return

    def tag(self, site: str, person: int) -> None:
        """Somebody adds a tag that nobody used before."""
        for record, held in self.records_of(site, person).items():
            self._edits += 1
            tags = held.get(_name(site, "tags")) or ()
            assert isinstance(tags, tuple)
            self._write(site, person, record, "tags", (*tags, f"t{self._edits}"), told=f"+t{self._edits}")
            return

    def untag(self, site: str, person: int) -> None:
        """Somebody takes a person's first tag away."""
        for record, held in self.records_of(site, person).items():
            tags = held.get(_name(site, "tags"))
            if isinstance(tags, tuple) and tags:
                self._write(site, person, record, "tags", tags[1:], told=f"-{tags[0]}")
            return

    def _write(self, site: str, person: int, record: str, field: str, value: object, told: object = None) -> None:
        self.story.append(f"{site}: p{person}.{field} = {value if told is None else told!r}")
        store, name = self.store(site), _name(site, field)
        store.edit(record, {name: value})
        stored = store.snapshot()[record].get(name)
        self.knowledge.note(site, person, field, stored if told is None else told, self.clock.now())

    def delete(self, site: str, person: int) -> None:
        """Somebody deletes a person's records."""
        for record in self.records_of(site, person):
            self.story.append(f"{site}: p{person} is deleted")
            self.store(site).remove(record)
            created = {edit.number for edit in self.knowledge.of(person, "")}
            if created <= self.knowledge.sure[site]:
                self.deleted.append((site, person, len(self.knowledge.edits)))
            self.odd.add(person)

    def merge(self, site: str, person: int, into: int) -> None:
        """Somebody merges two people in a CRM."""
        losers, winners = self.records_of(site, person), self.records_of(site, into)
        if losers and winners and person != into:
            self.story.append(f"{site}: p{person} is merged into p{into}")
            self.store(site).remove(next(iter(losers)), merged_into=next(iter(winners)))
            self.odd |= {person, into}

    def convert(self, site: str, person: int) -> None:
        """A lead becomes a contact: a new record with the same fields takes the old one's place."""
        for record, held in self.records_of(site, person).items():
            self.story.append(f"{site}: p{person} is converted")
            new = self.store(site).add(held)
            self.store(site).remove(record, merged_into=new)
            return

    # --- what crmsync does

    def mapping(self) -> ObjectMapping:
        """The mapping as it is now."""
        names = [name for name in TEXTS if not (self.narrow and name == "city")]
        tags = two_way("tags", "Tags", field_type=FieldType.TAGS)
        consent = two_way("opted_out", "OptedOut", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE)
        fields: list[FieldMapping] = [two_way("email", "Email", field_type=FieldType.EMAIL)]
        fields += [two_way(name, TEXTS[name]) for name in names]
        return ObjectMapping(
            fields=(*fields, tags, consent),
            policy=self.conditions.policy,
            delete_in_crm=self.conditions.delete,
            delete_in_local=self.conditions.delete,
        )

    def world(self, remote: str, incidents: Incidents) -> World:
        """The engine's view: everything that it waits for passes the points."""
        world = World(
            self.mapping(), self.repository, self.clock, self.local, self.remotes[remote], integration_id=remote
        )
        world.through = {
            Side.LOCAL: incidents.around(self.local, "local"),
            Side.REMOTE: incidents.around(self.remotes[remote], remote),
        }
        world.through_repository = incidents.around(self.repository, "bookkeeping")
        return world

    async def run(
        self,
        remote: str,
        incident: Incident | None = None,
        edit: Callable[[], None] | None = None,
        **options: Any,
    ) -> RunReport | None:
        """One run, and what goes wrong in it; None if it did not end."""
        incidents = Incidents(incident, edit)
        self.was_narrow |= self.narrow
        begun = self.clock.now()
        settled = begun - LATE if self.conditions.late else begun
        before = [e.number for e in self.knowledge.edits if e.site == LOCAL or e.at <= settled]
        report: RunReport | None = None
        place = len(self.story)
        try:
            report = await self.world(remote, incidents).sync(page_size=self.conditions.page, **options)
        except (Crash, CRMError) as error:
            ended = type(error).__name__
            self.clock.tick(2 * LEASE_SECONDS)
        else:
            ended = f"{report.status}, {report.written} written, {report.problem_count} problems"
        struck = f", {incidents.struck}" if incidents.struck else ""
        self.story.insert(place, f"run {remote} {options or ''}{struck}: {ended}")
        well = report is not None and report.status is RunStatus.SUCCESS and not report.conflicts_open
        self.knowledge.ran(remote, before=before, well=well)
        self.counts.runs += 1
        self.counts.points += incidents.points
        if incidents.struck and incident is not None:
            self.counts.incidents[incident.kind.name.lower()] += 1
        return report

    async def plan(self, remote: str) -> Plan:
        """A dry run."""
        return await self.world(remote, Incidents()).plan(page_size=self.conditions.page)

    async def conflicts(self, remote: str) -> list[Conflict]:
        """Every conflict that was ever recorded."""
        return await self.repository.list_conflicts(remote, OBJECT)

    async def decide(self, remote: str, winner: Side) -> None:
        """Somebody decides what waits."""
        for conflict in await self.repository.list_conflicts(remote, OBJECT, statuses=[ConflictStatus.OPEN]):
            self.story.append(f"{remote}: {conflict.field} is decided for the {winner} side")
            await self.repository.decide_conflicts(remote, {conflict.id: Decision(winner)}, now=self.clock.now())

    async def links(self, remote: str) -> list[Link]:
        """The links, without what counts looks at them: when they were stored, and how often they failed."""
        links = await self.repository.scan_links(remote, OBJECT)
        return [attrs.evolve(link, created_at=None, updated_at=None, attempts=0) for link in links]

    def snapshot(self) -> dict[str, dict[str, dict[str, object]]]:
        """What every site holds."""
        return {site: self.store(site).snapshot() for site in SITES}


def address(person: int) -> str:
    """A person's e-mail, which never changes."""
    return f"p{person}@example.org"


def _name(site: str, field: str) -> str:
    if site == LOCAL:
        return field
    return REMOTE_NAMES[field]
