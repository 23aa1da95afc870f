"""The pure path: what a record costs beside reading and writing it, in CPU time of one core.

    python benchmarks/pure.py [--records 2000] [--fields 20] [--passes 30]

Beside it, in the same run, the same records serialised by orjson and hashed by SHA-256: about the least that anything
can do which looks at every value. Each step is compared with this over just the records that it looks at: one side's
record, or both records of a pair. A pair counts as one. Each step goes over all records some times, in turn with the
others, and its fastest pass counts: on a machine that others use as well, the rest measures them.

An *unchanged* record is dropped by its reading before it is mapped, and that is all that a run does with it. The *whole
path* of an unchanged pair is what a run spares itself by that: to map both records, digest them, merge them, and plan
nothing. A pair is *verified* as ``crmsync verify`` compares it: once with its shadows and once as if the two had never
met, which maps every field and looks at each by itself.

A *changed* record is one of which one side shows another value in one (or two) of its fields than when the pair was
acknowledged, while the other side is as it was. Its path: notice it by its shadow, compare the pair, convert, decide,
plan the write, and make both new shadows once the write is done. Which field it is goes round. That a record *was
written* by us the last time means that its side shows it a little differently than we sent it, and nobody knew: so more
of it has to be looked at.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import time
from collections.abc import Callable, Sequence
from functools import partial

import attrs
import orjson

from crmsync.diff import Digester, Merger, SideResult, field_drifts, merge_new, operation, settle
from crmsync.mapping import RecordConverter, compile_mapping
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.records import Record, Side
from crmsync.models.schema import FieldType, ObjectSchema

DONE = SideResult()


def record(side: Side, number: int, fields: int) -> Record:
    """A person as one side holds it."""
    upper = side is Side.REMOTE
    values: dict[str, object] = {("F" if upper else "f") + str(n): f"value {n} of {number}" for n in range(1, fields)}
    values["Email" if upper else "email"] = f"p{number}@example.org"
    return Record(f"{'r' if upper else 'm'}{number}", values)


@attrs.frozen
class Step:
    """Something to measure. ``looks_at``: one side's records, or both."""

    name: str
    work: Callable[[], None]
    looks_at: int = 1


def measure(count: int, passes: int, peers: Sequence[Step], steps: Sequence[Step]) -> None:
    """Print the records a second of each step, and how long it takes compared with the peer over the same records."""
    best = dict.fromkeys(range(len(peers) + len(steps)), float("inf"))
    for _ in range(passes):
        for place, step in enumerate((*peers, *steps)):
            began = time.process_time()
            step.work()
            best[place] = min(best[place], time.process_time() - began)
    least = {peer.looks_at: best[place] for place, peer in enumerate(peers)}
    for place, step in enumerate((*peers, *steps)):
        taken = best[place]
        of = "both sides" if step.looks_at > 1 else "one side"
        print(f"  {step.name:<66} {count / taken:12,.0f} /s {taken / least[step.looks_at]:7.1f} x {of}", flush=True)


