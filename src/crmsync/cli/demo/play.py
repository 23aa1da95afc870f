"""The demo's course: fill both sides, sync, let people edit, sync, and sync once more for nothing."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import attrs

from crmsync.cli.demo.edits import Day, Pair, make_day
from crmsync.cli.demo.local import CsvTable, LocalSide, SqliteTable
from crmsync.cli.demo.people import make_pools
from crmsync.cli.demo.population import Population, make_population
from crmsync.cli.emulator_control import EmulatorControl
from crmsync.cli.emulator_process import Emulator
from crmsync.mapping import compile_mapping, to_remote
from crmsync.models.records import Record
from crmsync.models.runs import RunReport
from crmsync.models.state import LinkStatus
from crmsync.protocols.conversion import RecordRule
from crmsync.protocols.observers import Observer
from crmsync.protocols.records import RecordStore
from crmsync.registry import RECORDS, Registry
from crmsync.security.vault import Vault
from crmsync.service import CRMSync, fitted

INTEGRATION: Final = "demo"
OBJECT: Final = "Contact"
SIDES: Final[Mapping[str, Callable[[Path], LocalSide]]] = {"sql": SqliteTable, "csv": CsvTable}
_SEED_BATCH: Final = 2000


@attrs.frozen
class DemoResult:
    """What happened. ``differences`` counts linked pairs whose mapped fields differ, read afresh from both sides."""

    population: Population
    day: Day
    runs: tuple[RunReport, ...]
    differences: int
    waiting: int
    seconds: float
    example: Mapping[str, tuple[Any, Any, Any]]

    @property
    def converged(self) -> bool:
        """Both sides agree, and the last run had nothing to write."""
        return self.differences == 0 and self.runs[-1].written == 0


@attrs.frozen
class Demo:
    """One performance against a running emulator, in a directory of its own."""

    emulator: Emulator
    directory: Path
    side: str
    contacts: int
    seed: int
    observers: Sequence[Observer] = ()

    async def play(self) -> DemoResult:
        """Perform it."""
        began = time.perf_counter()
        control = EmulatorControl(self.emulator.url)
        local_side = SIDES[self.side](self.directory)
        population = await anyio.to_thread.run_sync(self._populate, local_side)
        for start in range(0, len(population.contacts), _SEED_BATCH):
            await control.save(OBJECT, population.contacts[start : start + _SEED_BATCH])
        storage = f"sqlite:///{self.directory / 'crmsync.db'}"
        async with CRMSync.open(storage, vault=Vault.from_key(Vault.generate_key()), observers=self.observers) as crm:
            await crm.add_integration(
                INTEGRATION,
                provider="salesforce",
                settings={"instance_url": self.emulator.url, "allow_insecure_loopback": True},
                credentials={"access_token": self.emulator.access_token},
            )
            async with self._open_local(local_side) as local:
                before = local_side.rows()
                runs = [await crm.sync(INTEGRATION, OBJECT, local)]
                pairs = await _pairs(crm)
                example = await _example(pairs, before, local_side, population)
                day = make_day([p for p in pairs if p.local_id not in population.spoilt], self.seed)
                await _let_people_edit(day, local_side, control)
                runs.append(await crm.sync(INTEGRATION, OBJECT, local))
                runs.append(await crm.sync(INTEGRATION, OBJECT, local))
                differences = await _differences(crm, local)
                waiting = sum(s.rejected + s.quarantined for s in await crm.status(INTEGRATION))
        seconds = time.perf_counter() - began
        return DemoResult(population, day, tuple(runs), differences, waiting, seconds, example)

    def _populate(self, local_side: LocalSide) -> Population:
        population = make_population(self.contacts, self.seed, make_pools(self.seed))
        local_side.fill(population.subscribers)
        return population

    def _open_local(self, local_side: LocalSide) -> AbstractAsyncContextManager[RecordStore]:
        options = local_side.options()
        opened: AbstractAsyncContextManager[RecordStore] = Registry().load(RECORDS, options.pop("type"))(**options)
        return opened


async def _pairs(crm: CRMSync) -> list[Pair]:
    """The linked pairs, in order of their local ids."""
    pairs: list[Pair] = []
    after = ""
    while links := await crm.repository.scan_links(
        INTEGRATION, OBJECT, statuses=(LinkStatus.SYNCED,), after=after, limit=_SEED_BATCH
    ):
        after = links[-1].markmail_id
        pairs += [Pair(link.markmail_id, link.crm_id) for link in links if link.crm_id]
    return pairs


async def _example(
    pairs: Sequence[Pair], before: Mapping[str, Mapping[str, Any]], local_side: LocalSide, population: Population
) -> dict[str, tuple[Any, Any, Any]]:
    """One merged person, field by field: here before, in the CRM before, on both sides after."""
    theirs = {str(contact["Email"]).lower(): contact for contact in population.contacts}
    after = local_side.rows()
    names = {"company": "MarkMail_Company__c", "phone": "Phone", "tags": "MarkMail_Tags__c"}
    for pair in pairs:
        row = before.get(pair.local_id)
        contact = theirs.get(str(row["email"]).lower()) if row else None
        if row is None or contact is None:
            continue
        shown = {n: (row[n], contact[crm], after[pair.local_id][n]) for n, crm in names.items()}
        if sum(ours != crm for ours, crm, _ in shown.values()) > 1:
            return shown
    return {}


async def _let_people_edit(day: Day, local_side: LocalSide, control: EmulatorControl) -> None:
    local_side.edit(day.local)
    await control.save(OBJECT, [{"Id": record_id, **fields} for record_id, fields in day.remote.items()])
    await control.delete(OBJECT, [pair.remote_id for pair in day.deleted])


async def _differences(crm: CRMSync, local: RecordStore) -> int:
    """Compare every linked pair by what both sides hold now; the bookkeeping says only who belongs together."""
    pairs = await _pairs(crm)
    async with crm.provider(INTEGRATION) as provider:
        remote = await provider.records(OBJECT)
        mapping = (await crm.repository.get_integration(INTEGRATION)).field_mappings[OBJECT]
        ours, theirs = await local.describe(), await remote.describe()
        rule = compile_mapping(fitted(mapping, ours, theirs), ours, theirs)
        here = await local.get([pair.local_id for pair in pairs], fields=rule.local_fields)
        there = await remote.get([pair.remote_id for pair in pairs], fields=rule.remote_fields)
    return sum(_differs(rule, here.get(pair.local_id), there.get(pair.remote_id)) for pair in pairs)


def _differs(rule: RecordRule, ours: Record | None, theirs: Record | None) -> bool:
    if ours is None or theirs is None:
        return True
    converted = to_remote(rule, ours.fields).values
    return any(
        each.normal_remote(converted.get(each.remote)) != each.normal_remote(theirs.fields.get(each.remote))
        for each in rule.rules
    )


def peak_memory_mb() -> float:
    """The greatest resident size of this process so far, in MiB. The emulator is another process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
