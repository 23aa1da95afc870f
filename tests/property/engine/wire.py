"""The stage of `stage`, with real sides: two emulated orgs over HTTP, a table, and bookkeeping in SQLite.

People and promises are the same; what goes wrong also goes wrong on the wire.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs
import sqlalchemy as sa

from crmsync import CRMSync, Vault
from crmsync.errors import CRMError
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, FieldMapping, ObjectMapping, two_way
from crmsync.models.plans import Plan
from crmsync.models.runs import RunOptions, RunReport, RunStatus
from crmsync.models.schema import FieldType
from crmsync.protocols.records import RecordStore
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.faults import Crash
from crmsync.testing.salesforce import RowError, RunningEmulator, SalesforceOrg, every_nth, row_lock
from crmsync.testing.world import FakeClock
from tests.property.engine.incidents import BOOKKEEPING, Incidents
from tests.property.engine.knowledge import ACME, LOCAL, SITES
from tests.property.engine.promises import Counts
from tests.property.engine.sites import LATE, LOOK_BACK, OBJECT, Conditions, Sites
from tests.property.engine.stage import LEASE_SECONDS, MANY, Stage

NAMES = {
    "Name": "FirstName",
    "City": "MailingCity",
    "Note": "Description",
    "Email": "Email",
    "Tags": "MarkMail_Tags__c",
    "OptedOut": "HasOptedOutOfEmail",
}
"""The stage's names of a CRM's fields, in Salesforce."""

TRIGGERS = {"cut": ("truncate", 6), "upper": ("upper", None), "trim": ("trim", None)}
TIMEOUT = 0.75
REFUSED = "evil"
"""What a rule of the CRM does not want in a name."""

Strike = Callable[[SalesforceOrg, dict[str, Any]], None]
TROUBLES: dict[str, Strike] = {
    "503 before the effect": lambda org, where: org.faults.fail_next(**where),
    "500 after the effect": lambda org, where: org.faults.fail_next(status=500, after_commit=True, **where),
    "a page of HTML": lambda org, where: org.faults.fail_next(status=503, html=True, **where),
    "429 with Retry-After": lambda org, where: org.faults.fail_next(status=429, retry_after=2, **where),
    "403 REQUEST_LIMIT_EXCEEDED": lambda org, where: org.faults.fail_next(status=403, **where),
    "a connection cut before the effect": lambda org, where: org.faults.drop_next(**where),
    "a connection cut after the effect": lambda org, where: org.faults.drop_next(after_commit=True, **where),
    "no answer in time": lambda org, where: org.faults.hold_next(60, **{**where, "times": 1}),
    "ConcurrentRequests": lambda org, where: org.faults.concurrency_exceeded_next(where["times"]),
}


@attrs.define
class Trouble:
    """What goes wrong at a CRM in one run: calls from the ``skip``-th on, or ``rows`` that are refused."""

    name: str = ""
    skip: int = 0
    times: int = 1
    writes: bool = False
    rows: str = ""

    @property
    def named(self) -> str:
        """What it is, for the count; empty if nothing goes wrong."""
        return self.name or (f"rows {self.rows}" if self.rows else "")

    def strike(self, org: SalesforceOrg, by_run: Callable[[], bool]) -> None:
        """Switch it on. ``by_run`` says whether a row is being saved by the run, not by a person."""
        if self.rows:
            locked = self.rows == "locked"
            refuse = row_lock(OBJECT, lambda _row: True, times=self.times) if locked else every_nth(2)
            org.faults.reject(lambda name, row: refuse(name, row) if by_run() else None)
        if self.name:
            TROUBLES[self.name](org, {"times": self.times, "path": self._rule()})

    def _rule(self) -> Callable[[str, str], bool]:
        left = self.skip

        def rule(method: str, path: str) -> bool:
            nonlocal left
            if self.writes and (method == "GET" or not ("composite" in path or "jobs" in path)):
                return False
            left -= 1
            return left < 0

        return rule


class OrgPeople:
    """The contacts of an org as the stage's people see them, in the browser."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org

    def snapshot(self) -> dict[str, dict[str, object]]:
        """The living ones by id."""
        return {c["Id"]: {name: _shown(name, c[field]) for name, field in NAMES.items()} for c in self._records()}

    def _records(self) -> list[dict[str, Any]]:
        return list(self.org.records(OBJECT))

    def add(self, values: dict[str, object]) -> str:
        """Somebody enters one."""
        given = {NAMES[name]: _cell(value) for name, value in values.items()}
        return str(self.org.create(OBJECT, {"LastName": str(values["Email"]).partition("@")[0], **given}))

    def edit(self, record_id: str, values: dict[str, object]) -> None:
        """Somebody edits one."""
        self.org.update(OBJECT, record_id, {NAMES[name]: _cell(value) for name, value in values.items()})

    def remove(self, record_id: str, *, merged_into: str | None = None) -> None:
        """Somebody deletes one, or merges it into another."""
        if merged_into is None:
            self.org.delete(OBJECT, record_id)
        else:
            self.org.merge(OBJECT, merged_into, [record_id])


