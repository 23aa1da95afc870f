"""Two sides and nothing else: random edits, a CRM that cuts one field, merge and settle, over and over."""

from __future__ import annotations

import attrs
import hypothesis.strategies as st
from hypothesis import given, settings

from crmsync.diff import Digester, Merger, SideResult, settle
from crmsync.mapping import compile_mapping
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.records import Record, Side
from crmsync.models.schema import ObjectSchema

NAMES = ("name", "city", "note")
CUT = "note"
WORDS = st.sampled_from(["alpha", "Bartholomew", "delta-delta", "O'Brien", None])
POLICIES = st.sampled_from(
    [ConflictPolicy.LOCAL_WINS, ConflictPolicy.REMOTE_WINS, ConflictPolicy.NEWEST_WINS, ConflictPolicy.PREFER_NONBLANK]
)
EDITS = st.lists(st.tuples(st.sampled_from(Side), st.sampled_from(NAMES), WORDS), max_size=4)


@attrs.define
class Pair:
    """One record on both sides. The CRM keeps six characters of ``note``, whoever writes it."""

    merger: Merger
    local: dict[str, object] = attrs.field(factory=lambda: dict.fromkeys(NAMES, "start"))
    remote: dict[str, object] = attrs.field(factory=lambda: {name.title(): "start" for name in NAMES})
    shadows: tuple[bytes, bytes] = (b"", b"")
    lost: set[str] = attrs.field(factory=set)

    def store(self, fields: dict[str, object]) -> None:
        for name, value in fields.items():
            cut = name == CUT.title() and isinstance(value, str)
            self.remote[name] = str(value)[:6] if cut else value

    def sync(self) -> int:
        """Merge, write, settle with what was stored; how many fields were written."""
        merge = self.merger.merge(Record("l", dict(self.local)), Record("r", dict(self.remote)), *self.shadows)
        ours, theirs = merge.writes(Side.LOCAL), merge.writes(Side.REMOTE)
        self.local.update(ours)
        self.store(theirs)
        stored = SideResult(stored=Record("r", dict(self.remote)))
        self.shadows = settle(self.merger, merge, self.shadows, SideResult(), stored if theirs else SideResult())
        self.lost |= {note.rule.local for note in merge.conflicts}
        return len(ours) + len(theirs)


def pair(policy: ConflictPolicy, order: list[str] | None = None) -> Pair:
    fields = tuple(two_way(name, name.title()) for name in order or NAMES)
    mapping = ObjectMapping(fields=fields, policy=policy, create_in_crm=False, create_in_local=False)
    mapping = mapping.model_copy(
        update={"match": mapping.match.model_copy(update={"local_email": "", "remote_email": ""})}
    )
    rule = compile_mapping(mapping, ObjectSchema(name="l", open=True), ObjectSchema(name="r", open=True))
    made = Pair(Merger(rule, Digester(b"0" * 32)))
    made.sync()
    return made


def edit(made: Pair, edits: list[tuple[Side, str, str | None]]) -> tuple[dict[str, object], dict[str, object]]:
    """Make the edits; the last one of each field and side."""
    ours: dict[str, object] = {}
    theirs: dict[str, object] = {}
    for side, name, value in edits:
        if side is Side.LOCAL:
            made.local[name] = ours[name] = value
        else:
            made.store({name.title(): value})
            theirs[name] = made.remote[name.title()]
    return ours, theirs


@settings(max_examples=200)
@given(rounds=st.lists(EDITS, max_size=6), policy=POLICIES)
def test_case_15_it_converges_without_echo_and_a_cut_value_never_comes_back(
    rounds: list[list[tuple[Side, str, str | None]]], policy: ConflictPolicy
) -> None:
    """Invariants 1 to 6: no edit that the other side left alone is lost, and what loses is noted."""
    made = pair(policy)
    written: set[object] = {"start", None}
    for edits in rounds:
        before = dict(made.local), dict(made.remote)
        ours, theirs = edit(made, edits)
        written |= {*ours.values(), *theirs.values()}
        made.lost.clear()
        made.sync()
        for name in NAMES:
            changed_here = name in ours and ours[name] != before[0][name]
            changed_there = name in theirs and theirs[name] != before[1][name.title()]
            if changed_here and not changed_there:
                assert made.local[name] == ours[name]
            if changed_there and not changed_here:
                assert made.local[name] == theirs[name]
            if changed_here and changed_there and ours[name] and theirs[name] and ours[name] != theirs[name]:
                assert name in made.lost or made.local[name] == made.remote[name.title()]
        assert made.sync() == 0
        assert set(made.local.values()) <= written


@settings(max_examples=100)
@given(edits=EDITS, policy=POLICIES, order=st.permutations(NAMES))
def test_the_order_of_fields_decides_nothing(
    edits: list[tuple[Side, str, str | None]], policy: ConflictPolicy, order: list[str]
) -> None:
    """Invariant 8, for the fields of one mapping."""
    one, other = pair(policy), pair(policy, list(order))
    for made in (one, other):
        edit(made, edits)
        made.sync()
    assert (one.local, one.remote, one.shadows) == (other.local, other.remote, other.shadows)
