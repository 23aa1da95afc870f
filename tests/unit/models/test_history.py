"""Values in the history come back as what they were, type and all."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest

from crmsync.engine.conflicts import jsonable
from crmsync.models.history import tagged, untagged

VALUES = [
    None,
    0,
    False,
    "",
    "O'Brien",
    Decimal("1.50"),
    dt.date(1700, 1, 1),
    dt.datetime(4000, 12, 31, 23, 59, tzinfo=dt.UTC),
    dt.time(8, 30),
    dt.timedelta(days=-1, microseconds=1),
    ("a", "b"),
    {"street": "Main St", "country": None},
    {"latitude": Decimal("52.52"), "longitude": Decimal("13.405")},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_from_json(value: object) -> None:
    back = untagged(json.loads(json.dumps(tagged(value))))
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_of_a_conflict_has_a_form_in_json_that_says_all_of_it(value: object) -> None:
    shown = json.loads(json.dumps(jsonable(value)))
    if isinstance(value, dict):
        assert {name: part and str(part) for name, part in value.items()} == shown
    elif not isinstance(value, tuple):
        assert str(shown).replace("T", " ") == str(value).replace("T", " ")
