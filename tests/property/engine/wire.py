"""The stage of `stage`, with real sides: two emulated orgs over HTTP, a table, and bookkeeping in SQLite.

People and promises are the same; what goes wrong also goes wrong on the wire.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import sqlalchemy as sa

from crmsync import CRMSync, Vault
from crmsync.errors import BudgetExceededError, CRMError
from crmsync.models.erasure import Person
from crmsync.models.history import RecordChange
from crmsync.models.integrations import CallLimits
from crmsync.models.mappings import ConflictPolicy, FieldMapping, ObjectMapping, two_way
from crmsync.models.plans import Plan
from crmsync.models.records import OperationKind, Side
from crmsync.models.runs import RunOptions, RunReport
from crmsync.models.schema import FieldType
from crmsync.protocols.records import RecordStore
from crmsync.protocols.repository import SyncRepository
from crmsync.storage.sql import open_repository
from crmsync.storage.sql.records import open_records
from crmsync.testing.faults import Crash
from crmsync.testing.salesforce import RunningEmulator, SalesforceOrg, running_emulator
from tests.property.engine.days import BEGINNING
from tests.property.engine.feed import Feed
from tests.property.engine.incidents import BOOKKEEPING, Incidents
from tests.property.engine.job_troubles import JobTrouble
from tests.property.engine.knowledge import ACME, BETA, LOCAL, SITES
from tests.property.engine.promises import Counts, Promise
from tests.property.engine.run_judgement import Before
from tests.property.engine.sites import LATE, LOOK_BACK, OBJECT, Conditions
from tests.property.engine.stage import LEASE_SECONDS, MANY, Stage
from tests.property.engine.telling import told
from tests.property.engine.troubles import Trouble
from tests.property.engine.wire_days import Calls, WireDays
from tests.property.engine.wire_jobs import JobsClock, OrgJobs
from tests.property.engine.wire_network import Wired
from tests.property.engine.wire_sites import BORN, NAMES, OrgPeople, TablePeople, WireSites, shown

TRIGGERS = {"cut": ("truncate", 6), "upper": ("upper", None), "trim": ("trim", None)}
TIMEOUT = 0.75


class WireStage(Stage):
    """A history over the wire. ``ways`` are the provider's settings of how it reads and writes; ``trouble`` is for the
    next run.
    """

    paid_ahead = True

    def __init__(
        self,
        conditions: Conditions,
        repository: SyncRepository,
        counts: Counts,
        emulators: dict[str, RunningEmulator],
        table: tuple[TablePeople, RecordStore],
        ways: Mapping[str, str],
    ) -> None:
        clock = JobsClock() if conditions.day is None else JobsClock(BEGINNING)
        super().__init__(conditions, repository, counts, clock)
        self.days: WireDays = WireDays(conditions.day, clock, counts)
        self.emulators, self.ways = emulators, ways
        self.trouble: Trouble | JobTrouble = Trouble()
        self._met: list[Trouble | JobTrouble] = []
        self.jobs = OrgJobs({name: emulator.org for name, emulator in emulators.items()})
        self.story.append(", ".join(f"{name} {way}" for name, way in ways.items()))
        places = {LOCAL: table[0], **{name: OrgPeople(emulator.org) for name, emulator in emulators.items()}}
        self.sites: WireSites = WireSites(conditions, self.clock, places)
        self.people.sites = self.sites
        self._table = table[1]
        self.born = BORN
        self._vault = Vault.from_key(Vault.generate_key())
        self._registered: tuple[object, ...] = ()
        self._hidden_until: dict[int, datetime] = {}
        clock.orgs.extend(self.jobs.orgs.values())
        for name, emulator in emulators.items():
            emulator.org.clock.source = self.clock.now
            emulator.org.watch(partial(self._saved, name))
            self.sites.settle(emulator.org)
            if name == ACME and conditions.loss in TRIGGERS:
                rewrite, length = TRIGGERS[conditions.loss]
                emulator.org.on_save(OBJECT, "Description", rewrite, length=length)

    def enter(self, site: str, person: int, word: str | None) -> None:
        """Somebody enters a person.

        The commit is late only of one whom nobody else has, and nobody else enters them before it shows: no search
        finds them until then, so any client would make a second one.
        """
        if self.is_hidden(person):
            return
        if site != LOCAL and self.jobs.unfinished(site):
            self.people.set_apart(person)  # a job that nobody waits for may be about to make them
        alone = not any(self.sites.records_of(other, person) for other in SITES)
        self.sites.late = self.conditions.late and alone and site != LOCAL
        if self.sites.late:
            self._hidden_until[person] = self.clock.now() + 2 * LATE
        self.people.enter(site, person, word)
        self.sites.late = False

    def is_hidden(self, person: int) -> bool:
        """Whether somebody has entered the person, and nobody else can see it yet."""
        return self._hidden_until.get(person, self.clock.now()) > self.clock.now()

    def mapping(self) -> ObjectMapping:
        texts = {"name": "FirstName", "city": "MailingCity", "note": "Description", "surname": "LastName"}
        consent = ConflictPolicy.MOST_RESTRICTIVE
        fields: list[FieldMapping] = [
            two_way("email", "Email", field_type=FieldType.EMAIL),
            two_way("tags", "MarkMail_Tags__c", field_type=FieldType.TAGS),
            two_way("opted_out", "HasOptedOutOfEmail", field_type=FieldType.BOOLEAN, policy=consent),
        ]
        fields += [two_way(*names) for names in texts.items() if not (self.mapped.narrow and names[0] == "city")]
        return super().mapping().model_copy(update={"fields": tuple(fields)})

    async def begin(self) -> None:
        await self._register()

    async def _register(self) -> None:
        for name, emulator in self.emulators.items():
            await self._engine(name, Incidents()).add_integration(
                name,
                provider="salesforce",
                settings={
                    "instance_url": emulator.url,
                    "allow_insecure_loopback": True,
                    "look_back_seconds": int(LOOK_BACK.total_seconds()),
                    "retry_wait": 0.05,
                    "timeout": TIMEOUT,
                    **self.ways,
                },
                credentials={"access_token": emulator.access_token},
                mappings={OBJECT: self.mapping()},
                limits=CallLimits(max_calls_per_day=self.days.limit),
            )
        self._registered = self._to_register()

    def _to_register(self) -> tuple[object, ...]:
        return self.mapped.narrow, self.mapped.version, self.days.limit

    async def _outcome(
        self, remote: str, incidents: Incidents, options: dict[str, Any]
    ) -> tuple[RunReport | None, BaseException | None]:
        """As the stage's, with trouble on the wire as well."""
        await self._as_now()
        if incidents.edit is not None:
            incidents.edit = partial(self._as_person, incidents.edit)
        report: RunReport | None = None
        error: BaseException | None = None
        self.counts.events["jobs left to the next run"] += len(await self.repository.list_remote_jobs(remote, OBJECT))
        with self._troubled(remote, incidents) as trouble:
            try:
                sync, local = self._engine(remote, incidents, trouble).sync, self._local(remote, incidents)
                report = await sync(remote, OBJECT, local, options=self._options(options))
                self.clock.tick()
            except (Crash, CRMError) as stopped:
                error = stopped
                self.refused(remote, error)
                self.clock.tick(2 * LEASE_SECONDS)
        self._lost(remote, incidents, error)
        return report, error

    def _lost(self, remote: str, incidents: Incidents, error: BaseException | None) -> None:
        """What a process took of the day is lost where it could not give it back."""
        if isinstance(error, Crash) or (incidents.struck and not (incidents.edited or incidents.slowed)):
            self.days.lose(remote)

    def _deletes(self, incidents: Incidents, before: Before) -> int:
        """Those that took effect: calls to a CRM do not say how many they are."""
        run_id = self.ledger.run_id
        made = [one for one in self.ledger.effects if (one.run_id, one.kind) == (run_id, OperationKind.DELETE)]
        return len(made) if run_id != before.run_id else 0

    async def _judge_echo(self, remote: str) -> None:
        """As the stage's, but where the calls of the plan would be missed on the day.

        By `get_updated` an org may tell a delete later: there only what the run has written may not be written again.
        """
        if self.days.limit is not None or self.conditions.late:
            return
        plan = await self.plan(remote)
        written = {effect.record for effect in self.ledger.effects if effect.run_id == self.ledger.run_id}
        all_told = self.ways["changes"] == "query"
        again = [
            record.writes
            for record in plan.records
            if record.writes and (all_told or not written.isdisjoint({record.markmail_id, record.crm_id}))
        ]
        self.hold(Promise.NO_ECHO, not again, f"{remote}: right after a run, {told(plan)}")

    async def take_over(self, remote: str, work: Callable[[], Awaitable[object]] | None = None) -> bool:
        """As the stage's: what has been made so far of jobs is the work of the run that stands still."""
        self.jobs.made(remote, self.ledger.run_id)
        begun = await super().take_over(remote, work)
        self.sites.by_run = True
        return begun

    async def judge_jobs(self) -> None:
        """At rest no job is at work, none has rows that nobody will release, and none is remembered."""
        self.counts.events["jobs played"] += len(self.jobs.makers)
        for remote in self.emulators:
            left = self.jobs.unfinished(remote)
            self.hold(Promise.CRASH_SAFE, not left, f"{remote}: at rest these jobs are left: {left}")
            noted = [job.job_id for job in await self.repository.list_remote_jobs(remote, OBJECT)]
            self.hold(Promise.CRASH_SAFE, not noted, f"{remote}: at rest these jobs are not known to be over: {noted}")

    @contextmanager
    def _troubled(self, remote: str, incidents: Incidents) -> Iterator[Trouble | JobTrouble]:
        """A process at work, and what it meets on the wire: who takes over from it meets the same."""
        org, trouble = self.emulators[remote].org, self.trouble
        self.trouble = Trouble()
        self.sites.by_run = True
        trouble.strike(org, lambda: self.sites.by_run)
        self._met.append(trouble)
        try:
            yield trouble
        finally:
            incidents.trouble = ", ".join(str(each) for each in self._met if each.named)
            self._met.pop()
            self.sites.by_run = False
            self.sites.settle(org)
            self.jobs.made(remote, self.ledger.run_id)
            if trouble.named:
                self.counts.incidents[trouble.named] += 1
                if isinstance(trouble, JobTrouble):
                    self.counts.events[f"jobs struck at {trouble.call}"] += 1

    def _as_person(self, edit: Callable[[], None]) -> None:
        self.sites.by_run = False
        edit()
        self.sites.by_run = True

    def _engine(self, remote: str, incidents: Incidents, trouble: Trouble | JobTrouble | None = None) -> CRMSync:
        repository = incidents.around(self.repository, BOOKKEEPING)
        calls = Calls(remote, incidents, self.days, self.clock.now().date())
        wired = Wired(self.conditions, calls, trouble)
        return CRMSync(repository, vault=self._vault, clock=self.clock, observers=(self.ledger,), registry=wired)

    def _local(self, remote: str, incidents: Incidents) -> RecordStore:
        people = self.sites[LOCAL].snapshot
        watched = self.ledger.watch(self._table, people, remote, Side.LOCAL, partial(self._hidden_names, LOCAL))
        noted: RecordStore = incidents.around(watched, LOCAL, show=Feed(self.conditions).shown)
        return noted

    def _saved(self, remote: str, name: str, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        """An org tells of a change: if a run made it, it is an effect."""
        if name == OBJECT and after["LastModifiedById"] == self.emulators[remote].org.user_id:
            old, new = (None if one is None or one["IsDeleted"] else shown(one) for one in (before, after))
            if old is not None and new is None:
                old = {field: value for field, value in old.items() if field not in self._hidden_names(remote)}
            with self.ledger.told_of(self.jobs.maker(remote)):
                self.ledger.note(remote, Side.REMOTE, after["Id"], old, new, born=self.born)

    def _options(self, options: dict[str, Any]) -> RunOptions:
        allowed = MANY if self.guard is None else None
        usual = {"page_size": self.conditions.page, "allow_deletes": allowed, "lease_seconds": LEASE_SECONDS}
        return RunOptions(**{**usual, **options})

    def _facade(self, remote: str) -> CRMSync:
        return self._engine(remote, Incidents())

    async def _retried(self, remote: str) -> RunReport:
        await self._as_now()
        retry = self._facade(remote).retry_rejects
        with self._troubled(remote, Incidents()):
            return await retry(remote, OBJECT, self._local(remote, Incidents()), options=self._options({}))

    async def approve(self, remote: str) -> None:
        crm = self._facade(remote)
        if not await crm.stops(remote, OBJECT):
            return
        await self._as_now()
        self.look(remote)
        try:
            stop = await crm.stopped_plan(remote, OBJECT, self._table, anew=True, options=self._options({}))
        except BudgetExceededError as spent:
            self.refused(remote, spent)
            return
        assert stop.plan is not None
        await crm.approve_stop(remote, OBJECT, stop.plan.digest[:8], by="ann")
        deletes = (number for write, number in stop.plan.writes.items() if write.endswith(OperationKind.DELETE))
        self._approved(remote, sum(deletes))

    async def drop(self, remote: str) -> None:
        """Somebody forgets what a guard stopped."""
        crm = self._facade(remote)
        if await crm.stops(remote, OBJECT):
            await crm.drop_stop(remote, OBJECT)
            del self.approved[remote]
            self.counts.events["stops dropped"] += 1
            self.story.append(f"{remote}: what a guard stopped is dropped")

    async def _as_now(self) -> None:
        """Have the integrations as they are to be by now."""
        if self._registered != self._to_register():
            await self._register()

    async def plan(self, remote: str) -> Plan:
        await self._as_now()
        self.look(remote)
        return await self._engine(remote, Incidents()).plan(remote, OBJECT, self._table, options=self._options({}))

    async def erased(self, remote: str, person: Person, incidents: Incidents) -> tuple[bool, set[str]]:
        await self._as_now()
        error: BaseException | None = None
        with self._troubled(remote, incidents) as trouble:
            try:
                erase, local = self._engine(remote, incidents, trouble).erase_person, self._local(remote, incidents)
                report = await erase(remote, {OBJECT: local}, person)
            except (Crash, CRMError) as stopped:
                error = stopped
                raise
            finally:
                self._lost(remote, incidents, error)
        return report.complete, {record.id for each in report.objects for record in each.records}

    async def _undone(self, remote: str, run_id: str, incidents: Incidents) -> RunReport:
        undo, local = self._engine(remote, incidents).undo, self._local(remote, incidents)
        try:
            return await undo(remote, OBJECT, local, run_id=run_id, options=self._options({"allow_deletes": MANY}))
        finally:
            self.jobs.made(remote, self.ledger.run_id)

    async def changes(self, remote: str) -> list[RecordChange]:
        """The history, with the stage's names of a CRM's fields."""
        return [_renamed(change) for change in await super().changes(remote)]


def _renamed(change: RecordChange) -> RecordChange:
    if change.side is Side.LOCAL:
        return change
    names = {field: name for name, field in NAMES.items()}
    return attrs.evolve(change, fields=tuple(attrs.evolve(one, field=names[one.field]) for one in change.fields))


@asynccontextmanager
async def wire_stage(
    given: Conditions, ways: dict[str, str], directory: Path, counts: Counts
) -> AsyncIterator[WireStage]:
    """A stage with two orgs' emulators at work, and its databases in a directory."""
    engine = sa.create_engine(f"sqlite:///{directory / 'app.db'}")
    people = TablePeople(engine, scanned=given.scanned)
    with ExitStack() as stack:
        stack.callback(engine.dispose)
        orgs = {name: SalesforceOrg(external_id_field=given.external_key) for name in (ACME, BETA)}
        emulators = {name: stack.enter_context(running_emulator(org)) for name, org in orgs.items()}
        async with (
            open_repository(f"sqlite:///{directory / 'crmsync.db'}") as repository,
            open_records(**people.options()) as local,
        ):
            yield WireStage(given, repository, counts, emulators, (people, local), ways)
