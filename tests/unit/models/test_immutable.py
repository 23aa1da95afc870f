"""A changed copy is what attrs itself would make of the value, whatever the class's fields are called."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from crmsync.models.immutable import evolved, frozen_value
from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus, Record, Side
from crmsync.models.state import JournalEntry, Link


@frozen_value
class Odd:
    """With names that generated code might use, one that is private, one by keyword only, and one that is made."""

    kind: str
    one: int = 1
    _hidden: int = 2
    of: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    made: int = attrs.field(init=False, default=5)


VALUES: list[tuple[Any, dict[str, Any]]] = [
    (Link("i", "Contact", "m", "c", local_shadow=b"l", flips=b"f"), {"crm_id": None, "attempts": 3}),
    (
        JournalEntry("o", "i", "Contact", Side.LOCAL, OperationKind.CREATE, "m", None, {"a": b"1"}),
        {"sent": {}, "kind": OperationKind.UPDATE},
    ),
    (Operation("o", OperationKind.UPDATE, "r", "k", {"a": 1}), {"key": None, "fields": {"b": 2}}),
    (Outcome("o", OutcomeStatus.UPDATED, "r"), {"status": OutcomeStatus.FAILED}),
    (Record("r", {"a": 1}, "k", deleted=True), {"fields": {}}),
    (Odd("k", 3, 4, of=("x",)), {"hidden": 7, "of": (), "kind": "other"}),
]


@pytest.mark.parametrize("value, changes", VALUES, ids=lambda one: type(one).__name__)
def test_a_changed_copy_is_the_one_that_attrs_makes(value: Any, changes: dict[str, Any]) -> None:
    before = attrs.asdict(value, recurse=False)
    assert evolved(value, **changes) == attrs.evolve(value, **changes)
    assert evolved(value) == value
    assert attrs.asdict(value, recurse=False) == before


def test_a_field_that_the_class_has_not_is_refused() -> None:
    with pytest.raises(TypeError):
        evolved(Link("i", "Contact", "m"), nothing=1)  # type: ignore[call-arg]
