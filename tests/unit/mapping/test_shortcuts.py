"""Which values take a shortcut: those that a side mostly holds."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crmsync.mapping.generated import field_function
from crmsync.mapping.losses import Flawed
from crmsync.mapping.shortcuts import cases_of
from crmsync.models.schema import FieldSchema, FieldType

SLOWLY = object()


def by_shortcut(value: object, kind: FieldType, **holds: object) -> object:
    """What a shortcut makes of a value, or `SLOWLY` if none covers it."""
    target = FieldSchema.model_validate({"name": "There__c", "type": kind, **holds})
    return field_function(cases_of(kind, target, None, lambda _: SLOWLY), lambda _: SLOWLY)(value)


@pytest.mark.parametrize(
    "value, kind, holds, expected",
    [
        ("Zoë", FieldType.TEXT, {"length": 3}, "Zoë"),
        ("a line\r\nand another", FieldType.TEXT, {}, "a line\r\nand another"),
        ("ann@example.org", FieldType.EMAIL, {"length": 80}, "ann@example.org"),
        ("+44 113 496 0000", FieldType.PHONE, {}, "+44 113 496 0000"),
        (7, FieldType.INTEGER, {"precision": 2}, 7),
        ("42", FieldType.INTEGER, {"precision": 2}, 42),
        (Decimal("9.50"), FieldType.CURRENCY, {"precision": 12, "scale": 2}, Decimal("9.50")),
        ("1234.50", FieldType.DECIMAL, {"precision": 12, "scale": 2}, Decimal("1234.50")),
        ("0.00", FieldType.PERCENT, {"precision": 12, "scale": 2}, Decimal(0)),
        (False, FieldType.BOOLEAN, {}, False),
        (dt.date(2024, 2, 29), FieldType.DATE, {}, dt.date(2024, 2, 29)),
        ("2024-02-29", FieldType.DATE, {}, dt.date(2024, 2, 29)),
        ("2024-02-29T08:30:00Z", FieldType.DATETIME, {}, dt.datetime(2024, 2, 29, 8, 30, tzinfo=dt.UTC)),
    ],
)
def test_what_sides_mostly_hold_takes_a_shortcut(
    value: object, kind: FieldType, holds: dict[str, object], expected: object
) -> None:
    found = by_shortcut(value, kind, **holds)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    "value, kind, holds",
    [
        ("Zoë!", FieldType.TEXT, {"length": 3}),
        ("a\0b", FieldType.TEXT, {}),
        ("half \ud800", FieldType.TEXT, {}),
        ("a b@example.org", FieldType.EMAIL, {}),
        ("nobody", FieldType.EMAIL, {}),
        (True, FieldType.INTEGER, {}),
        ("100", FieldType.INTEGER, {"precision": 2}),
        ("1.5", FieldType.DECIMAL, {"precision": 12, "scale": 2}),
        (Decimal("NaN"), FieldType.DECIMAL, {"precision": 12, "scale": 2}),
        ("2024-W01-1", FieldType.DATE, {}),
        ("2024-02-30", FieldType.DATE, {}),
        (dt.datetime(2024, 2, 29, microsecond=1, tzinfo=dt.UTC), FieldType.DATETIME, {"scale": 0}),
        (("a", "b"), FieldType.TAGS, {}),
    ],
)
def test_what_a_step_has_to_look_at_takes_none(value: object, kind: FieldType, holds: dict[str, object]) -> None:
    assert by_shortcut(value, kind, **holds) is SLOWLY


def test_the_names_of_a_value_map_are_converted_when_it_is_compiled() -> None:
    field = FieldSchema(name="There__c", type=FieldType.PICKLIST, options=("Active",), restricted=True)
    asked: list[object] = []

    def slow(value: object) -> object:
        asked.append(value)
        return Flawed(None) if value == "gone" else "Active"

    cases = cases_of(FieldType.PICKLIST, field, {"subscribed": "Active", "gone": "Retired"}, slow)
    convert = field_function(cases, slow)
    assert asked == ["subscribed", "gone", "Active"]
    assert convert("subscribed") == convert("Active") == "Active"
    assert len(asked) == 3
    convert("gone")
    assert asked[3:] == ["gone"]