class TablePeople:
    """The rows of the application's table, as the application writes them."""

    def __init__(self, engine: sa.Engine, *, scanned: bool) -> None:
        self._engine = engine
        self._scanned = scanned
        times = () if scanned else (sa.Column("updated_at", sa.DateTime), sa.Column("deleted_at", sa.DateTime))
        texts = ("email", "surname", "name", "city", "note", "tags")
        self.table = sa.Table(
            "people",
            sa.MetaData(),
            sa.Column("id", sa.String(64), primary_key=True),
            *(sa.Column(name, sa.String(255)) for name in texts),
            sa.Column("opted_out", sa.Boolean),
            *times,
        )
        self.table.metadata.create_all(engine)
        self._made = 0

    def options(self) -> dict[str, Any]:
        """How to open it as a side."""
        times = {} if self._scanned else {"updated_at": "updated_at", "deleted_at": "deleted_at"}
        types = {"tags": "tags", "opted_out": "boolean", "email": "email"}
        return {"url": str(self._engine.url), "table": "people", "types": types, **times}

    def snapshot(self) -> dict[str, dict[str, object]]:
        """The living ones by id."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(self.table)).mappings().all()
        living = [row for row in rows if row.get("deleted_at") is None]
        return {row["id"]: {name: _shown(name, row[name]) for name in row if name != "id"} for row in living}

    def add(self, values: dict[str, object]) -> str:
        """Somebody enters one."""
        self._made += 1
        row = {"id": f"m{self._made}", "surname": str(values["email"]).partition("@")[0], **self._cells(values)}
        self._execute(sa.insert(self.table).values(row))
        return str(row["id"])

    def edit(self, record_id: str, values: dict[str, object]) -> None:
        """Somebody edits one."""
        self._execute(sa.update(self.table).where(self.table.c.id == record_id).values(self._cells(values)))

    def remove(self, record_id: str, *, merged_into: str | None = None) -> None:
        """Somebody deletes one; merged are only records of a CRM."""
        assert merged_into is None
        mine = self.table.c.id == record_id
        if self._scanned:
            self._execute(sa.delete(self.table).where(mine))
        else:
            self._execute(sa.update(self.table).where(mine).values(deleted_at=_now(), updated_at=_now()))

    def _cells(self, values: dict[str, object]) -> dict[str, object]:
        times = {} if self._scanned else {"updated_at": _now()}
        return {name: _cell(value) for name, value in values.items()} | times

    def _execute(self, statement: sa.Executable) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)


class WireSites(Sites):
    """The sites, in the places of the stores in memory. ``by_run`` is whether a run is saving, and not a person."""

    def __init__(self, conditions: Conditions, clock: FakeClock, places: dict[str, Any]) -> None:
        super().__init__(conditions, clock)
        self.places = places
        self.by_run = False
        self.late = False

    def __getitem__(self, site: str) -> Any:
        return self.places[site]

    def settle(self, org: SalesforceOrg) -> None:
        """No trouble but what belongs to the org: a rule against bad names, and people whose saves commit late."""
        org.clear_faults()
        org.faults.reject(self._rule)
        if self.conditions.late:
            org.faults.commit_late(LATE.total_seconds(), lambda _name, _row: self.late)

    def _rule(self, name: str, row: Mapping[str, Any]) -> RowError | None:
        bad = self.by_run and self.strict and name == OBJECT and REFUSED in str(row.get("FirstName"))
        return RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "refused by a rule", ("FirstName",)) if bad else None


class WireStage(Stage):
    """A history over the wire. ``ways`` are the provider's settings of how it reads and writes; ``trouble`` is for the
    next run. Nobody notes what is written on the far side of the wire.
    """

    keeps_ledger = False

    def __init__(
        self,
        conditions: Conditions,
        repository: SyncRepository,
        counts: Counts,
        emulators: dict[str, RunningEmulator],
        table: tuple[TablePeople, RecordStore],
        ways: Mapping[str, str],
    ) -> None:
        super().__init__(conditions, repository, counts)
        self.emulators, self.ways, self.trouble = emulators, ways, Trouble()
        self.story.append(", ".join(f"{name} {way}" for name, way in ways.items()))
        places = {LOCAL: table[0], **{name: OrgPeople(emulator.org) for name, emulator in emulators.items()}}
        self.sites: WireSites = WireSites(conditions, self.clock, places)
        self.people.sites = self.sites
        self._table = table[1]
        self._vault = Vault.from_key(Vault.generate_key())
        self._registered = (False, -1)
        self._hidden_until: dict[int, datetime] = {}
        for name, emulator in emulators.items():
            emulator.org.clock.source = self.clock.now
            self.sites.settle(emulator.org)
            if name == ACME and conditions.loss in TRIGGERS:
                rewrite, length = TRIGGERS[conditions.loss]
                emulator.org.on_save(OBJECT, "Description", rewrite, length=length)

    def enter(self, site: str, person: int, word: str | None) -> None:
        """Somebody enters a person.

        The commit is late only of one whom nobody else has, and nobody else enters them before it shows: no search
        finds them until then, so any client would make a second one.
        """
        if self._hidden_until.get(person, self.clock.now()) > self.clock.now():
            return
        alone = not any(self.sites.records_of(other, person) for other in SITES)
        self.sites.late = self.conditions.late and alone and site != LOCAL
        if self.sites.late:
            self._hidden_until[person] = self.clock.now() + 2 * LATE
        self.people.enter(site, person, word)
        self.sites.late = False

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
            await self._engine(Incidents()).add_integration(
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
            )
        self._registered = (self.mapped.narrow, self.mapped.version)

    async def run(self, remote: str, incidents: Incidents | None = None, **options: Any) -> RunReport | None:
        """As the stage's, with trouble on the wire as well."""
        incidents = incidents or Incidents()
        if self._registered != (self.mapped.narrow, self.mapped.version):
            await self._register()
        if incidents.edit is not None:
            incidents.edit = partial(self._as_person, incidents.edit)
        self.mapped.was_narrow |= self.mapped.narrow
        met, place, report = self._met(remote), len(self.story), None
        with self._troubled(remote) as trouble:
            try:
                sync, local = self._engine(incidents).sync, incidents.around(self._table, LOCAL)
                report = await sync(remote, OBJECT, local, options=self._options(options))
            except (Crash, CRMError) as error:
                ended = f"{type(error).__name__}: {error}"
                self.clock.tick(2 * LEASE_SECONDS)
            else:
                ended = f"{report.status}, {report.written} written, {report.problem_count} problems"
                self.clock.tick()
        self.story.insert(place, f"run {remote} {options or ''} {trouble} {incidents.struck}: {ended}")
        well = report is not None and report.status is RunStatus.SUCCESS and not report.conflicts_open
        self.people.knowledge.ran(remote, before=met, well=well)
        self._count(incidents)
        if trouble.named:
            self.counts.incidents[trouble.named] += 1
        return report

    @contextmanager
    def _troubled(self, remote: str) -> Iterator[Trouble]:
        org, trouble = self.emulators[remote].org, self.trouble
        self.trouble = Trouble()
        self.sites.by_run = True
        trouble.strike(org, lambda: self.sites.by_run)
        try:
            yield trouble
        finally:
            self.sites.by_run = False
            self.sites.settle(org)

    def _as_person(self, edit: Callable[[], None]) -> None:
        self.sites.by_run = False
        edit()
        self.sites.by_run = True

    def _engine(self, incidents: Incidents) -> CRMSync:
        return CRMSync(incidents.around(self.repository, BOOKKEEPING), vault=self._vault, clock=self.clock)

    def _options(self, options: dict[str, Any]) -> RunOptions:
        allowed = MANY if self.guard is None else None
        page = self.conditions.page
        return RunOptions(page_size=page, allow_deletes=allowed, lease_seconds=LEASE_SECONDS, **options)

    async def plan(self, remote: str) -> Plan:
        if self._registered != (self.mapped.narrow, self.mapped.version):
            await self._register()
        return await self._engine(Incidents()).plan(remote, OBJECT, self._table, options=self._options({}))


