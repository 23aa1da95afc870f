"""Plan, apply or sync one object: take the lease, run, report, log."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from types import MappingProxyType

import attrs

from crmsync.diff import Digester, Merger, PersonMarks
from crmsync.engine.budget import RunBudget
from crmsync.engine.computing import open_side
from crmsync.engine.context import WAITING, RunContext
from crmsync.engine.erasing import erase_person, find_person, find_related
from crmsync.engine.estimating import estimate_apply, estimate_sync
from crmsync.engine.lease import RunLease
from crmsync.engine.pairing import create_anew, link_records, unlink_record
from crmsync.engine.recovery import begin
from crmsync.engine.referring import referring
from crmsync.engine.retention import purge
from crmsync.engine.retrying import retry_only
from crmsync.engine.run import apply, pages_of, run
from crmsync.engine.stops import carry_out_approved, find_stop, note_stop
from crmsync.engine.tally import RunTally
from crmsync.engine.undoing import undo
from crmsync.engine.verification import Findings, Verification
from crmsync.errors import CRMError, SafetyStopError, StaleRecordError, StorageError
from crmsync.models.erasure import FoundPerson, ObjectErasure, Person, PersonIds
from crmsync.models.events import RunFinished, RunStarted
from crmsync.models.mappings import ObjectMapping
from crmsync.models.plans import Plan, UndoPreview
from crmsync.models.records import Side
from crmsync.models.runs import RunOptions, RunReport, RunStatus, RunWarning
from crmsync.models.state import Link, LinkStatus, SyncLog
from crmsync.models.stops import Stop
from crmsync.models.verification import VerifyOptions, VerifyReport
from crmsync.protocols.conversion import RecordRule
from crmsync.protocols.observers import Observer
from crmsync.protocols.records import RecordStore, SupportsProblems
from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.runtime import Clock, ConsentLog


@attrs.frozen(slots=True, kw_only=True)
class Runner:
    """Runs one object of one integration between two open record stores.

    ``digest_key`` keys the shadows: it stays the same for the life of the integration. ``budget`` is the one that the
    remote store spends from, and ``opening_calls`` were spent of it to open the store; ``lease`` is the one that it,
    and its log of jobs, ask about.
    """

    integration_id: str
    entity_type: str
    mapping: ObjectMapping
    rule: RecordRule
    local: RecordStore
    remote: RecordStore
    repository: SyncRepository
    clock: Clock
    budget: RunBudget
    digest_key: bytes = attrs.field(repr=False)
    opening_calls: int = 0
    options: RunOptions = attrs.field(factory=RunOptions)
    observers: Sequence[Observer] = ()
    consents: ConsentLog | None = None
    lease: RunLease = attrs.field(
        default=attrs.Factory(
            lambda self: RunLease(self.repository, self.integration_id, self.entity_type, self.clock), takes_self=True
        )
    )

    async def sync(self) -> RunReport:
        """Read, plan, write and acknowledge, page by page; before that, carry out a stopped plan that was approved.

        :raises SafetyStopError: a guard stopped it. :raises ProviderError: a side failed as a whole.
        :raises ConcurrentUpdateError: another process runs this object.
        :raises LeaseLostError: one took over while this process stood still. What was acknowledged before stays.
        """
        async with self._running(dry_run=False) as ctx:
            stop = await find_stop(ctx)
            if stop is not None:
                await carry_out_approved(ctx, stop)
            await run(ctx)
            report = await self._finished(ctx)
            if stop is not None:
                # Whatever it was about is mended, or allowed, or done.
                await self.repository.remove_stop(self.integration_id, self.entity_type)
            return report

    async def plan(self) -> Plan:
        """The dry run: what `sync` would write now. Nothing is written on either side."""
        async with self._running(dry_run=True) as ctx:
            await run(ctx)
            report = await self._finished(ctx)
            return Plan(
                ctx.run_id,
                self.integration_id,
                self.entity_type,
                self.rule.version,
                ctx.clock.now(),
                tuple(ctx.planned),
                ctx.reached,
                report,
                _digest(ctx),
                estimate_apply(ctx, ctx.planned, self.opening_calls),
                estimate_sync(ctx, ctx.planned, self.budget.used),
            )

    async def apply(self, plan: Plan) -> RunReport:
        """Write what a plan holds, and nothing else.

        :raises StaleRecordError: the mapping changed since; make a new plan.
        """
        if plan.mapping_version != self.rule.version:
            raise StaleRecordError("the mapping changed after the plan was made; make a new plan")
        async with self._running(dry_run=False) as ctx:
            await apply(ctx, pages_of(plan.records), plan.cursors)
            return await self._finished(ctx)

    async def link(self, markmail_id: str, crm_id: str) -> RunReport:
        """Make a pair of two records, and merge them as a first meeting.

        :raises RecordError: one of the two is not there. :raises ConflictError: one is linked to another record.
        """
        async with self._running(dry_run=False) as ctx:
            ctx.approved = ctx.selected = True
            await link_records(ctx, markmail_id, crm_id)
            return await self._finished(ctx)

    async def unlink(self, markmail_id: str) -> Link:
        """Separate a pair; both records live on without each other.

        :raises NotFoundError: the record is not linked.
        """
        async with self._running(dry_run=False) as ctx:
            return await unlink_record(ctx, markmail_id)

    async def retry(self, markmail_ids: Sequence[str] | None) -> RunReport:
        """Try rejects again, these or all; the report is on them alone.

        :raises ProviderError: a side failed as a whole.
        :raises ConcurrentUpdateError: another process runs this object.
        """
        async with self._running(dry_run=False) as ctx:
            ctx.selected = True
            await retry_only(ctx, markmail_ids)
            return await self._finished(ctx)

    async def create_anew(self, markmail_id: str) -> RunReport:
        """Give a record that waits for a counterpart a new one, whatever the candidates are.

        :raises NotFoundError: no such record waits. :raises RecordError: it is gone.
        :raises ConfigurationError: the mapping creates no records on the other side.
        """
        async with self._running(dry_run=False) as ctx:
            ctx.approved = ctx.selected = True
            await create_anew(ctx, markmail_id)
            return await self._finished(ctx)

    async def undo(self, run_id: str) -> RunReport:
        """Take back what a run wrote, as far as nobody changed it since.

        :raises NotFoundError: no history of such a run is kept. :raises DeleteGuardError: it created too many records.
        """
        async with self._running(dry_run=False) as ctx:
            await undo(ctx, run_id)
            return await self._finished(ctx)

    async def preview_undo(self, run_id: str) -> UndoPreview:
        """What `undo` would write.

        :raises NotFoundError: no history of such a run is kept.
        """
        async with self._running(dry_run=True) as ctx:
            await undo(ctx, run_id)
            return UndoPreview(run_id, tuple(ctx.planned), await self._finished(ctx))

    async def erase_person(self, person: Person, sides: Collection[Side]) -> ObjectErasure:
        """Delete a person's records on these sides, and forget all that is known of them but for keyed marks.

        :raises ProviderError: a side failed as a whole; the bookkeeping is then as it was.
        :raises ConcurrentUpdateError: another process runs this object.
        """
        async with self._running(dry_run=False) as ctx:
            ctx.selected = True
            erasure = await erase_person(ctx, person, sides)
            await self._finished(ctx)
            return erasure

    async def find_person(self, person: Person) -> FoundPerson:
        """A person's records on both sides, as they are now.

        :raises ProviderError: a side failed as a whole.
        """
        return await find_person(self._context(uuid.uuid4().hex, dry_run=True), person)

    async def find_related(self, person: PersonIds, people: Collection[str]) -> FoundPerson:
        """The records of this object that refer to a person, who is a record of one of the objects ``people``."""
        ctx = self._context(uuid.uuid4().hex, dry_run=True)
        return await find_person(ctx, await find_related(ctx, person, people))

    async def verify(self, options: VerifyOptions) -> VerifyReport:
        """Compare both sides without believing cursors or shadows. Unless it repairs, other runs may work meanwhile.

        :raises SafetyStopError: a guard stopped the repair. :raises ProviderError: a side failed as a whole.
        :raises ConcurrentUpdateError: it was to repair, and another process runs this object.
        """
        if options.repair:
            async with self._running(dry_run=False) as ctx:
                findings = await self._verified(ctx, options)
                return self._verification(ctx, options, findings, await self._finished(ctx))
        ctx = self._context(uuid.uuid4().hex, dry_run=True)
        ctx.notify(RunStarted(ctx.run_id, self.integration_id, self.entity_type, dry_run=True))
        return self._verification(ctx, options, await self._verified(ctx, options))

    async def _verified(self, ctx: RunContext, options: VerifyOptions) -> Findings:
        if options.repair:
            await begin(ctx)
        verification = Verification(ctx, options)
        await verification.go()
        return verification.findings

    def _verification(
        self, ctx: RunContext, options: VerifyOptions, findings: Findings, repaired: RunReport | None = None
    ) -> VerifyReport:
        return VerifyReport(
            integration_id=self.integration_id,
            entity_type=self.entity_type,
            started_at=ctx.tally.started_at,
            finished_at=self.clock.now(),
            sample=options.sample,
            pairs=findings.pairs,
            waiting=findings.waiting,
            fields=len(self.rule.rules),
            represented=findings.represented,
            counts=findings.counts,
            by_field=findings.by_field,
            findings=tuple(findings.listed),
            api_calls=self.budget.used,
            repaired=repaired,
        )

    @asynccontextmanager
    async def _running(self, *, dry_run: bool) -> AsyncIterator[RunContext]:
        """Hold the lease, tell observers, and log how it ended."""
        ctx = self._context(uuid.uuid4().hex, dry_run=dry_run)
        await self.lease.acquire(ctx.run_id, self.options.lease_seconds)
        ctx.notify(RunStarted(ctx.run_id, self.integration_id, self.entity_type, dry_run))
        try:
            async with self.lease.kept():
                yield ctx
        except CRMError as error:
            await self._failed(ctx, error)
            raise

    def _context(self, run_id: str, *, dry_run: bool) -> RunContext:
        tally = RunTally(self.clock.now())
        local = referring(self.local, Side.LOCAL, self.rule, self.repository, self.integration_id)
        remote = referring(self.remote, Side.REMOTE, self.rule, self.repository, self.integration_id)
        return RunContext(
            run_id=run_id,
            integration_id=self.integration_id,
            entity_type=self.entity_type,
            mapping=self.mapping,
            rule=self.rule,
            merger=Merger(self.rule, Digester(self.digest_key), uncertainty=self._uncertainty()),
            local=open_side(local, tally.sides[Side.LOCAL], self.rule.computed.get(Side.LOCAL)),
            remote=open_side(remote, tally.sides[Side.REMOTE], self.rule.computed.get(Side.REMOTE)),
            repository=self.repository,
            clock=self.clock,
            budget=self.budget,
            options=self.options,
            tally=tally,
            lease=self.lease,
            marks=PersonMarks(self.digest_key),
            observers=self.observers,
            consents=self.consents,
            dry_run=dry_run,
        )

    def _uncertainty(self) -> timedelta:
        """How far apart two times may be and still say nothing: a clock skew of a second, and the coarser precision."""
        return timedelta(seconds=1) + max(self.local.limits.time_precision, self.remote.limits.time_precision)

    async def _finished(self, ctx: RunContext) -> RunReport:
        for side, store in ((Side.LOCAL, self.local), (Side.REMOTE, self.remote)):
            if isinstance(store, SupportsProblems):
                ctx.tally.add_unusable(side, store.problems())
        counts = await self.repository.count_links(self.integration_id, self.entity_type)
        waiting = sum(counts.get(status, 0) for status in WAITING) + ctx.tally.unusable
        if ctx.dry_run:
            waiting = ctx.tally.problem_count
        elif ctx.selected:
            waiting = ctx.tally.waiting
        linked = counts.get(LinkStatus.SYNCED, 0) + counts.get(LinkStatus.CONFLICT, 0)
        status = RunStatus.PARTIAL if waiting or self.rule.suspended else RunStatus.SUCCESS
        report = self._report(ctx, status, counts, linked=linked)
        await self._log(ctx, report)
        if not ctx.dry_run:
            await purge(self.repository, self.integration_id, self.entity_type, self.mapping, self.clock.now())
        return report

    async def _failed(self, ctx: RunContext, error: CRMError) -> None:
        status = RunStatus.STOPPED if isinstance(error, SafetyStopError) else RunStatus.FAILED
        # The error that ended the run is the one to tell, also where the bookkeeping fails again.
        with suppress(StorageError):
            await self._log(ctx, self._report(ctx, status, error=error.message))
            if isinstance(error, SafetyStopError) and not ctx.dry_run:
                await note_stop(ctx, error)

    def _report(
        self,
        ctx: RunContext,
        status: RunStatus,
        counts: Mapping[LinkStatus, int] = MappingProxyType({}),
        *,
        linked: int = 0,
        error: str | None = None,
    ) -> RunReport:
        tally = ctx.tally
        return RunReport(
            run_id=ctx.run_id,
            integration_id=self.integration_id,
            entity_type=self.entity_type,
            status=status,
            sync_type=_sync_type(ctx),
            dry_run=ctx.dry_run,
            started_at=tally.started_at,
            finished_at=self.clock.now(),
            local=tally.sides[Side.LOCAL].report(api_calls=0),
            remote=tally.sides[Side.REMOTE].report(api_calls=self.budget.used),
            linked=linked,
            conflicts_open=counts.get(LinkStatus.CONFLICT, 0),
            ignored=counts.get(LinkStatus.IGNORED, 0),
            problem_count=tally.problem_count,
            problems=tuple(tally.problems),
            warnings=tuple(
                RunWarning(path=each.path, code=each.code, message=each.message, remedy=each.remedy)
                for each in self.rule.warnings
            ),
            error=error,
            would_stop=ctx.would_stop.message if ctx.would_stop else None,
        )

    async def _log(self, ctx: RunContext, report: RunReport) -> None:
        ctx.notify(RunFinished(report))
        if ctx.dry_run:
            return
        await self.repository.add_log(
            SyncLog(
                ctx.run_id,
                self.integration_id,
                report.sync_type,
                self.entity_type,
                entity_count=report.local.read + report.remote.read,
                success_count=report.written,
                error_count=report.problem_count,
                started_at=report.started_at,
                completed_at=report.finished_at,
                error_details={
                    "report": report.model_dump(mode="json", exclude={"seconds"}),
                    **({"approval": _approval(ctx.approval)} if ctx.approval else {}),
                },
                created_at=report.started_at,
            )
        )


def _approval(stop: Stop) -> dict[str, str | None]:
    """Who wanted the plan that a run carried out past the guards."""
    return {
        "digest": stop.plan.digest if stop.plan else None,
        "by": stop.approved_by,
        "at": stop.approved_at.isoformat() if stop.approved_at else None,
    }


def _sync_type(ctx: RunContext) -> str:
    if ctx.selected:
        return "selected"
    return "full" if ctx.options.reads_all or not ctx.had_links else "incremental"


def _digest(ctx: RunContext) -> str:
    """What identifies a plan's content, whatever the order of its records."""
    prints = sorted(record.fingerprint for record in ctx.planned)
    return hashlib.sha256("\n".join([ctx.rule.version, *prints]).encode()).hexdigest()