@attrs.define
class Path:
    """The parts of the pure path, over so many records of one mapping."""

    count: int
    width: int
    merger: Merger = attrs.field(init=False)
    outward: RecordConverter = attrs.field(init=False)
    inward: RecordConverter = attrs.field(init=False)
    ours: list[Record] = attrs.field(init=False)
    theirs: list[Record] = attrs.field(init=False)
    changed: list[Record] = attrs.field(init=False)
    twice: list[Record] = attrs.field(init=False)
    sent: list[Record] = attrs.field(init=False)
    shadows: list[tuple[bytes, bytes]] = attrs.field(init=False)
    written: list[tuple[bytes, bytes]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        names = range(1, self.width)
        email = two_way("email", "Email", field_type=FieldType.EMAIL)
        mapping = ObjectMapping(fields=(email, *(two_way(f"f{n}", f"F{n}") for n in names)))
        sides = (ObjectSchema(name="subscribers", open=True), ObjectSchema(name="Contact", open=True))
        rule = compile_mapping(mapping, *sides)
        self.merger = Merger(rule, Digester(b"k" * 32))
        self.outward, self.inward = RecordConverter(rule, Side.REMOTE), RecordConverter(rule, Side.LOCAL)
        self.ours = [record(Side.LOCAL, n, self.width) for n in range(self.count)]
        self.theirs = [record(Side.REMOTE, n, self.width) for n in range(self.count)]
        self.changed = [self.edited(one, n) for n, one in enumerate(self.ours)]
        self.twice = [self.edited(one, n + self.width // 2) for n, one in enumerate(self.changed)]
        self.sent = [
            attrs.evolve(one, fields={**one.fields, "Email": str(one.fields["Email"]).upper()}) for one in self.theirs
        ]
        self.meet()
        self.written = [self.after_write(n) for n in range(self.count)]

    def edited(self, one: Record, number: int) -> Record:
        return attrs.evolve(one, fields={**one.fields, f"f{1 + number % (self.width - 1)}": "x"})

    def after_write(self, number: int) -> tuple[bytes, bytes]:
        """The shadows after a write to the local side, of which nothing is known but that it was made."""
        local = attrs.evolve(self.ours[number], fields={**self.ours[number].fields, "email": "old@example.org"})
        merge = self.merger.merge(local, self.sent[number], b"", b"")
        assert merge.writes(Side.LOCAL)
        return settle(self.merger, merge, (b"", b""), DONE, DONE)

    def serialise_one(self) -> None:
        for one in self.ours:
            hashlib.sha256(orjson.dumps(one.fields)).digest()

    def serialise_both(self) -> None:
        for one, other in zip(self.ours, self.theirs, strict=True):
            hashlib.sha256(orjson.dumps(one.fields)).digest()
            hashlib.sha256(orjson.dumps(other.fields)).digest()

    def create(self) -> None:
        for one in self.ours:
            merge = merge_new(self.merger, Side.LOCAL, one)
            operation(Side.REMOTE, merge, op_id="", record_id=None)
            settle(self.merger, merge, (b"", b""), DONE, DONE)

    def meet(self) -> None:
        self.shadows = []
        for one, other in zip(self.ours, self.theirs, strict=True):
            merge = self.merger.merge(one, other, b"", b"")
            self.shadows.append(settle(self.merger, merge, (b"", b""), DONE, DONE))

    def unchanged_one(self) -> None:
        for one, (shadow, _) in zip(self.ours, self.shadows, strict=True):
            assert self.merger.unchanged(Side.LOCAL, one, shadow)

    def unchanged_both(self) -> None:
        for one, other, (left, right) in zip(self.ours, self.theirs, self.shadows, strict=True):
            assert self.merger.unchanged(Side.LOCAL, one, left)
            assert self.merger.unchanged(Side.REMOTE, other, right)

    def whole(self) -> None:
        for one, other, held in zip(self.ours, self.theirs, self.shadows, strict=True):
            self.outward.convert(one.fields)
            self.inward.convert(other.fields)
            merge = self.merger.merge(one, other, *held)
            assert operation(Side.LOCAL, merge, op_id="", record_id=None) is None
            assert operation(Side.REMOTE, merge, op_id="", record_id=None) is None

    def verify(self) -> None:
        for one, other, held in zip(self.ours, self.theirs, self.shadows, strict=True):
            assert not list(field_drifts(self.merger, one, other, *held))

    def echo(self) -> None:
        for one, (shadow, _) in zip(self.ours, self.written, strict=True):
            assert self.merger.unchanged(Side.LOCAL, one, shadow)

    def change(self, ours: list[Record], theirs: list[Record], shadows: list[tuple[bytes, bytes]]) -> None:
        for one, other, held in zip(ours, theirs, shadows, strict=True):
            assert not self.merger.unchanged(Side.LOCAL, one, held[0])
            merge = self.merger.merge(one, other, *held)
            assert operation(Side.REMOTE, merge, op_id="", record_id=None) is not None
            settle(self.merger, merge, held, DONE, DONE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--passes", type=int, default=30)
    options = parser.parse_args()
    path = Path(options.records, options.fields)
    gc.collect()
    gc.freeze()  # the records at hand are the benchmark's, not the engine's
    print(
        f"{path.count} records of {options.fields} fields, one core, CPU time, the fastest of {options.passes} passes"
    )
    measure(
        path.count,
        options.passes,
        [
            Step("orjson and SHA-256 of one side", path.serialise_one),
            Step("orjson and SHA-256 of both sides", path.serialise_both, 2),
        ],
        [
            Step("unchanged, one side", path.unchanged_one),
            Step("unchanged, both sides", path.unchanged_both, 2),
            Step("unchanged, the whole path: map both ways, digest, merge, plan", path.whole, 2),
            Step("unchanged, verified: as it is known, and as strangers", path.verify, 2),
            Step("unchanged, one side, as it made of our last write", path.echo),
            Step("one field changed on one side", partial(path.change, path.changed, path.theirs, path.shadows), 2),
            Step("two fields changed on one side", partial(path.change, path.twice, path.theirs, path.shadows), 2),
            Step(
                "one field changed on one side, which was written the last time",
                partial(path.change, path.changed, path.sent, path.written),
                2,
            ),
            Step("to be created on the other side: map, plan, settle", path.create),
            Step("two that meet for the first time and agree: map, merge, settle", path.meet, 2),
        ],
    )
    size = sum(len(left) + len(right) for left, right in path.shadows) / path.count
    print(f"  shadows of both sides: {size:.0f} bytes a record")


if __name__ == "__main__":
    main()
