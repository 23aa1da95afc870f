"""Telling a field that is rewritten for ever from one that people edit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from crmsync.diff.flips import WINDOW, Flip, decode, encode, remembered, turns
from crmsync.models.records import Side

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
A, B, C = (bytes([n]) * 6 for n in range(3))

flips = st.builds(
    Flip,
    tag=st.binary(min_size=3, max_size=3),
    side=st.sampled_from(Side),
    old=st.binary(min_size=6, max_size=6),
    new=st.binary(min_size=6, max_size=6),
    at=st.integers(0, 2**40 - 1),
)


def flip(side: Side, old: bytes, new: bytes, *, tag: bytes = b"one", at: int = AT) -> Flip:
    return Flip(tag, side, old, new, at)


@given(history=st.lists(flips, max_size=10))
def test_a_history_comes_back_as_it_was_and_takes_21_bytes_a_flip(history: list[Flip]) -> None:
    blob = encode(history)
    assert decode(blob) == history
    assert len(blob) == 21 * len(history)


@given(history=st.lists(flips, max_size=10))
def test_what_was_never_made_is_due_for_the_first_time(history: list[Flip]) -> None:
    assert turns(history, flip(Side.LOCAL, A, B, tag=b"\xff\xff\xff")) == 1


def test_two_sides_that_rewrite_each_other_are_counted_on_each_side() -> None:
    there, back = flip(Side.REMOTE, B, A), flip(Side.LOCAL, A, B)
    assert turns([there, back, there, back], there) == 3
    assert turns([there, back, there], back) == 2


def test_a_drift_that_is_undone_in_every_run_is_counted() -> None:
    undone = flip(Side.REMOTE, B, A)
    assert turns([undone, undone], undone) == 3


def test_a_person_who_switches_a_flag_on_and_off_makes_two_different_flips() -> None:
    on, off = flip(Side.REMOTE, A, B), flip(Side.REMOTE, B, A)
    assert turns([on, off] * 5, on) == 1


@given(values=st.lists(st.integers(0, 2), min_size=2, max_size=12))
def test_edits_of_one_side_alone_never_add_up_whatever_the_values(values: list[int]) -> None:
    """Each flip begins with the value that the one before has written."""
    digests = [bytes([n]) * 6 for n in values]
    made = [flip(Side.REMOTE, old, new) for old, new in pairwise(digests) if old != new]
    for place, due in enumerate(made):
        assert turns(made[:place], due) == 1


def test_another_value_in_between_begins_the_count_anew() -> None:
    due = flip(Side.REMOTE, B, A)
    assert turns([due, due, flip(Side.REMOTE, C, A)], due) == 1
    assert turns([due, due, flip(Side.REMOTE, C, A, tag=b"t02")], due) == 3


def test_old_flips_are_forgotten_and_of_a_field_only_the_last_are_kept() -> None:
    young = [flip(Side.REMOTE, A, B, at=AT - number) for number in range(30)]
    old = flip(Side.REMOTE, A, B, at=int((NOW - WINDOW - timedelta(seconds=1)).timestamp()))
    other = flip(Side.LOCAL, A, B, tag=b"t02")
    kept = remembered([old, other, *young], NOW)
    assert old not in kept
    assert other in kept
    assert kept[1:] == young[-20:]
