"""Sets of keys that take eight bytes for each."""

from __future__ import annotations

import tracemalloc

from crmsync.engine.keyindex import KeySet


def test_each_key_is_found_as_often_as_it_was_put_in() -> None:
    """Also where there are more than are sorted at once, and where some come after the first question."""
    keys = KeySet()
    assert "0" not in keys
    for number in range(120_000):
        keys.add(str(number))
    keys.add("70000")
    assert [keys.count(str(number)) for number in (0, 60_000, 70_000, 119_999, 120_000)] == [1, 1, 2, 1, 0]
    keys.add("late")
    assert "late" in keys
    assert len(keys) == 120_002


def test_no_question_takes_much_more_room_than_the_keys() -> None:
    keys = KeySet()
    for number in range(200_000):
        keys.add(str(number))
    tracemalloc.start()
    assert "1" in keys
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * 8 * len(keys)
