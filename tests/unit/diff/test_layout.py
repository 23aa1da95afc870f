"""Encoded shadows are read and moved in place, just as if they had been decoded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import given

from crmsync.diff import BLANK_SHADOW, Digester, Merger, Shadow, SideResult, holds_value, settle
from crmsync.diff.digests import FieldDigest, beginning
from crmsync.diff.flips import flips_of
from crmsync.models.mappings import ConflictPolicy, Enforcement, MatchKeys
from crmsync.models.records import MISSING, Record, Side
from crmsync.protocols.conversion import Conversion, FieldRule, RecordRule, elements_of

DIGESTS = st.binary(min_size=6, max_size=6)
SETS = st.frozensets(DIGESTS, max_size=3)
DONE = SideResult()


def trimmed(value: object) -> object:
    return value.strip() or None if isinstance(value, str) else value


def elements(value: object) -> object:
    return frozenset(elements_of(value)) or None


def rule(name: str, *, sets: bool = False, normal: Callable[[object], object] = trimmed) -> FieldRule:
    form = elements if sets else normal
    return FieldRule(
        local=name,
        remote=name.title(),
        to_crm=Enforcement.PROPAGATE,
        from_crm=Enforcement.PROPAGATE,
        policy=ConflictPolicy.SET_MERGE if sets else ConflictPolicy.REMOTE_WINS,
        tie=Side.REMOTE,
        set_valued=sets,
        to_remote=Conversion,
        to_local=Conversion,
        normal_local=form,
        normal_remote=form,
        owns=lambda _element: True,
    )


def merger(*rules: FieldRule) -> Merger:
    return Merger(RecordRule(rules, "v1", MatchKeys(), (), ()), Digester(b"k" * 16))


NAMES = ("city", "name", "note", "phone")
SINGLE = merger(*map(rule, NAMES))
MIXED = merger(*map(rule, NAMES), rule("tags", sets=True), rule("lists", sets=True))


@st.composite
def shadows_of(draw: st.DrawFn, made: Merger) -> dict[bytes, FieldDigest]:
    """Digests of all of a mapping's fields."""
    return {f.tag: draw(SETS) if f.sets else draw(DIGESTS) for f in made.fields.values()}


@pytest.mark.parametrize("made", [SINGLE, MIXED], ids=["single", "mixed"])
@given(data=st.data())
def test_a_shadow_of_all_fields_is_read_and_moved_like_a_decoded_one(made: Merger, data: st.DataObject) -> None:
    fields = data.draw(shadows_of(made))
    shadow = Shadow(b"r" * 8, fields, settled=False, seen=True).encode()
    assert made.layout.knows(shadow)
    assert list(made.layout.read(shadow)) == [fields[field.tag] for field in made.fields.values()]
    others = data.draw(shadows_of(made))
    changes = {tag: others[tag] for tag in data.draw(st.sets(st.sampled_from(sorted(fields))))}
    moved = made.layout.moved(shadow, changes, beginning(b"n" * 8, settled=True, seen=False))
    assert moved == Shadow(b"n" * 8, {**fields, **changes}, settled=True, seen=False).encode()


@pytest.mark.parametrize("made", [SINGLE, MIXED], ids=["single", "mixed"])
@given(data=st.data())
def test_two_shadows_agree_if_they_hold_the_same_digests_of_all_fields(made: Merger, data: st.DataObject) -> None:
    fields = data.draw(shadows_of(made))
    shadow, other = Shadow(b"r" * 8, fields, seen=True).encode(), Shadow(b"o" * 8, fields, settled=False).encode()
    tag = data.draw(st.sampled_from(sorted(fields)))
    fewer = {each: digest for each, digest in fields.items() if each != tag}
    digest = fields[tag]
    another = digest | {b"unlike"} if isinstance(digest, frozenset) else bytes(6) if any(digest) else b"unlike"
    assert made.layout.agree(shadow, other)
    assert not made.layout.agree(shadow, Shadow(b"r" * 8, {**fields, tag: another}, seen=True).encode())
    assert not made.layout.agree(Shadow(fields=fewer).encode(), Shadow(fields=fewer).encode())
    assert not made.layout.agree(b"", b"")


