"""One application and two CRMs, the real engine between them, and everything that people and networks do to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from crmsync.engine import RunBudget
from crmsync.errors import BudgetExceededError, CRMError
from crmsync.models.erasure import Person
from crmsync.models.plans import Plan
from crmsync.models.records import OperationKind, Side
from crmsync.models.runs import RunReport, RunStatus
from crmsync.models.state import ConflictStatus, Decision, LinkStatus
from crmsync.models.stops import StoppedPlan, StoppedRecord
from crmsync.security.vault import Vault
from crmsync.testing.faults import Crash
from crmsync.testing.world import World
from tests.property.engine.feed import Feed
from tests.property.engine.incidents import BOOKKEEPING, Incidents
from tests.property.engine.knowledge import LOCAL
from tests.property.engine.mapped import compiled, mapping
from tests.property.engine.promises import Promise
from tests.property.engine.run_judgement import Before, Ran, before_run, bookkept, judge_fence, judge_run
from tests.property.engine.setting import Setting
from tests.property.engine.sites import OBJECT
from tests.property.engine.telling import ended, shown, told

if TYPE_CHECKING:
    from crmsync.service import CRMSync

LEASE_SECONDS = 60
MANY = 1000
"""More deletes than a history can come to."""


class Stage(Setting):
    """What crmsync, and people by it, do there; in memory."""

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

    async def run(self, remote: str, incidents: Incidents | None = None, **options: Any) -> RunReport | None:
        """One run, and what goes wrong in it; None if it did not end."""
        incidents = incidents or Incidents()
        self.mapped.was_narrow |= self.mapped.narrow
        before = await before_run(self, remote)
        self.look(remote)
        report, error = await self._outcome(remote, incidents, options)
        line = f"run {remote}{shown(options)}{incidents.what_struck}: {ended(report, error)}"
        self.story.insert(before.place, line)
        finished = report is not None and not (report.conflicts_open or report.ignored)
        well = finished and report is not None and report.status is RunStatus.SUCCESS and remote not in self.cut
        (self.cut.discard if report is not None else self.cut.add)(remote)
        self.people.knowledge.ran(remote, before=before.met, well=well)
        if incidents.edited:
            self.look(remote)  # it may have come before the run looked
        self.ledger.settle(remote, well=report is not None)
        self.count(incidents)
        if report is not None:
            del self.approved[remote]  # a run that ends well leaves no stop, and no approval
        await judge_run(self, Ran(remote, incidents, report, error, self._deletes(incidents, before)), before)
        if report is not None and well and report.written and not incidents.struck:
            await self._judge_echo(remote)
        return report

    async def _outcome(
        self, remote: str, incidents: Incidents, options: dict[str, Any]
    ) -> tuple[RunReport | None, BaseException | None]:
        """How a run ends, and what ended it if it did not."""
        allowed = MANY if self.guard is None else None
        try:
            async with self.process(remote, incidents) as world:
                return await world.sync(page_size=self.conditions.page, allow_deletes=allowed, **options), None
        except (Crash, CRMError) as stopped:
            self.refused(remote, stopped)
            self.clock.tick(2 * LEASE_SECONDS)
            return None, stopped

    def refused(self, remote: str, error: BaseException) -> bool:
        """Whether a process ended for want of calls on its day."""
        if not isinstance(error, BudgetExceededError) or error.scope != "day":
            return False
        self.days.judge(remote, error)
        return True

    def _deletes(self, incidents: Incidents, before: Before) -> int:
        """How many records a run told the sides to delete."""
        return incidents.deletes

    async def _judge_echo(self, remote: str) -> None:
        """Right after a run that wrote, nothing is left to write."""
        if not self.conditions.late:
            plan = await self.plan(remote)
            self.hold(Promise.NO_ECHO, plan.writes == 0, f"{remote}: right after a run, {told(plan)}")

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
        self.left[remote] = await bookkept(self, remote)
        return begun

    # --- what people have it do

    async def retry(self, remote: str) -> None:
        """Somebody has the rejects tried again, and nothing else."""
        error: CRMError | None = None
        report = None
        self.look(remote)
        try:
            report = await self._retried(remote)
        except CRMError as stopped:
            error = stopped
            self.refused(remote, stopped)
            self.clock.tick(2 * LEASE_SECONDS)
        self.ledger.settle(remote, well=report is not None)
        self.story.append(f"{remote}: the rejects are retried: {ended(report, error)}")
        self.people.knowledge.ran(remote, before=(), well=False)

    async def _retried(self, remote: str) -> RunReport:
        async with self.process(remote, Incidents()) as world:
            return await (await world.runner()).retry(None)

    async def ignore(self, remote: str, *, ignored: bool) -> None:
        """Somebody has all rejects ignored, or from now on tried again."""
        statuses = (LinkStatus.REJECTED, LinkStatus.QUARANTINED) if ignored else (LinkStatus.IGNORED,)
        if not await self.repository.scan_links(remote, OBJECT, statuses=statuses, limit=1):
            return
        crm = self._facade(remote)
        found = [one.markmail_id for one in await crm.rejects(remote, OBJECT, statuses=statuses)]
        if found:
            self.clock.tick(2 * LEASE_SECONDS)  # the lease of a run that crashed has to run out
            self.story.append(f"{remote}: {len(found)} rejects are {'' if ignored else 'no longer '}ignored")
            await (crm.ignore_rejects if ignored else crm.unignore_rejects)(remote, OBJECT, found)

    def _facade(self, remote: str) -> CRMSync:
        # It takes long to import for a process that plays one history.
        from crmsync.service import CRMSync

        return CRMSync(self.repository, vault=Vault.from_key(Vault.generate_key()), clock=self.clock)

    async def approve(self, remote: str) -> None:
        """Somebody looks at what a stopped run would have done, and approves exactly that."""
        if not await self.repository.list_stops(remote, OBJECT):
            return
        plan = await self.plan(remote)
        records = [StoppedRecord.of(record) for record in plan.records]
        await self.repository.save_stopped_plan(remote, OBJECT, StoppedPlan.of(plan), records)
        await self.repository.approve_stop(remote, OBJECT, plan.digest, by="ann", now=self.clock.now())
        writes = [write.kind for record in plan.records for write in record.writes]
        self._approved(remote, writes.count(OperationKind.DELETE))

    def _approved(self, remote: str, deletes: int) -> None:
        self.approved[remote] = deletes
        self.counts.events["stops approved"] += 1
        self.story.append(f"{remote}: what a guard stopped is approved, {deletes} deletes")

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
        self.story.append(f"{remote}: a run is undone{incidents.what_struck}: {ended(report, error)}")
        self.ledger.settle(remote, well=report is not None)
        self.count(incidents)
        stopped_by = incidents.struck and not incidents.slowed
        self.hold(Promise.UNDO, report is not None or bool(stopped_by), f"{remote}: an undo failed by itself: {error}")
        if incidents.taken:
            await judge_fence(self, remote, incidents)
        return report

    async def _undone(self, remote: str, run_id: str, incidents: Incidents) -> RunReport:
        return await (await self.world(remote, incidents).runner(allow_deletes=MANY)).undo(run_id)

    async def erased(self, remote: str, person: Person, incidents: Incidents) -> tuple[bool, set[str]]:
        """Erase a person everywhere: whether all of them is gone, and the ids of what was there."""
        erasure = await (await self.world(remote, incidents).runner()).erase_person(person, tuple(Side))
        return erasure.complete, {record.id for record in erasure.records}

    async def plan(self, remote: str) -> Plan:
        """A dry run, of any number of calls."""
        self.look(remote)
        world = self.world(remote, Incidents())
        return await world.plan(page_size=self.conditions.page)

    async def decide(self, remote: str, winner: Side) -> None:
        """Somebody decides what waits."""
        for conflict in await self.repository.list_conflicts(remote, OBJECT, statuses=[ConflictStatus.OPEN]):
            self.story.append(f"{remote}: {conflict.field} is decided for the {winner} side")
            await self.repository.decide_conflicts(remote, {conflict.id: Decision(winner)}, now=self.clock.now())
