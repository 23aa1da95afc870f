"""How well reading, planning and writing overlap when each call takes 120 ms.

    python benchmarks/overlap.py [--people 10000] [--latency 0.12] [--concurrent 5] [--clock calls|busy|real]
                                 [--collect seldom|often]

Both sides are made up; the CRM answers each call after 120 ms, a few calls at a time, and so does the local side, which
then stands for another CRM, or else at once, as the application's own database does. A look-up of more ids than a call
takes is several calls. By the clock ``calls`` time passes only while everything waits for a call, so that what is
printed is the network's share alone, on any machine. By ``busy`` it passes with the CPU time as well: as on a machine
that does nothing else. ``real`` is the wall's. These two are compared with the longer of the network's minimum and the
CPU time: a thread computes while calls are on their way. Cycles of objects are looked for as seldom as the command line
does in a process of its own, or as often as Python does by itself.

The network's own minimum for the calls that were made: in a pass, the pages of a cursor follow each other, everything
about a page comes after it, and what is written of it after what is looked up for it. So a pass takes at least as long
as its pages, one look-up and one write. And it takes at least as long as its first page, then all other calls to one
side, as many at a time as that side allows, and then one write if those calls look up what goes to the other side.

Of the local side's pass nothing is read before the CRM's pages are, and nothing is written before the CRM's pass has
ended; the rest of the two may come together. So they take at least as long as the CRM's pages and then the local side's
pass, as the CRM's pass and then all writes of the local side's, and as the first page and then all calls to one side.
How many records may be on the belt is not counted, so this is less than a run with bounded memory can reach: as long as
the last portion of the first pass is on the belt, of the second one no more may be looked up than there is room beside
it; what is left of that is called together with the writes. That minimum is told, too, and so is that of the first pass
and then the second, as the run was until the second pass was begun while the first was written.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import attrs
import trio.testing

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.scale import MadeUp
from crmsync.cli.collecting import collect_seldom, keep_what_is_there
from crmsync.engine import RunBudget, Runner, SystemClock
from crmsync.engine.reading import ON_THE_WAY
from crmsync.mapping import compile_mapping
from crmsync.models.events import PageRead, SyncEvent
from crmsync.models.integrations import Integration
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.records import ChangePage, Operation, Outcome, Record, Side
from crmsync.models.runs import RunOptions, RunReport
from crmsync.models.schema import FieldType
from crmsync.storage.memory import MemoryRepository

WIDTH = 20
CALL = 200


@attrs.define
class Network:
    """Who called whom for what, in which pass."""

    latency: Mapping[Side, float]
    concurrent: int
    passing: Side = Side.REMOTE
    calls: Counter[tuple[Side, Side, str]] = attrs.field(factory=Counter)
    spent: Counter[Side] = attrs.field(factory=Counter)
    _since: float = attrs.field(factory=time.process_time)

    def notify(self, event: SyncEvent) -> None:
        """Of a pass that is begun before its turn, observers hear once that has come."""
        if isinstance(event, PageRead):
            self.begin(event.side)

    def count(self, side: Side, kind: str) -> None:
        """One call to a side. Whoever calls the CRM, but for its pages, is the local side's pass."""
        passing = side if kind == "page" else Side.LOCAL if side is Side.REMOTE else self.passing
        self.calls[passing, side, kind] += 1

    def begin(self, passing: Side) -> None:
        """A pass over a side begins, or goes on: the CPU time until now is that of the one before."""
        now = time.process_time()
        self.spent[self.passing] += now - self._since
        self.passing, self._since = passing, now

    def longer(self) -> float:
        """In seconds, of each pass the longer of its minimum and its CPU time, as measured until now."""
        self.begin(self.passing)
        return sum(max(self._of_pass(side), self.spent[side]) for side in Side)

    def minimum(self) -> float:
        """See the module's docstring. In seconds."""
        first, second = Side.REMOTE, Side.LOCAL
        pages = self.calls[first, first, "page"] * self.latency[first]
        writes = {side: self.calls[second, side, "write"] for side in Side}
        calls = {side: sum(n for (_, of, _), n in self.calls.items() if of is side) - (side is first) for side in Side}
        return max(
            pages + self._of_pass(second),
            self._of_pass(first) + max(self._together(side, n) for side, n in writes.items()),
            self.latency[first] + max(self._together(side, n) for side, n in calls.items()),
        )

    def minimum_in_memory(self) -> float:
        """The minimum with no more records in memory than the engine allows. In seconds."""
        portion = CALL * self.concurrent
        ahead = (max(ON_THE_WAY, 3 * portion) - portion) // CALL
        left = max(0, self.calls[Side.LOCAL, Side.REMOTE, "look"] - ahead)
        writes = self.calls[Side.LOCAL, Side.REMOTE, "write"]
        return max(self.minimum(), self._of_pass(Side.REMOTE) + self._together(Side.REMOTE, left + writes))

    def one_after_the_other(self) -> float:
        """The minimum if the second pass is begun when the first has ended. In seconds."""
        return sum(self._of_pass(side) for side in Side)

    def _together(self, side: Side, calls: int) -> float:
        return math.ceil(calls / self.concurrent) * self.latency[side]

    def _of_pass(self, passing: Side) -> float:
        mine = {(side, kind): n for (of, side, kind), n in self.calls.items() if of is passing}
        look = self.latency[passing.other] if (passing.other, "look") in mine else 0.0
        write = max((self.latency[side] for side in Side if (side, "write") in mine), default=0)
        chain = mine.get((passing, "page"), 0) * self.latency[passing] + look + write
        return max(chain, *(self._busy(passing, side, mine) for side in Side if passing in {of for of, _ in mine}))

    def _busy(self, passing: Side, side: Side, mine: Mapping[tuple[Side, str], int]) -> float:
        calls = sum(n for (of, _), n in mine.items() if of is side) - (side is passing)
        written_elsewhere = (side, "write") not in mine and (side, "look") in mine and (side.other, "write") in mine
        after = self.latency[side.other] if written_elsewhere else 0
        return self.latency[passing] + self._together(side, calls) + after


