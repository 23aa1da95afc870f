"""How the cost of a run grows with what is linked, and with what changed.

    python benchmarks/scale.py [--contacts 100000,1000000] [--storage sqlite,postgresql] [--fields 20]

Both sides are made up as they are read and hold nothing in memory but what was changed, so that the peak memory is the
engine's. For each size and storage, each step in a process of its own: a first load that creates everybody in the CRM,
a run without any change, and a run after 1 % was changed on each side (in different records, so that 2 % are written).
PostgreSQL is the server that CRMSYNC_TEST_POSTGRES_URL names, or else one of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.storage import postgres
from crmsync.engine import RunBudget, Runner, SystemClock
from crmsync.mapping import compile_mapping
from crmsync.models.integrations import Integration
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.records import ChangePage, Operation, Outcome, OutcomeStatus, Record, Side, StoreLimits
from crmsync.models.runs import RunOptions
from crmsync.models.schema import FieldType, ObjectSchema
from crmsync.storage.sql import open_repository

SHARE = 100
STEPS = ("first load", "no change", "1 % changed on each side")
IDS = "{:08}-1111-2222-3333-444444444444"


@attrs.define
class MadeUp:
    """A `RecordStore` of people who are made up from their number. Every ``share``th one has another value.

    The CRM's people are those of the local side, once they were created. Calls are counted as a CRM counts them.
    """

    side: Side
    people: int
    width: int
    there: bool
    changed_from: int | None = None
    share: int = SHARE
    calls: int = 0
    limits: StoreLimits = attrs.field(init=False)
    _names: tuple[str, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        remote = self.side is Side.REMOTE
        names = (f"{'F' if remote else 'f'}{n}" for n in range(1, self.width))
        self._names = (*names, "Email" if remote else "email")
        self.limits = StoreLimits(accepts_ids=not remote, external_key=remote, write_batch=200 if remote else 2000)

    @property
    def name(self) -> str:
        return "Contact" if self.side is Side.REMOTE else "subscribers"

    async def describe(self) -> ObjectSchema:
        return ObjectSchema(name=self.name, open=True)

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        self.calls += 1
        size = limit or self.limits.read_page
        everything = cursor is None or cursor.startswith("all:")
        start = int(cursor.partition(":")[2]) if cursor else 0
        if everything:
            numbers: Sequence[int] = range(start, min(start + size, self.people)) if self.there else ()
            more = self.there and start + size < self.people
        else:
            offset = self.changed_from
            changed = range(0 if offset is None else offset, 0 if offset is None else self.people, self.share)
            numbers, more = changed[start : start + size], start + size < len(changed)
        kind = "all" if everything and more else "since"
        position = start + size if more else 0
        return ChangePage(tuple(map(self._record, numbers)), f"{kind}:{position}", more)

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        self.calls += -(-len(ids) // 200)
        return {one: self._record(int(one[:8] if self.side is Side.LOCAL else one[3:])) for one in ids}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        return ()

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        return ()

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        self.calls += 1
        return [self._written(operation) for operation in operations]

    def _written(self, operation: Operation) -> Outcome:
        if operation.id is not None:
            return Outcome(operation.op_id, OutcomeStatus.UPDATED, operation.id)
        assert operation.key is not None
        return Outcome(operation.op_id, OutcomeStatus.CREATED, f"003{int(operation.key[:8]):08}")

    def _record(self, number: int) -> Record:
        texts = [f"value {n} of {number}" for n in range(1, self.width)]
        values: dict[str, object] = dict(zip(self._names, (*texts, f"p{number}@example.org"), strict=True))
        if self.changed_from is not None and number % self.share == self.changed_from:
            values[self._names[0]] = f"changed in {self.name}"
        key = IDS.format(number)
        return Record(f"003{number:08}", values, key) if self.side is Side.REMOTE else Record(key, values)


async def step(url: str, name: str, people: int, width: int) -> dict[str, Any]:
    """One run; what it took."""
    first, edited = name == STEPS[0], name == STEPS[2]
    local = MadeUp(Side.LOCAL, people, width, there=True, changed_from=1 if edited else None)
    remote = MadeUp(Side.REMOTE, people, width, there=not first, changed_from=2 if edited else None)
    email = two_way("email", "Email", field_type=FieldType.EMAIL)
    mapping = ObjectMapping(fields=(email, *(two_way(f"f{n}", f"F{n}") for n in range(1, width))))
    rule = compile_mapping(mapping, await local.describe(), await remote.describe())
    async with open_repository(url) as repository:
        if first:
            await repository.save_integration(Integration(id="bench", provider="made-up"))
        runner = Runner(
            integration_id="bench",
            entity_type="Contact",
            mapping=mapping,
            rule=rule,
            local=local,
            remote=remote,
            repository=repository,
            clock=SystemClock(),
            budget=RunBudget(),
            digest_key=b"k" * 32,
            options=RunOptions(),
        )
        began, spent = time.perf_counter(), time.process_time()
        report = await runner.sync()
        seconds, spent = time.perf_counter() - began, time.process_time() - spent
    return {"seconds": seconds, "cpu": spent, "written": report.written, "calls": remote.calls}


def measure(url: str, people: int, width: int, label: str) -> None:
    """All steps, each in a process of its own."""
    for name in STEPS:
        command = [sys.executable, __file__, "--step", name, "--url", url, "--contacts", str(people)]
        done = subprocess.run([*command, "--fields", str(width)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        took = json.loads(done.stdout)
        rate = f"{took['written'] / took['seconds']:8,.0f} records/s" if took["written"] else " " * 18
        print(
            f"  {label:<11} {people:9,} {name:<26} {took['seconds']:9.2f} s ({took['cpu']:.2f} s of CPU) {rate}"
            f" {took['written']:9,} written {took['calls']:6,} calls {took['peak_mb']:6.0f} MB",
            flush=True,
        )


def on_sqlite(people: int, width: int) -> None:
    """In a new file; its size is the whole bookkeeping's."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "bench.db"
        measure(f"sqlite:///{path}", people, width, "SQLite")
        size = sum(one.stat().st_size for one in Path(directory).iterdir())
        print(
            f"  {'':<11} {people:9,} bookkeeping: {size / people:.0f} bytes a linked record, indexes and all",
            flush=True,
        )


def on_postgresql(people: int, width: int) -> None:
    """In a database of its own, unless one is named."""
    with postgres() as url:
        measure(url, people, width, "PostgreSQL")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", default="100000,1000000")
    parser.add_argument("--storage", default="sqlite,postgresql")
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        took = anyio.run(step, options.url, options.step, int(options.contacts), options.fields)
        peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
        print(json.dumps({**took, "peak_mb": int(peak[1]) / 1024 if peak else 0}))
        return
    for storage in options.storage.split(","):
        for people in map(int, options.contacts.split(",")):
            {"sqlite": on_sqlite, "postgresql": on_postgresql}[storage](people, options.fields)


if __name__ == "__main__":
    main()
