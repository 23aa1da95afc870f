"""The pure path: what a record costs before anything is written, in CPU time of one core.

    python benchmarks/pure.py [--records 20000] [--fields 20]

Beside it, in the same run, the same records serialised by orjson and hashed by SHA-256: about the least that anything
can do which looks at every value.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable

import attrs
import orjson

from crmsync.diff import Digester, Merger, SideResult, merge_new, operation, settle
from crmsync.mapping import compile_mapping
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


def rate(name: str, count: int, work: Callable[[], None], least: float | None = None) -> float:
    """Time it and print records a second; ``least`` is the rate to compare with."""
    began = time.process_time()
    work()
    done = count / (time.process_time() - began)
    ratio = f"{least / done:8.1f} x the time" if least else ""
    print(f"  {name:<66} {done:12,.0f} records/s {ratio}", flush=True)
    return done


@attrs.define
class Path:
    """The parts of the pure path, over so many records of one mapping."""

    count: int
    width: int
    merger: Merger = attrs.field(init=False)
    ours: list[Record] = attrs.field(init=False)
    theirs: list[Record] = attrs.field(init=False)
    changed: list[Record] = attrs.field(init=False)
    shadows: list[tuple[bytes, bytes]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        names = range(1, self.width)
        email = two_way("email", "Email", field_type=FieldType.EMAIL)
        mapping = ObjectMapping(fields=(email, *(two_way(f"f{n}", f"F{n}") for n in names)))
        sides = (ObjectSchema(name="subscribers", open=True), ObjectSchema(name="Contact", open=True))
        self.merger = Merger(compile_mapping(mapping, *sides), Digester(b"k" * 32))
        self.ours = [record(Side.LOCAL, n, self.width) for n in range(self.count)]
        self.theirs = [record(Side.REMOTE, n, self.width) for n in range(self.count)]
        edits = ({f"f{1 + n % (self.width - 1)}": "x"} for n in range(self.count))
        self.changed = [
            attrs.evolve(one, fields={**one.fields, **edit}) for one, edit in zip(self.ours, edits, strict=True)
        ]

    def serialise(self) -> None:
        for one in self.ours:
            hashlib.sha256(orjson.dumps(one.fields)).digest()

    def create(self) -> None:
        for one in self.ours:
            merge = merge_new(self.merger, Side.LOCAL, one)
            operation(Side.REMOTE, merge, op_id="", record_id=None)
            settle(self.merger, merge, (b"", b""), DONE, DONE)

    def meet(self) -> None:
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

    def change(self) -> None:
        for one, other, held in zip(self.changed, self.theirs, self.shadows, strict=True):
            assert not self.merger.unchanged(Side.LOCAL, one, held[0])
            merge = self.merger.merge(one, other, *held)
            assert operation(Side.REMOTE, merge, op_id="", record_id=None) is not None
            settle(self.merger, merge, held, DONE, DONE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--fields", type=int, default=20)
    options = parser.parse_args()
    count, path = options.records, Path(options.records, options.fields)
    print(f"{count} records of {options.fields} fields, one core, CPU time")
    least = rate("orjson and SHA-256 of one side", count, path.serialise)
    rate("to be created on the other side: map, plan, settle", count, path.create, least)
    rate("two that meet for the first time and agree: map, merge, settle", count, path.meet, least)
    rate("unchanged, one side", count, path.unchanged_one, least)
    rate("unchanged, both sides", count, path.unchanged_both, least)
    rate("one field changed on one side: compare, map, merge, plan, settle", count, path.change, least)
    size = sum(len(left) + len(right) for left, right in path.shadows) / count
    print(f"  shadows of both sides: {size:.0f} bytes a record")


if __name__ == "__main__":
    main()