@pytest.mark.parametrize("made", [SINGLE, MIXED], ids=["single", "mixed"])
@given(data=st.data())
def test_some_fields_are_picked_out_of_a_shadow_as_they_are_read(made: Merger, data: st.DataObject) -> None:
    shadow = Shadow(b"r" * 8, data.draw(shadows_of(made))).encode()
    read = made.layout.read(shadow)
    places = sorted(data.draw(st.sets(st.sampled_from(range(len(read))))))
    assert list(made.layout.pick(shadow, places)) == [read[place] for place in places]


@pytest.mark.parametrize("made", [SINGLE, MIXED], ids=["single", "mixed"])
@given(data=st.data())
def test_a_shadow_of_any_digests_is_encoded_alike(made: Merger, data: st.DataObject) -> None:
    """Also one of a field that was merged by elements before, and of one that the mapping no longer has."""
    start = beginning(b"n" * 8, settled=True, seen=False)
    fields = data.draw(st.dictionaries(st.sampled_from([*made.tags, b"old"]), st.one_of(DIGESTS, SETS)))
    whole = data.draw(shadows_of(made))
    for digests in (fields, whole, {**whole, **fields}):
        assert made.layout.encode(start, digests) == Shadow(b"n" * 8, digests).encode()


@pytest.mark.parametrize("made", [SINGLE, MIXED], ids=["single", "mixed"])
@given(data=st.data())
def test_a_shadow_of_other_fields_is_decoded(made: Merger, data: st.DataObject) -> None:
    fields = data.draw(shadows_of(made))
    lost = data.draw(st.sampled_from(sorted(fields)))
    kept = {tag: digest for tag, digest in fields.items() if tag != lost}
    for other in (kept, {**kept, b"zzz": b"d" * 6}, {**kept, b"zzz": frozenset[bytes]()}, {**fields, b"zzz": b"d" * 6}):
        shadow = Shadow(fields=other).encode()
        assert not made.layout.knows(shadow)
        assert list(made.layout.read(shadow)) == [other.get(field.tag) for field in made.fields.values()]
    for empty in (b"", BLANK_SHADOW):
        assert not made.layout.knows(empty)
        assert not any(made.layout.read(empty))


def test_a_shadow_of_an_unknown_format_is_refused_in_place_too() -> None:
    shadow = Shadow(fields=dict.fromkeys(SINGLE.tags, b"d" * 6)).encode()
    with pytest.raises(ValueError, match="unknown format"):
        SINGLE.layout.read(b"\x12" + shadow[1:])


def record(side: Side, **fields: object) -> Record:
    return Record("1", fields if side is Side.LOCAL else {name.title(): value for name, value in fields.items()})


def acknowledged(made: Merger, local: Record, remote: Record) -> tuple[bytes, bytes]:
    return settle(made, made.merge(local, remote, b"", b""), (b"", b""), DONE, DONE)


def test_a_record_that_its_side_showed_differently_before_is_taken_for_changed_without_a_look_at_its_fields() -> None:
    """Its counterpart is then looked at, once: the new reading is acknowledged, and it is at rest again."""
    made = merger(*map(rule, NAMES))
    before = dict.fromkeys(NAMES, "a")
    ours, theirs = record(Side.LOCAL, **before), record(Side.REMOTE, **before)
    shadows = acknowledged(made, ours, theirs)
    spaced = record(Side.LOCAL, **{**before, "note": "a "})
    assert made.unchanged(Side.LOCAL, ours, shadows[0])
    assert not made.unchanged(Side.LOCAL, spaced, shadows[0])
    merge = made.merge(spaced, theirs, *shadows)
    assert not merge.decisions
    after = settle(made, merge, shadows, DONE, DONE)
    assert made.unchanged(Side.LOCAL, spaced, after[0])
    assert after[0][9:] == shadows[0][9:]
    assert after[1] == shadows[1]