def conditions(chance: random.Random) -> Conditions:
    """What the sides are like in one history."""
    policies = [policy for policy in ConflictPolicy if policy not in _SPECIAL]
    return Conditions(
        policy=chance.choice(policies),
        loss=chance.choice(["none", *TRIGGERS]),
        external_key=chance.random() < 0.7,
        scanned=chance.random() < 0.4,
        late=chance.random() < 0.3,
        page=chance.choice([None, None, 1, 2]),
        delete=chance.choice([DeletePolicy.IGNORE, DeletePolicy.UNLINK, DeletePolicy.PROPAGATE]),
    )


_SPECIAL = (
    ConflictPolicy.CUSTOM,
    ConflictPolicy.SET_MERGE,
    ConflictPolicy.MOST_RESTRICTIVE,
    ConflictPolicy.MIN,
)


def trouble(chance: random.Random) -> Trouble:
    """What goes wrong in one run."""
    if chance.random() < 0.25:
        return Trouble()
    if chance.random() < 0.2:
        return Trouble(rows=chance.choice(["locked", "every second"]), times=chance.randint(1, 40))
    return Trouble(
        chance.choice(list(TROUBLES)),
        skip=chance.randint(0, 6),
        times=chance.choice([1, 1, 2, 4, 8]),
        writes=chance.random() < 0.6,
    )


def _shown(name: str, value: Any) -> object:
    if name in ("tags", "Tags"):
        return tuple(part for part in (value or "").split(";") if part) or None
    return value


def _cell(value: object) -> object:
    return ";".join(value) or None if isinstance(value, tuple) else value


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
