"""Record ids and their checksum."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.testing.salesforce import canonical_id, make_id


@pytest.mark.parametrize(
    "short,full",
    [
        ("0015500001QdQWa", "0015500001QdQWaAAN"),
        ("001Vr00000m4eGC", "001Vr00000m4eGCIAY"),
        ("012000000000000", "012000000000000AAA"),
        ("001xx000003DGb2", "001xx000003DGb2AAG"),
    ],
)
def test_the_checksum_is_that_of_ids_seen_in_real_orgs(short: str, full: str) -> None:
    assert canonical_id(short) == full
    assert canonical_id(full) == full


def test_an_eighteen_character_id_is_restored_from_any_letter_case() -> None:
    assert canonical_id("0015500001qdqwaaan") == "0015500001QdQWaAAN"
    assert canonical_id("0015500001QDQWAAAN") == "0015500001QdQWaAAN"


@pytest.mark.parametrize("text", ["", "003", "0015500001QdQW", "0015500001QdQWaAAB", "0015500001QdQW'", "x" * 19])
def test_what_is_no_id_is_told_apart(text: str) -> None:
    assert canonical_id(text) is None


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=1, max_value=10**6))
def test_made_ids_are_canonical_and_sort_by_birth(serial: int, later: int) -> None:
    first, second = make_id("003", serial), make_id("003", serial + later)
    assert first < second
    assert canonical_id(first[:15]) == first
    assert canonical_id(first.lower()) == first