def test_after_a_write_a_record_is_unchanged_if_its_fields_are_however_its_side_shows_them() -> None:
    made = merger(*map(rule, NAMES))
    ours, theirs = record(Side.LOCAL, **dict.fromkeys(NAMES, "a")), record(Side.REMOTE, **dict.fromkeys(NAMES, "b"))
    merge = made.merge(ours, theirs, b"", b"")
    assert merge.writes(Side.LOCAL) == dict.fromkeys(NAMES, "b")
    shadows = settle(made, merge, (b"", b""), DONE, DONE)
    assert made.unchanged(Side.LOCAL, record(Side.LOCAL, **dict.fromkeys(NAMES, "b ")), shadows[0])
    assert not made.unchanged(Side.LOCAL, record(Side.LOCAL, **dict.fromkeys(NAMES, "c")), shadows[0])


def test_sets_in_another_order_are_no_change_whoever_wrote_last() -> None:
    made = merger(rule("name"), rule("tags", sets=True))
    ours, theirs = record(Side.LOCAL, name="a", tags=("x", "y")), record(Side.REMOTE, name="a", tags=("y", "x"))
    shadows = acknowledged(made, ours, theirs)
    assert made.unchanged(Side.LOCAL, record(Side.LOCAL, name="a", tags=("y", "x")), shadows[0])


@pytest.mark.parametrize("held", [False, True])
def test_a_shadow_of_the_first_formats_says_unchanged_by_its_fields(held: bool) -> None:
    """0x02 and 0x03 did not say where their reading came from, and hashed the mapping's version another way."""
    made = merger(*map(rule, NAMES))
    ours, theirs = record(Side.LOCAL, **dict.fromkeys(NAMES, "a")), record(Side.REMOTE, **dict.fromkeys(NAMES, "a"))
    start = bytes((0x02 | held,)) + b"another."
    left, right = acknowledged(made, ours, theirs)
    old = start + left[9:], start + right[9:]
    assert made.unchanged(Side.LOCAL, ours, old[0])
    assert not made.merge(ours, theirs, *old).decisions
    edited = record(Side.LOCAL, **{**dict.fromkeys(NAMES, "a"), "city": "b"})
    assert not made.unchanged(Side.LOCAL, edited, old[0])
    assert made.merge(edited, theirs, *old).writes(Side.REMOTE) == {"City": "b"}


ANY = st.sampled_from(["a", "a ", None, 0, False, 1, True, 1.0, MISSING])


@given(
    rows=st.fixed_dictionaries(dict.fromkeys(NAMES, st.tuples(ANY, ANY))),
    edits=st.dictionaries(st.sampled_from(NAMES), ANY),
    truncates=st.booleans(),
)
def test_a_shadow_has_the_reading_of_the_record_as_it_is_after_the_write(
    rows: dict[str, tuple[object, object]], edits: dict[str, object], truncates: bool
) -> None:
    """Whether it was hashed again, or taken over from the other side because both hold the very same."""
    ours, theirs = ({name: pair[place] for name, pair in rows.items()} for place in (0, 1))
    shadows = b"", b""
    for changes in ({}, edits):
        local, remote = record(Side.LOCAL, **{**ours, **changes}), record(Side.REMOTE, **theirs)
        merge = SINGLE.merge(local, remote, *shadows)
        after = [{**one.fields, **merge.writes(side)} for side, one in ((Side.LOCAL, local), (Side.REMOTE, remote))]
        stored = {name: "t" if truncates and isinstance(value, str) else value for name, value in after[1].items()}
        result = SideResult(stored=Record("r", stored))
        shadows = settle(SINGLE, merge, shadows, DONE, result if merge.writes(Side.REMOTE) else DONE)
        shown = [after[0], {**after[1], **{name: stored[name] for name in merge.writes(Side.REMOTE)}}]
        assert shadows[0][1:9] == SINGLE.readings.local.of(shown[0])
        assert shadows[1][1:9] == SINGLE.readings.remote.of(shown[1])
        ours = dict(after[0])
        theirs = {name: shown[1].get(name.title(), MISSING) for name in NAMES}


