"""The demo's course: fill both sides, sync, edit both sides, sync, sync again, and compare."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs

from crmsync.cli.config import Config
from crmsync.cli.demo.configuration import OBJECT
from crmsync.cli.demo.convergence import Comparison, compare, read_all
from crmsync.cli.demo.edits import Day, Pair, make_day
from crmsync.cli.demo.local import LocalSide
from crmsync.cli.demo.people import Pool, make_people
from crmsync.cli.demo.population import Population, subscriber_of
from crmsync.cli.demo.remote import contact_of
from crmsync.cli.emulator_control import EmulatorControl
from crmsync.cli.emulator_process import Emulator
from crmsync.cli.session import Target, open_session
from crmsync.models.runs import RunReport
from crmsync.models.secrets import Secret
from crmsync.protocols.conversion import RecordRule
from crmsync.protocols.observers import Observer
from crmsync.protocols.records import RecordStore

_NEWCOMERS: Final = 10_000_000


@attrs.frozen
class Look:
    """What stood on each side of a pair at some time. Values by local field name."""

    title: str
    pair: Pair
    local: Mapping[str, object] = attrs.field(repr=False)
    remote: Mapping[str, object] = attrs.field(repr=False)


@attrs.define
class Course:
    """What has happened so far. ``api_calls`` are counted by the emulator, one number a run."""

    population: Population
    reports: list[RunReport] = attrs.field(factory=list)
    api_calls: list[int] = attrs.field(factory=list)
    day: Day | None = None
    lost_edits: tuple[str, ...] = ()
    comparison: Comparison | None = None

    @property
    def converged(self) -> bool:
        """Both sides hold the same, no edit was lost, and the last run found nothing to write."""
        agree = self.comparison is not None and self.comparison.agree
        return agree and not self.lost_edits and self.reports[-1].written == 0


@attrs.frozen
class Opened:
    """The two sides, open, and the rule between them."""

    rule: RecordRule
    local: RecordStore
    remote: RecordStore


@attrs.frozen
class Scenario:
    """Where the demo plays, and its acts in order."""

    config: Config
    emulator: Emulator
    table: LocalSide
    observers: tuple[Observer, ...]
    course: Course

    @property
    def control(self) -> EmulatorControl:
        """The back door to the CRM."""
        return EmulatorControl(self.emulator.url)

    async def seed(self) -> Pair | None:
        """Fill both sides. Returns a pair that stands on both and differs, if there is one."""
        population = self.course.population
        self.table.fill(population.subscribers)
        ids = await self.control.save(OBJECT, population.contacts)
        by_email = {str(row["email"]).lower(): row for row in population.subscribers}
        for id_, contact in zip(ids, population.contacts, strict=True):
            row = by_email.get(contact["Email"].lower())
            if row is None or population.excused(row["id"], row["email"]):
                continue
            if row["tags"] and row["tags"] != contact["MarkMail_Tags__c"] and row["phone"] != contact["Phone"]:
                return Pair(row["id"], id_)
        return None

    async def sync(self) -> RunReport:
        """One run, as `crmsync sync` makes it. Counts the calls as the CRM does."""
        before = await self.control.api_calls()
        async with open_session(self.config, self.observers) as session:
            section = self.config.integration(None)
            local = await session.local(Target(section, OBJECT))
            await session.register(section, {"access_token": Secret(self.emulator.access_token)})
            await session.adopt(Target(section, OBJECT), local)
            report = await session.crm.sync(section.id, OBJECT, local, options=self.config.content.run)
        self.course.reports.append(report)
        self.course.api_calls.append(await self.control.api_calls() - before)
        return report

    async def edit(self, seed: int, pools: Sequence[Pool]) -> Day:
        """Let people work on both sides: edits, opt-outs, deletes, and somebody new on each."""
        async with self._opened() as sides:
            contacts = await read_all(sides.remote, ("Email",))
        excused = self.course.population.excused
        pairs = [Pair(c.key, c.id) for c in contacts.values() if c.key and not excused(c.key, c.fields.get("Email"))]
        day = self.course.day = make_day(sorted(pairs, key=lambda pair: pair.local_id), seed)
        chance = random.Random(seed + 2)  # noqa: S311 - made-up people
        here, there = make_people(2, pools, chance, first=_NEWCOMERS)
        await self.control.save(OBJECT, [{"Id": id_, **fields} for id_, fields in day.remote.items()])
        await self.control.delete(OBJECT, [pair.remote_id for pair in day.deleted_there])
        await self.control.save(OBJECT, [contact_of(there)])
        self.table.edit(day.local)
        self.table.delete({pair.local_id for pair in day.deleted_here})
        self.table.add([subscriber_of(here, seed)])
        return day

    async def compare(self) -> None:
        """Read both sides afresh: do they agree, and is every edit still there?"""
        population = self.course.population
        async with self._opened() as sides:
            self.course.comparison = await compare(
                sides.rule, sides.local, sides.remote, spoilt=population.spoilt, doubled=population.doubled
            )
        if self.course.day is not None:
            self.course.lost_edits = tuple(lost_edits(self.course.day, self.table.rows()))

    async def look_at(self, title: str, pair: Pair) -> Look:
        """Note what stands on each side of a pair now, to show it beside what a sync makes of it."""
        async with self._opened() as sides:
            names = [one.remote for one in sides.rule.rules]
            contact = (await sides.remote.get([pair.remote_id], fields=names)).get(pair.remote_id)
            row = (await sides.local.get([pair.local_id], fields=sides.rule.local_fields)).get(pair.local_id)
        here = {one.local: _sorted(row.fields.get(one.local)) for one in sides.rule.rules} if row else {}
        there = {one.local: _sorted(contact.fields.get(one.remote)) for one in sides.rule.rules} if contact else {}
        return Look(title, pair, here, there)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Opened]:
        async with open_session(self.config) as session:
            section = self.config.integration(None)
            local = await session.local(Target(section, OBJECT))
            await session.register(section, {"access_token": Secret(self.emulator.access_token)})
            await session.adopt(Target(section, OBJECT), local)
            rule = await session.crm.compiled_mapping(section.id, OBJECT, local)
            async with session.crm.provider(section.id) as provider:
                yield Opened(rule, local, await provider.records(OBJECT))


def _sorted(value: object) -> object:
    return tuple(sorted(map(str, value))) if isinstance(value, tuple) else value


def lost_edits(day: Day, rows: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """Local ids whose row does not show what was edited on either side; of a clash, either value may have won."""
    clashes = {pair.local_id for pair in day.clashes}
    for pair in (*day.deleted_here, *day.deleted_there):
        if pair.local_id in rows:
            yield pair.local_id
    for id_, fields in day.local.items():
        if id_ not in clashes and any(rows.get(id_, {}).get(name) != value for name, value in fields.items()):
            yield id_
    for pair in day.edited_there:
        company = day.remote[pair.remote_id]["MarkMail_Company__c"]
        if rows.get(pair.local_id, {}).get("company") != company:
            yield pair.local_id
    for pair in day.opted_out:
        if str(rows.get(pair.local_id, {}).get("opted_out")).lower() not in ("1", "true"):
            yield pair.local_id
