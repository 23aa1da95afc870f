"""What digests, tags and shadows are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from crmsync.diff import (
    Shadow,
)
from crmsync.diff.digests import canonical, field_tags

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_case_19_digests_do_not_depend_on_key_order_or_on_the_type_of_a_number() -> None:
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    assert canonical(1) == canonical(Decimal("1.0")) == canonical(1.0)
    different = [0, False, "", None, "0", (), frozenset(), b"", NOON, NOON.date(), Decimal("1E+40"), "a", ("a",)]
    assert len({canonical(value) for value in different}) == len(different)
    long = Decimal("0.12345678901234567890123456789012345")
    assert canonical(long) != canonical(long + Decimal("1E-35"))


def test_a_shadow_reads_back_as_it_was_written_and_an_unknown_format_is_refused() -> None:
    shadow = Shadow(
        b"h" * 8, {b"abc": b"d" * 6, b"\x00bc": frozenset({b"a" * 6, b"b" * 6}), b"xyz": frozenset()}, settled=False
    )
    assert Shadow.decode(shadow.encode()) == shadow
    with pytest.raises(ValueError, match="unknown format"):
        Shadow.decode(b"\x09" + bytes(16))


def test_tags_are_stable_and_different() -> None:
    names = [f"field{n}" for n in range(5000)]
    tags = field_tags(names)
    assert len(set(tags.values())) == len(names)
    assert tags == field_tags(reversed(names))