def test_a_number_that_compares_with_nothing_stops_no_merge() -> None:
    """Not even `!=` can be asked of a signalling NaN and another number."""
    made = merger(rule("city", normal=repr), rule("name"))
    ours, theirs = record(Side.LOCAL, city=Decimal("sNaN"), name="a"), record(Side.REMOTE, city=1, name="a")
    merge = made.merge(ours, theirs, b"", b"")
    assert merge.writes(Side.LOCAL) == {"city": 1}
    shadows = settle(made, merge, (b"", b""), DONE, DONE)
    broken = record(Side.LOCAL, city=Decimal("sNaN"), name="a")
    assert made.merge(broken, theirs, *shadows).writes(Side.REMOTE).keys() == {"City"}


VALUES = st.sampled_from(["a", "a ", "b", "", None, 0, False, 1, True, 1.0, "1", 0.0, -0.0])
ROWS = st.fixed_dictionaries(dict.fromkeys(NAMES, VALUES))


@given(start=ROWS, ours=ROWS, theirs=ROWS, kept=st.sets(st.sampled_from(NAMES)), still=st.sampled_from([None, *Side]))
def test_what_the_other_side_tells_about_a_change_is_what_the_digests_tell(
    start: dict[str, object], ours: dict[str, object], theirs: dict[str, object], kept: set[str], still: Side | None
) -> None:
    """With one form for both sides, fields are compared side by side; with two, each by its own digest."""
    plain = merger(*(attrs.evolve(one, normal_remote=lambda v: trimmed(v)) for one in SINGLE.rule.rules))  # noqa: PLW0108 (a form of its own)
    local = start if still is Side.LOCAL else {**ours, **{name: start[name] for name in kept}}
    remote = start if still is Side.REMOTE else {**theirs, **{name: start[name] for name in kept}}
    found = []
    for made in (SINGLE, plain):
        shadows = acknowledged(made, record(Side.LOCAL, **start), record(Side.REMOTE, **start))
        merge = made.merge(record(Side.LOCAL, **local), record(Side.REMOTE, **remote), *shadows)
        notes = [(note.rule.local, note.winner) for note in merge.conflicts]
        writes = merge.writes(Side.LOCAL), merge.writes(Side.REMOTE)
        found.append((list(merge.decisions), *writes, notes, settle(made, merge, shadows, DONE, DONE)))
    assert repr(found[0]) == repr(found[1])


@given(start=ROWS, ours=ROWS, theirs=ROWS, stored=st.none() | st.just(Record("r", {"City": "cut"})))
def test_digests_that_are_known_already_are_those_that_would_be_made(
    start: dict[str, object], ours: dict[str, object], theirs: dict[str, object], stored: Record | None
) -> None:
    """Those of what the journal holds, as sent and as replaced: for the shadows, and for the history of flips."""
    shadows = acknowledged(SINGLE, record(Side.LOCAL, **start), record(Side.REMOTE, **start))
    pair = record(Side.LOCAL, **ours), record(Side.REMOTE, **theirs)
    merge = SINGLE.merge(*pair, *shadows)
    assert merge.held == (sum(map(holds_value, ours.values())), sum(map(holds_value, theirs.values())))
    plain = DONE, SideResult(stored=stored)
    known = [
        attrs.evolve(result, sent=SINGLE.digests(side, writes), replaced=SINGLE.digests(side, replaced))
        for side, result, one in zip(Side, plain, pair, strict=True)
        for writes in [merge.writes(side)]
        for replaced in [{name: one.fields[name] for name in writes}]
    ]
    assert settle(SINGLE, merge, shadows, *known) == settle(SINGLE, merge, shadows, *plain)
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert flips_of(SINGLE, merge, now, *known) == flips_of(SINGLE, merge, now, *plain)
