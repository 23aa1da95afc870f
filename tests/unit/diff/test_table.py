"""The table of who changed what, every policy and enforcement, and the shadows afterwards, on hand-made rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
import pytest

from crmsync.diff import (
    DeleteAction,
    Digester,
    Merge,
    Merger,
    Shadow,
    SideResult,
    Verdict,
    decide_delete,
    delete_limit,
    merge_new,
    operation,
    settle,
)
from crmsync.diff.echoes import is_lossy_image
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, Enforcement, MatchKeys
from crmsync.models.records import MISSING, OperationKind, Record, Side
from crmsync.protocols.conversion import Conversion, FieldRule, Loss, LossKind, RecordRule, elements_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
P, M, OFF = Enforcement.PROPAGATE, Enforcement.MIRROR, Enforcement.OFF


def same(value: object) -> Conversion:
    return Conversion(value)


def normal(value: object) -> object:
    return value or None if isinstance(value, str) else value


def elements(value: object) -> object:
    return frozenset(elements_of(value))


RULE = FieldRule(
    local="name",
    remote="Name",
    to_crm=P,
    from_crm=P,
    policy=ConflictPolicy.NEWEST_WINS,
    tie=Side.REMOTE,
    set_valued=False,
    to_remote=same,
    to_local=same,
    normal_local=normal,
    normal_remote=normal,
    owns=lambda _element: True,
)
TAGS = attrs.evolve(
    RULE,
    local="tags",
    remote="Tags",
    set_valued=True,
    policy=ConflictPolicy.SET_MERGE,
    normal_local=elements,
    normal_remote=elements,
)


def merger(*rules: FieldRule) -> Merger:
    names = tuple(rule.local for rule in rules), tuple(rule.remote for rule in rules)
    return Merger(RecordRule(rules, "v1", MatchKeys(), *names), Digester(b"k" * 16))


def ours(value: object, at: datetime = NOON, field: str = "name", **options: Any) -> Record:
    return Record("l1", {} if value is MISSING else {field: value}, modified_at=at, **options)


def theirs(value: object, at: datetime = NOON, field: str = "Name", **options: Any) -> Record:
    return Record("r1", {} if value is MISSING else {field: value}, modified_at=at, **options)


def synced(m: Merger, local: Record, remote: Record) -> tuple[bytes, bytes]:
    """The shadows of a pair that was acknowledged as it is."""
    return settle(m, Merge(local, remote, {}), (b"", b""), SideResult(), SideResult())


def merged(rule: FieldRule, before: object, local: object, remote: object, *, local_at: datetime = NOON) -> Merge:
    m = merger(rule)
    shadows = synced(m, ours(before, field=rule.local), theirs(before, field=rule.remote))
    return m.merge(ours(local, local_at, rule.local), theirs(remote, NOON, rule.remote), *shadows)


def writes(merge: Merge) -> tuple[dict[str, object], dict[str, object]]:
    return merge.writes(Side.LOCAL), merge.writes(Side.REMOTE)


def test_nobody_changed_and_the_sides_differ_in_form_only_so_nothing_is_written() -> None:
    m = merger(RULE)
    local, remote = ours("Bartholomew"), theirs("Bartho")
    merge = m.merge(local, remote, *synced(m, local, remote))
    assert writes(merge) == ({}, {})
    assert not merge.decisions


@pytest.mark.parametrize("value", ["new", None, "0", False, 0])
def test_case_06_a_change_on_one_side_is_written_to_the_other_cleared_fields_too(value: object) -> None:
    assert writes(merged(RULE, "old", value, "old")) == ({}, {"Name": value})
    assert writes(merged(RULE, "old", "old", value)) == ({"name": value}, {})


def test_missing_is_never_a_change() -> None:
    assert writes(merged(RULE, "old", MISSING, "old")) == ({}, {})
    assert writes(merged(RULE, "old", "new", MISSING)) == ({}, {})


def test_both_changed_to_the_same_writes_nothing_and_moves_the_shadows() -> None:
    merge = merged(RULE, "old", "new", "new")
    assert writes(merge) == ({}, {})
    assert not merge.conflicts


LATER = NOON + timedelta(minutes=5)


@pytest.mark.parametrize(
    "policy, local, remote, winner",
    [
        (ConflictPolicy.LOCAL_WINS, "a", "b", Side.LOCAL),
        (ConflictPolicy.REMOTE_WINS, "a", "b", Side.REMOTE),
        (ConflictPolicy.PREFER_NONBLANK, "a", None, Side.LOCAL),
        (ConflictPolicy.PREFER_NONBLANK, None, "b", Side.REMOTE),
        (ConflictPolicy.PREFER_NONBLANK, "a", "b", Side.REMOTE),
        (ConflictPolicy.MAX, 3, 2, Side.LOCAL),
        (ConflictPolicy.MIN, 3, 2, Side.REMOTE),
        (ConflictPolicy.MAX, 3, "x", Side.REMOTE),
        (ConflictPolicy.NEWEST_WINS, "a", "b", Side.REMOTE),
    ],
)
def test_case_01_in_a_conflict_the_policy_names_one_winner(
    policy: ConflictPolicy, local: object, remote: object, winner: Side
) -> None:
    merge = merged(attrs.evolve(RULE, policy=policy), "old", local, remote)
    expected = ({}, {"Name": local}) if winner is Side.LOCAL else ({"name": remote}, {})
    assert writes(merge) == expected
    if None not in (local, remote):
        (note,) = merge.conflicts
        assert (note.winner, note.local_value, note.remote_value) == (winner, local, remote)


@pytest.mark.parametrize("seconds, winner", [(300, "a"), (1, "b"), (-300, "b")])
def test_newest_wins_by_time_and_within_the_uncertainty_by_the_tie_side(seconds: int, winner: str) -> None:
    merge = merged(RULE, "old", "a", "b", local_at=NOON + timedelta(seconds=seconds))
    assert winner in {*merge.writes(Side.LOCAL).values(), *merge.writes(Side.REMOTE).values()}


def test_manual_parks_the_field_until_someone_decides() -> None:
    rule = attrs.evolve(RULE, policy=ConflictPolicy.MANUAL)
    merge = merged(rule, "old", "a", "b")
    assert writes(merge) == ({}, {})
    assert merge.parked
    m = merger(rule)
    shadows = synced(m, ours("old"), theirs("old"))
    assert settle(m, merge, shadows, SideResult(), SideResult())[0][17:] == shadows[0][17:]
    decided = m.merge(ours("a"), theirs("b"), *shadows, {"name": Verdict(Side.LOCAL)})
    assert writes(decided) == ({}, {"Name": "a"})
    given = m.merge(ours("a"), theirs("b"), *shadows, {"name": Verdict(value="c")})
    assert writes(given) == ({"name": "c"}, {"Name": "c"})
    taken = m.merge(ours("a"), theirs("b"), *shadows, {"name": Verdict(value="b")})
    assert writes(taken) == ({"name": "b"}, {})


def test_a_blank_given_for_a_required_field_is_not_written() -> None:
    rule = attrs.evolve(RULE, policy=ConflictPolicy.MANUAL, required=True)
    m = merger(rule)
    merge = m.merge(ours("a"), theirs("b"), *synced(m, ours("old"), theirs("old")), {"name": Verdict(value=None)})
    assert writes(merge) == ({}, {})
    assert [problem.code for problem in merge.problems] == ["required"]


def test_a_custom_function_makes_the_value_of_both_sides() -> None:
    rule = attrs.evolve(RULE, policy=ConflictPolicy.CUSTOM, custom=lambda a, b: f"{a}+{b}")
    merge = merged(rule, "old", "a", "b")
    assert writes(merge) == ({"name": "a+b"}, {"Name": "a+b"})
    assert len(merge.conflicts) == 1


@pytest.mark.parametrize(
    "to_crm, from_crm, local, remote, expected",
    [
        (P, OFF, "new", "old", ({}, {"Name": "new"})),
        (P, OFF, "old", "drift", ({}, {})),
        (M, OFF, "old", "drift", ({}, {"Name": "old"})),
        (OFF, M, "drift", "old", ({"name": "old"}, {})),
        (OFF, P, "drift", "old", ({}, {})),
        (OFF, OFF, "new", "new2", ({}, {})),
        (P, OFF, "a", "b", ({}, {"Name": "a"})),
        (OFF, P, "a", "b", ({"name": "b"}, {})),
        (Enforcement.FILL_BLANK, OFF, "new", "old", ({}, {})),
        (Enforcement.FILL_BLANK, OFF, "new", None, ({}, {"Name": "new"})),
        (Enforcement.CREATE_ONLY, OFF, "new", "old", ({}, {})),
    ],
)
def test_case_07_each_direction_pushes_as_hard_as_its_enforcement(
    to_crm: Enforcement, from_crm: Enforcement, local: object, remote: object, expected: object
) -> None:
    merge = merged(attrs.evolve(RULE, to_crm=to_crm, from_crm=from_crm), "old", local, remote)
    assert writes(merge) == expected


def test_every_value_that_a_mirror_overwrites_is_kept_in_a_conflict() -> None:
    (note,) = merged(attrs.evolve(RULE, to_crm=M, from_crm=OFF), "old", "old", "drift").conflicts
    assert (note.remote_value, note.winner) == ("drift", Side.LOCAL)


OPT_OUT = attrs.evolve(RULE, policy=ConflictPolicy.MOST_RESTRICTIVE)


@pytest.mark.parametrize(
    "before, local, remote, expected",
    [
        (False, False, True, ({"name": True}, {})),
        (False, True, False, ({}, {"Name": True})),
        (True, False, True, ({}, {"Name": False})),
        (True, None, True, ({"name": True}, {})),
        (None, False, True, ({"name": True}, {})),
        (None, True, False, ({}, {"Name": True})),
    ],
)
def test_case_27_an_opt_out_wins_and_only_a_given_value_opts_in(
    before: object, local: object, remote: object, expected: object
) -> None:
    assert writes(merged(OPT_OUT, before, local, remote)) == expected


def test_a_first_meeting_fills_blanks_and_settles_differences_by_policy() -> None:
    m = merger(RULE)
    assert writes(m.merge(ours("a"), theirs(None), b"", b"")) == ({}, {"Name": "a"})
    assert writes(m.merge(ours(None), theirs("b"), b"", b"")) == ({"name": "b"}, {})
    conflict = m.merge(ours("a"), theirs("b"), b"", b"")
    assert writes(conflict) == ({"name": "b"}, {})
    assert len(conflict.conflicts) == 1


def test_case_12_a_field_that_is_new_to_the_mapping_meets_for_the_first_time() -> None:
    city = attrs.evolve(RULE, local="city", remote="City")
    old, new = merger(RULE), merger(RULE, city)
    local = Record("l1", {"name": "n", "city": "Bonn"})
    remote = Record("r1", {"Name": "n", "City": None})
    shadows = synced(old, Record("l1", {"name": "n"}), Record("r1", {"Name": "n"}))
    assert writes(new.merge(local, remote, *shadows)) == ({}, {"City": "Bonn"})


def test_sets_carry_additions_and_removals_both_ways() -> None:
    merge = merged(TAGS, ("a", "b"), ("b", "c"), ("a", "b", "d"))
    assert set(merge.writes(Side.LOCAL)["tags"]) == {"b", "c", "d"}  # type: ignore[call-overload]
    assert set(merge.writes(Side.REMOTE)["Tags"]) == {"b", "c", "d"}  # type: ignore[call-overload]
    assert not merge.conflicts


def test_sets_touch_only_what_their_namespace_owns() -> None:
    rule = attrs.evolve(TAGS, owns=lambda element: element.startswith("mm:"))
    merge = merged(rule, ("mm:a", "x"), ("x",), ("mm:a", "x", "theirs"))
    assert merge.writes(Side.REMOTE) == {"Tags": ("x", "theirs")}
    assert merge.writes(Side.LOCAL) == {}


def refusing(value: object) -> Conversion:
    if value == "bad":
        return Conversion("b", (Loss(LossKind.TRUNCATED, "name", "too long"),), rejected=True)
    return Conversion(value)


def test_case_15_a_value_that_does_not_fit_is_held_and_its_shadows_stay() -> None:
    rule = attrs.evolve(RULE, to_remote=refusing)
    m = merger(rule)
    shadows = synced(m, ours("old"), theirs("old"))
    merge = m.merge(ours("bad"), theirs("old"), *shadows)
    assert writes(merge) == ({}, {})
    assert [problem.code for problem in merge.problems] == ["truncated"]
    after = settle(m, merge, shadows, SideResult(), SideResult())
    assert Shadow.decode(after[0]).fields == Shadow.decode(shadows[0]).fields


@pytest.mark.parametrize("ok", [True, False])
def test_a_field_moves_forward_only_if_its_write_took_effect(ok: bool) -> None:
    m = merger(RULE)
    shadows = synced(m, ours("old"), theirs("old"))
    merge = m.merge(ours("new"), theirs("old"), *shadows)
    after = settle(m, merge, shadows, SideResult(), SideResult(ok=ok))
    again = m.merge(ours("new"), theirs("new" if ok else "old"), *after)
    assert writes(again) == (({}, {}) if ok else ({}, {"Name": "new"}))


def test_what_a_side_stored_replaces_what_was_sent() -> None:
    m = merger(RULE)
    shadows = synced(m, ours("old"), theirs("old"))
    merge = m.merge(ours("Bartholomew"), theirs("old"), *shadows)
    after = settle(m, merge, shadows, SideResult(), SideResult(stored=theirs("Bartho")))
    assert writes(m.merge(ours("Bartholomew"), theirs("Bartho"), *after)) == ({}, {})
    assert m.unchanged(Side.REMOTE, theirs("Bartho"), after[1])


def test_a_new_record_gets_what_its_directions_allow_and_defaults_where_blank() -> None:
    required = attrs.evolve(RULE, required=True, default="Unknown")
    off = attrs.evolve(RULE, local="note", remote="Note", to_crm=OFF)
    m = merger(required, off)
    merge = merge_new(m, Side.LOCAL, Record("l1", {"name": "", "note": "secret"}))
    op = operation(Side.REMOTE, merge, op_id="1", record_id=None, key="l1")
    assert op is not None
    assert (op.kind, dict(op.fields), op.key) == (OperationKind.CREATE, {"Name": "Unknown"}, "l1")


def test_a_new_record_without_a_required_value_is_rejected_as_a_whole() -> None:
    merge = merge_new(merger(attrs.evolve(RULE, required=True)), Side.LOCAL, Record("l1", {"name": None}))
    assert merge.rejected
    assert operation(Side.REMOTE, merge, op_id="1", record_id=None) is None


@pytest.mark.parametrize(
    "policy, survivor, action",
    [
        (DeletePolicy.IGNORE, "old", DeleteAction.TOMBSTONE),
        (DeletePolicy.UNLINK, "old", DeleteAction.UNLINK),
        (DeletePolicy.ARCHIVE, "old", DeleteAction.ARCHIVE),
        (DeletePolicy.PROPAGATE, "old", DeleteAction.DELETE),
        (DeletePolicy.PROPAGATE, "edited", DeleteAction.SPARE),
        (DeletePolicy.PROPAGATE, None, DeleteAction.TOMBSTONE),
    ],
)
def test_a_delete_does_what_its_policy_says_and_an_edit_beats_it(
    policy: DeletePolicy, survivor: str | None, action: DeleteAction
) -> None:
    m = merger(RULE)
    _, shadow = synced(m, ours("old"), theirs("old"))
    record = theirs(survivor) if survivor else None
    assert decide_delete(m, policy, Side.LOCAL, record, shadow).action is action


def test_the_delete_guard_is_a_number_or_a_share() -> None:
    assert delete_limit(100, count=50, share=0.01) == 50
    assert delete_limit(100_000, count=50, share=0.01) == 1000


@pytest.mark.parametrize(
    "sent, stored, image",
    [
        ("Bartholomew", "Bartho", True),
        ("ann@Example.org", "ANN@EXAMPLE.ORG", True),
        ("+1 (514) 721", "1514721", True),
        ("Ann", "Bob", False),
        ("Ann", "", False),
        (Decimal("1.239"), Decimal("1.24"), True),
        (Decimal("1.239"), Decimal("1.3"), True),
        (True, 0, False),
        (NOON + timedelta(milliseconds=5), NOON, True),
        (NOON, NOON + timedelta(seconds=1), False),
    ],
)
def test_an_echo_is_told_from_an_edit(sent: object, stored: object, image: bool) -> None:
    assert is_lossy_image(sent, stored) is image
    rule = attrs.evolve(RULE)
    m = merger(rule)
    shadows = synced(m, ours(sent), theirs(sent))
    echo = m.merge(ours(sent), theirs(stored, modified_by_self=True), *shadows)
    assert bool(echo.writes(Side.LOCAL)) is (not image and normal(stored) != normal(sent))


@pytest.mark.parametrize(
    "sent, edited", [("Mcdonald", "McDonald"), (Decimal("1.26"), Decimal("1.3")), ("Annabel", "Ann")]
)
def test_what_another_integration_wrote_locally_is_no_echo_however_alike_it_looks(sent: object, edited: object) -> None:
    """An edit in one CRM comes to the local side by our own hand, and has to reach the other CRM from there."""
    m = merger(attrs.evolve(RULE))
    shadows = synced(m, ours(sent), theirs(sent))
    passed_on = m.merge(ours(edited, modified_by_self=True), theirs(sent), *shadows)
    assert passed_on.writes(Side.REMOTE) == {"Name": edited}
