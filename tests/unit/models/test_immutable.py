"""What is made by the million is still a value."""

from __future__ import annotations

import attrs

from crmsync.models.immutable import frozen_value


@frozen_value
class Point:
    x: int
    y: int = 0


def test_equal_values_are_equal_and_hash_alike() -> None:
    assert {Point(1), Point(1, 0), Point(2)} == {Point(1), Point(2)}


def test_it_has_no_room_for_anything_but_its_fields() -> None:
    assert not hasattr(Point(1), "__dict__")


def test_a_changed_copy_leaves_the_value_as_it_was() -> None:
    point = Point(1)
    assert attrs.evolve(point, y=2) == Point(1, 2)
    assert point == Point(1)
