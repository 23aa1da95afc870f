"""One application and two CRMs, the real engine between them, and everything that people and networks do to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs

from crmsync.engine import RunBudget
from crmsync.errors import BudgetExceededError, CRMError, SafetyStopError
from crmsync.models.history import RecordChange
from crmsync.models.integrations import Integration
from crmsync.models.mappings import ObjectMapping
from crmsync.models.plans import Plan
from crmsync.models.records import OperationKind, Side
from crmsync.models.runs import RunReport, RunStatus
from crmsync.models.state import Conflict, ConflictStatus, Decision, Link, LinkStatus
from crmsync.models.stops import StoppedPlan, StoppedRecord
from crmsync.protocols.repository import SyncRepository
from crmsync.security.vault import Vault
from crmsync.testing.faults import Crash
from crmsync.testing.world import FakeClock, World
from tests.property.engine.days import BEGINNING, Days
from tests.property.engine.feed import Feed
from tests.property.engine.incidents import BOOKKEEPING, Incidents
from tests.property.engine.knowledge import ACME, BETA, LOCAL
from tests.property.engine.ledger import Ledger
from tests.property.engine.mapped import Mapped, compiled, mapping
from tests.property.engine.people import People
from tests.property.engine.promises import Counts, Promise
from tests.property.engine.sites import LATE, OBJECT, Conditions, Sites, name_at
from tests.property.engine.telling import ended, shown, told

LEASE_SECONDS = 60
MANY = 1000
"""More deletes than a history can come to."""


@attrs.define
class MappingState:
    """The mapping as somebody left it. ``version`` counts changes that touch no field."""

    narrow: bool
    was_narrow: bool = False
    version: int = 0


class Stage:
    """A history, as it is played. ``reached`` has the points of each run, ``at_rest`` what the sites came to.

    ``cut`` are the CRMs whose last run did not end: the next one goes on there, and does not look again at what that
    had read. ``born`` is what a CRM's record has that is created without it.
    """

    def __init__(
        self, conditions: Conditions, repository: SyncRepository, counts: Counts, clock: FakeClock | None = None
    ) -> None:
        self.conditions = conditions
        self.repository = repository
        self.counts = counts
        self.clock = clock or (FakeClock() if conditions.day is None else FakeClock(BEGINNING))
        self.days = Days(conditions.day, self.clock, counts)
        self.sites = Sites(conditions, self.clock)
        self.people = People(self.sites)
        self.mapped = MappingState(conditions.narrow)
        self.calls = conditions.calls
        self.guard: int | None = conditions.guard
        self.approved: Counter[str] = Counter()
        self.disturbed = False
        self.cut: set[str] = set()
        self.born: Mapping[str, object] = {}
        self.ledger = Ledger()
        self.at_rest: dict[str, dict[str, dict[str, object]]] = {}
        self.reached: list[Counter[str]] = []
        self._left: dict[str, tuple[object, ...]] = {}
        self.story = self.people.story
        self.story.append(f"given {conditions.model_dump_json(exclude_defaults=True)}")

    async def begin(self) -> None:
        """Make the two integrations known."""
        for name in (ACME, BETA):
            await self.repository.save_integration(Integration(id=name, provider="memory"))

    def hold(self, promise: Promise, kept: bool, story: str) -> None:
        """See `Counts.hold`."""
        self.counts.hold(promise, kept, story)

    # --- the mapping

    def change_mapping(self) -> None:
        """The city is taken out of the mapping, or put into it."""
        self.mapped.narrow = not self.mapped.narrow
        self.story.append(f"the mapping {'leaves city out' if self.mapped.narrow else 'has city'}")

    def new_version(self) -> None:
        """The mapping changes where no field is concerned."""
        self.mapped.version += 1
        self.story.append("the mapping has a new version")

    def mapping(self) -> ObjectMapping:
        """The mapping as it is now."""
        return mapping(self._mapped())

    def _mapped(self) -> Mapped:
        given, now = self.conditions, self.mapped
        return Mapped(given.policy, given.delete, given.guard, now.narrow, now.version)

    # --- what crmsync does

    @asynccontextmanager
    async def process(self, remote: str, incidents: Incidents) -> AsyncIterator[World]:
        """The world of a process that does something for an integration, within the limits of the history."""
        repository = incidents.around(self.repository, BOOKKEEPING)
        async with self.days.budget(repository, remote, self.calls) as budget:
            yield self.world(remote, incidents, budget)

    def world(self, remote: str, incidents: Incidents, budget: RunBudget | None = None) -> World:
        """The engine's view: all that it waits for passes the points. Without a ``budget`` it has all calls."""
        given = self._mapped()
        spend = self.days.counted(remote, budget.spend) if budget else None
        world = World(
            mapping(given),
            self.repository,
            self.clock,
            self.sites.local,
            self.sites.remotes[remote],
            integration_id=remote,
            budget=budget or RunBudget(),
            compile=lambda _, *sides, **__: compiled(given, *sides),
            observers=(self.ledger,),
        )
        local, theirs = (
            self.ledger.watch(
                self.sites[name], self.sites[name].snapshot, remote, side, partial(self._hidden_names, name)
            )
            for side, name in self.sides(remote)
        )
        world.through = {
            Side.LOCAL: incidents.around(local, LOCAL, show=Feed(self.conditions).shown),
            Side.REMOTE: incidents.around(
                theirs, remote, spend=spend or world.budget.spend, show=Feed(self.conditions).shown
            ),
        }
        world.through_repository = incidents.around(self.repository, BOOKKEEPING)
        return world

    def sides(self, remote: str) -> tuple[tuple[Side, str], tuple[Side, str]]:
        """The sites that an integration is between."""
        return (Side.LOCAL, LOCAL), (Side.REMOTE, remote)

    def look(self, remote: str) -> None:
        """A run is about to begin: what of an earlier one's writes still shows?"""
        snapshot = self.sites.snapshot()
        held = {side: snapshot[name] for side, name in self.sides(remote)}
        hidden = {side: self._hidden_names(name) for side, name in self.sides(remote)}
        keyed, undeleted = self.conditions.external_key, self.people.undeleted
        self.ledger.look(remote, held, hidden, keyed=keyed, undeleted=undeleted)

    async def run(self, remote: str, incidents: Incidents | None = None, **options: Any) -> RunReport | None:
        """One run, and what goes wrong in it; None if it did not end."""
        incidents = incidents or Incidents()
        self.mapped.was_narrow |= self.mapped.narrow
        met = self._met(remote)
        place, report, error = len(self.story), None, None
        approved = self.approved[remote]
        several = self._several(remote) - self.people.merged
        linked = await self._pairs(remote) if several else set()
        keyed = set(self.sites[remote].keys().items())
        self.look(remote)
        try:
            allowed = MANY if self.guard is None else None
            async with self.process(remote, incidents) as world:
                report = await world.sync(page_size=self.conditions.page, allow_deletes=allowed, **options)
        except (Crash, CRMError) as stopped:
            error = stopped
            self._judge_refusal(remote, error)
            self.clock.tick(2 * LEASE_SECONDS)
        struck = f", {incidents.struck}" if incidents.struck else ""
        self.story.insert(place, f"run {remote}{shown(options)}{struck}: {ended(report, error)}")
        finished = report is not None and not (report.conflicts_open or report.ignored)
        well = finished and report is not None and report.status is RunStatus.SUCCESS and remote not in self.cut
        (self.cut.discard if report is not None else self.cut.add)(remote)
        self.people.knowledge.ran(remote, before=met, well=well)
        if incidents.edited:
            self.look(remote)  # it may have come before the run looked
        self.ledger.settle(remote, well=report is not None)
        self.count(incidents)
        self._judge_run(remote, incidents, report, error, approved)
        if incidents.taken:
            await self.judge_fence(remote, incidents)
        if report is not None:
            del self.approved[remote]  # a run that ends well leaves no stop, and no approval
        several &= self._several(remote) if several else set()
        if several:
            self._judge_guesses(remote, several, await self._pairs(remote) - linked - keyed)
        if report is not None and well and report.written and not incidents.struck and not self.conditions.late:
            plan = await self.plan(remote)
            self.hold(Promise.NO_ECHO, plan.writes == 0, f"{remote}: right after a run, {told(plan)}")
        return report

    def _hidden_names(self, site: str) -> set[str]:
        """What no run reads of a site: what its administrator hides, and what the mapping leaves out."""
        unmapped = {"city"} if self.mapped.narrow else set()
        return {name_at(site, field) for field in self.sites.hidden[site] | unmapped}

    def _met(self, remote: str) -> list[int]:
        """The edits that a run with this CRM meets for sure, if all goes well."""
        settled = self.clock.now() - LATE if self.conditions.late else self.clock.now()
        hidden = self.sites.hidden[LOCAL] | self.sites.hidden[remote]
        absent = self.people.absent(LOCAL, self.clock.now()) | self.people.absent(remote, settled)
        return [
            edit.number
            for edit in self.people.knowledge.edits
            if (edit.site == LOCAL or edit.at <= settled) and edit.field not in hidden and edit.person not in absent
        ]

    def count(self, incidents: Incidents) -> None:
        """Note what was reached, and what struck."""
        self.reached.append(incidents.reached)
        self.disturbed |= bool(incidents.struck)
        self.counts.runs += 1
        self.counts.points += incidents.reached.total()
        if incidents.struck and incidents.planned is not None:
            self.counts.incidents[incidents.planned.kind.name.lower()] += 1

    def _judge_run(
        self,
        remote: str,
        incidents: Incidents,
        report: RunReport | None,
        error: BaseException | None,
        approved: int,
    ) -> None:
        deletes, calls = incidents.deletes, incidents.calls_to(remote)
        guarded = not isinstance(error, Crash) and self.guard is not None
        if guarded:
            allowed = (self.guard or 0) + approved
            self.hold(Promise.DELETES, deletes <= allowed, f"{remote}: the guard let {deletes} deletes pass")
        if self.calls is not None:
            self.hold(Promise.BUDGET, calls <= self.calls, f"{remote}: {calls} calls were made of {self.calls}")
        if report is not None:
            reported = report.remote.api_calls
            self.hold(Promise.BUDGET, reported == calls, f"{remote}: {calls} calls were made, {reported} are reported")
            failed = incidents.failed and ".changes" in incidents.struck
            self.hold(Promise.REJECTS, not failed, f"{remote}: {incidents.struck}, and the run says {report.status}")
        stopped = incidents.struck or isinstance(error, SafetyStopError)
        self.hold(Promise.CONVERGES, report is not None or bool(stopped), f"{remote}: a run failed by itself: {error}")
        if incidents.slowed:
            ended = report is not None or isinstance(error, SafetyStopError)
            self.hold(Promise.FENCED, ended, f"{remote}: {incidents.struck}, and the run fails: {error}")

    def _judge_refusal(self, remote: str, error: BaseException) -> None:
        if isinstance(error, BudgetExceededError) and error.scope == "day":
            self.days.judge(remote, error)

    # --- the lease

    def stall(self) -> None:
        """An answer takes long."""
        self.clock.tick(LEASE_SECONDS - 5)

    async def take_over(self, remote: str, work: Callable[[], Awaitable[object]] | None = None) -> bool:
        """The lease of the run at work is over, and another process runs the same, or does other ``work`` there.

        Whether that came to begin.
        """
        at_work = self.ledger.run_id
        self.days.lose(remote)
        self.clock.tick(2 * LEASE_SECONDS)
        await (work() if work else self.run(remote))
        begun = self.ledger.run_id != at_work
        self.ledger.run_id = at_work
        self.counts.events["take-overs"] += begun
        self._left[remote] = await self._bookkept(remote)
        return begun

    async def _bookkept(self, remote: str) -> tuple[object, ...]:
        repository = self.repository
        return (
            await repository.scan_links(remote, OBJECT),
            await repository.get_cursors(remote, OBJECT),
            await repository.list_journal(remote, OBJECT),
            await self.conflicts(remote),
            await self.changes(remote),
        )

    async def judge_fence(self, remote: str, incidents: Incidents) -> None:
        """A run that another process took over from, when it has ended."""
        late = incidents.late
        self.hold(Promise.FENCED, late == 0, f"{remote}: {late} writes were sent after another process took over")
        same = await self._bookkept(remote) == self._left[remote]
        self.hold(Promise.FENCED, same, f"{remote}: the bookkeeping was written to after another process took over")

    def _several(self, remote: str) -> set[int]:
        """The persons of whom a site has more than one record."""
        made = {edit.person for edit in self.people.knowledge.edits}
        return {p for p in made if any(len(self.sites.records_of(site, p)) > 1 for site in (LOCAL, remote))}

    async def _pairs(self, remote: str) -> set[tuple[str, str | None]]:
        """The pairs that are linked."""
        return {(x.markmail_id, x.crm_id) for x in await self.links(remote) if x.local_shadow and x.remote_shadow}

    def _judge_guesses(self, remote: str, several: set[int], new: set[tuple[str, str | None]]) -> None:
        """No two records that people entered are a new pair where there were several all the time, but by their key."""
        for person in several:
            entered = {edit.value for edit in self.people.knowledge.of(person, "")}
            guessed = {(ours, theirs) for ours, theirs in new if {ours, theirs} <= entered}
            self.hold(Promise.NO_GUESS, not guessed, f"{remote}: p{person} was linked as {sorted(map(str, guessed))}")

    async def retry(self, remote: str) -> None:
        """Somebody has the rejects tried again, and nothing else."""
        error: CRMError | None = None
        report = None
        self.look(remote)
        try:
            async with self.process(remote, Incidents()) as world:
                report = await (await world.runner()).retry(None)
        except CRMError as stopped:
            error = stopped
            self._judge_refusal(remote, error)
            self.clock.tick(2 * LEASE_SECONDS)
        self.ledger.settle(remote, well=report is not None)
        self.story.append(f"{remote}: the rejects are retried: {ended(report, error)}")
        self.people.knowledge.ran(remote, before=(), well=False)

    async def ignore(self, remote: str, *, ignored: bool) -> None:
        """Somebody has all rejects ignored, or from now on tried again."""
        statuses = (LinkStatus.REJECTED, LinkStatus.QUARANTINED) if ignored else (LinkStatus.IGNORED,)
        if not await self.repository.scan_links(remote, OBJECT, statuses=statuses, limit=1):
            return
        # It takes long to import for a process that plays one history.
        from crmsync.service import CRMSync

        crm = CRMSync(self.repository, vault=Vault.from_key(Vault.generate_key()), clock=self.clock)
        found = [one.markmail_id for one in await crm.rejects(remote, OBJECT, statuses=statuses)]
        if found:
            self.clock.tick(2 * LEASE_SECONDS)  # the lease of a run that crashed has to run out
            self.story.append(f"{remote}: {len(found)} rejects are {'' if ignored else 'no longer '}ignored")
            await (crm.ignore_rejects if ignored else crm.unignore_rejects)(remote, OBJECT, found)

    async def approve(self, remote: str) -> None:
        """Somebody looks at what a stopped run would have done, and approves exactly that."""
        if not await self.repository.list_stops(remote, OBJECT):
            return
        plan = await self.plan(remote)
        records = [StoppedRecord.of(record) for record in plan.records]
        await self.repository.save_stopped_plan(remote, OBJECT, StoppedPlan.of(plan), records)
        await self.repository.approve_stop(remote, OBJECT, plan.digest, by="ann", now=self.clock.now())
        writes = [write.kind for record in plan.records for write in record.writes]
        self.approved[remote] = writes.count(OperationKind.DELETE)
        self.story.append(f"{remote}: what a guard stopped is approved, {self.approved[remote]} deletes")

    async def undo(self, remote: str, run_id: str, incidents: Incidents | None = None) -> RunReport | None:
        """Somebody takes a run back, and what goes wrong in it; None if it did not end."""
        incidents = incidents or Incidents()
        report, error = None, None
        self.look(remote)
        try:
            report = await self._undone(remote, run_id, incidents)
        except (Crash, CRMError) as stopped:
            error = stopped
        self.clock.tick(2 * LEASE_SECONDS)
        struck = f", {incidents.struck}" if incidents.struck else ""
        self.story.append(f"{remote}: a run is undone{struck}: {ended(report, error)}")
        self.ledger.settle(remote, well=report is not None)
        self.count(incidents)
        stopped_by = incidents.struck and not incidents.slowed
        self.hold(Promise.UNDO, report is not None or bool(stopped_by), f"{remote}: an undo failed by itself: {error}")
        if incidents.taken:
            await self.judge_fence(remote, incidents)
        return report

    async def _undone(self, remote: str, run_id: str, incidents: Incidents) -> RunReport:
        return await (await self.world(remote, incidents).runner(allow_deletes=MANY)).undo(run_id)

    async def plan(self, remote: str) -> Plan:
        """A dry run, of any number of calls."""
        self.look(remote)
        world = self.world(remote, Incidents())
        return await world.plan(page_size=self.conditions.page)

    async def conflicts(self, remote: str) -> list[Conflict]:
        """Every conflict that was ever recorded."""
        return await self.repository.list_conflicts(remote, OBJECT)

    async def decide(self, remote: str, winner: Side) -> None:
        """Somebody decides what waits."""
        for conflict in await self.repository.list_conflicts(remote, OBJECT, statuses=[ConflictStatus.OPEN]):
            self.story.append(f"{remote}: {conflict.field} is decided for the {winner} side")
            await self.repository.decide_conflicts(remote, {conflict.id: Decision(winner)}, now=self.clock.now())

    async def changes(self, remote: str) -> list[RecordChange]:
        """The whole history, newest first."""
        return await self.repository.list_changes(remote, OBJECT, limit=100_000)

    async def links(self, remote: str) -> list[Link]:
        """The links, without what counts looks at them: when they were stored, and how often they failed."""
        links = await self.repository.scan_links(remote, OBJECT)
        return [attrs.evolve(link, created_at=None, updated_at=None, attempts=0) for link in links]