@attrs.define
class Distant(MadeUp):
    """The same people behind a network."""

    network: Network = attrs.field(kw_only=True)
    _free: anyio.CapacityLimiter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.limits = attrs.evolve(self.limits, write_batch=CALL, concurrent_writes=self.network.concurrent)
        self._free = anyio.CapacityLimiter(self.network.concurrent)

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        ask = super().changes
        # Asked for e-mails alone: the keys of all, with which the records of the other side's first page are matched.
        await self._call("page" if len(fields) > 1 else "look")
        return await ask(cursor, fields=fields, limit=limit)

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        ask = super().get
        await self._look(len(ids))
        return await ask(ids, fields=fields)

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        await self._look(len(values))
        return ()

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        await self._look(len(keys))
        return ()

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        await self._call("write")
        return [self._written(operation) for operation in operations]

    async def _look(self, values: int) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(0, values, CALL):
                group.start_soon(self._call, "look")

    async def _call(self, kind: str) -> None:
        self.network.count(self.side, kind)
        async with self._free:
            await anyio.sleep(self.network.latency[self.side])


class BusyClock(trio.abc.Clock):
    """Time passes as the CPU is used, and jumps on where everything waits."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return time.process_time() + self._skipped

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Asked only when nothing can go on before the deadline."""
        if not math.isfinite(deadline):
            return 0.01  # another thread is to answer
        self._skipped += max(0.0, deadline - self.current_time())
        return 0.0


async def sync(repository: MemoryRepository, network: Network, people: int, *, edited: bool, there: bool) -> RunReport:
    """One run of so many people, of whom every second one is edited on either side."""
    sides = {
        side: Distant(side, people, WIDTH, there=there or side is Side.LOCAL, share=2, network=network) for side in Side
    }
    if edited:
        sides[Side.LOCAL].changed_from, sides[Side.REMOTE].changed_from = 0, 1
    fields = (
        two_way("email", "Email", field_type=FieldType.EMAIL),
        *(two_way(f"f{n}", f"F{n}") for n in range(1, WIDTH)),
    )
    mapping = ObjectMapping(fields=fields, overwrite_guard_share=1.0)
    runner = Runner(
        integration_id="bench",
        entity_type="Contact",
        mapping=mapping,
        rule=compile_mapping(mapping, *[await sides[side].describe() for side in Side]),
        local=sides[Side.LOCAL],
        remote=sides[Side.REMOTE],
        repository=repository,
        clock=SystemClock(),
        budget=RunBudget(),
        digest_key=b"k" * 32,
        options=RunOptions(),
        observers=[network],
    )
    return await runner.sync()


async def measure(options: argparse.Namespace) -> None:
    for local in (0.0, options.latency):
        print(f"the local side answers after {local * 1000:.0f} ms", flush=True)
        repository = MemoryRepository()
        await repository.save_integration(Integration(id="bench", provider="made-up"))
        await runs(repository, {Side.LOCAL: local, Side.REMOTE: options.latency}, options)


async def runs(repository: MemoryRepository, latency: Mapping[Side, float], options: argparse.Namespace) -> None:
    for name, edited, there in (
        ("everybody created in the CRM", False, False),
        ("no change", False, True),
        ("half edited on each side", True, True),
    ):
        network = Network(latency, options.concurrent)
        began, wall, spent = anyio.current_time(), time.perf_counter(), time.process_time()
        report = await sync(repository, network, options.people, edited=edited, there=there)
        waited, wall, spent = anyio.current_time() - began, time.perf_counter() - wall, time.process_time() - spent
        least, held, after = network.minimum(), network.minimum_in_memory(), network.one_after_the_other()
        kinds = Counter[str]()
        for (_, side, kind), n in network.calls.items():
            kinds[f"{side} {kind}"] += n
        told = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        each, both = network.longer(), max(least, spent)
        longer = f", {waited / both:.2f} of the longer of the two, {waited / each:.2f} of the longer in each pass"
        longer = longer if options.clock != "calls" else ""
        print(
            f"  {name:<38} {report.written:7,} written {waited:8.2f} s of waiting, {waited / least:5.2f} of the minimum"
            f" of {least:.2f} s, {waited / held:.2f} of {held:.2f} s with what may be in memory,"
            f" {waited / after:.2f} of {after:.2f} s for one pass after the other;"
            f" {spent:.1f} s of CPU{longer}; calls: {told}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--latency", type=float, default=0.12)
    parser.add_argument("--concurrent", type=int, default=5)
    parser.add_argument("--clock", choices=("calls", "busy", "real"), default="calls")
    parser.add_argument("--collect", choices=("seldom", "often"), default="seldom")
    options = parser.parse_args()
    if options.collect == "seldom":
        collect_seldom()
        keep_what_is_there()
    print(f"{options.people} people, {options.latency * 1000:.0f} ms a call, {options.concurrent} at a time")
    clocks = {"calls": trio.testing.MockClock(autojump_threshold=0), "busy": BusyClock(), "real": None}
    trio.run(measure, options, clock=clocks[options.clock])


if __name__ == "__main__":
    main()
