"""What is made by the million is still a value."""

from __future__ import annotations

import attrs
import pytest

from crmsync.models.immutable import evolved, frozen_value


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
    assert attrs.evolve(point, y=2) == evolved(point, y=2) == Point(1, 2)
    assert point == Point(1)


def test_a_changed_copy_has_no_other_fields() -> None:
    with pytest.raises(AttributeError):
        evolved(Point(1), z=2)  # type: ignore[call-arg]


@frozen_value
class Sum:
    x: int
    double: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.double = 2 * self.x  # type: ignore[misc]


def test_what_makes_more_of_its_fields_is_not_copied_past_that() -> None:
    with pytest.raises(TypeError, match="Sum"):
        evolved(Sum(1), x=2)
