"""The index of rows by a field's value."""

from __future__ import annotations

from crmsync.testing.salesforce.store import Lookup


def test_a_value_finds_its_rows_in_order_of_their_ids() -> None:
    lookup = Lookup()
    for key, record_id in [("a", "3"), ("a", "1"), ("b", "2"), ("a", "1")]:
        lookup.add(key, record_id)
    assert (lookup.find("a"), lookup.find("b"), lookup.find("c")) == (["1", "3"], ["2"], [])


def test_a_row_that_lost_its_value_is_not_found_and_others_are() -> None:
    lookup = Lookup()
    for key, record_id in [("a", "1"), ("a", "2"), ("b", "3")]:
        lookup.add(key, record_id)
    for key, record_id in [("a", "1"), ("b", "4"), ("c", "1")]:
        lookup.discard(key, record_id)
    assert (lookup.find("a"), lookup.find("b")) == (["2"], ["3"])
    lookup.discard("a", "2")
    lookup.discard("b", "3")
    assert (lookup.find("a"), lookup.find("b")) == ([], [])
    lookup.add("a", "5")
    assert lookup.find("a") == ["5"]
