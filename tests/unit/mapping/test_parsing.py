"""What each type reads, in whatever form a side hands it over."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from crmsync.mapping.losses import Note, Refusal
from crmsync.mapping.manner import PLAIN
from crmsync.mapping.parsing import text_of
from crmsync.mapping.readers import parser_of
from crmsync.models.schema import FieldType
from crmsync.protocols.conversion import LossKind

T = FieldType
UTC = dt.UTC


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


READ = [
    (T.TEXT, "O'Brien", "O'Brien"),
    (T.TEXT, Colour.RED, "red"),
    (T.TEXT, True, "true"),
    (T.TEXT, 0, "0"),
    (T.TEXT, Decimal("1E+3"), "1000"),
    (T.TEXT, 1e22, "10000000000000000000000"),
    (T.TEXT, 0.1, "0.1"),
    (T.TEXT, dt.date(1700, 1, 1), "1700-01-01"),
    (T.TEXT, dt.datetime(2024, 1, 31, 9, tzinfo=dt.timezone(dt.timedelta(hours=1))), "2024-01-31T08:00:00Z"),
    (T.TEXT, dt.time(8, 30), "08:30:00"),
    (T.TEXT, ("a", "b"), "a;b"),
    (T.EMAIL, "Ann.O'Brien+x@Example.com", "Ann.O'Brien+x@Example.com"),
    (T.EMAIL, "", ""),
    (T.INTEGER, "42", 42),
    (T.INTEGER, " -7.0 ", -7),
    (T.INTEGER, 7.0, 7),
    (T.INTEGER, Level.HIGH, 3),
    (T.INTEGER, "", None),
    (T.DECIMAL, "1.50", Decimal("1.50")),
    (T.DECIMAL, ".5", Decimal("0.5")),
    (T.DECIMAL, 0.1, Decimal("0.1")),
    (T.DECIMAL, "-0", Decimal(0)),
    (T.CURRENCY, "1e3", Decimal(1000)),
    (T.PERCENT, "12.5 %", Decimal("12.5")),
    (T.PERCENT, 50, Decimal(50)),
    (T.BOOLEAN, "Yes", True),
    (T.BOOLEAN, "off", False),
    (T.BOOLEAN, " T ", True),
    (T.BOOLEAN, 0, False),
    (T.BOOLEAN, 1.0, True),
    (T.BOOLEAN, "", None),
    (T.DATE, "4000-12-31", dt.date(4000, 12, 31)),
    (T.DATE, dt.datetime(2024, 1, 31, tzinfo=UTC), dt.date(2024, 1, 31)),
    (T.DATE, "2024-01-31T00:00:00Z", dt.date(2024, 1, 31)),
    (T.DATETIME, "2024-11-07T07:00:00.000+0000", dt.datetime(2024, 11, 7, 7, tzinfo=UTC)),
    (T.DATETIME, "2024-11-07 08:00:00 +01:00", dt.datetime(2024, 11, 7, 7, tzinfo=UTC)),
    (T.DATETIME, "2024-11-07 07:00z", dt.datetime(2024, 11, 7, 7, tzinfo=UTC)),
    (T.DATETIME, "2024-11-07", dt.datetime(2024, 11, 7, tzinfo=UTC)),
    (T.DATETIME, dt.date(1700, 1, 1), dt.datetime(1700, 1, 1, tzinfo=UTC)),
    (
        T.DATETIME,
        dt.datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin")),
        dt.datetime(2024, 7, 1, 10, tzinfo=UTC),
    ),
    (T.TIME, "08:30", dt.time(8, 30)),
    (T.TIME, "10:00:00.123Z", dt.time(10, 0, 0, 123_000)),
    (T.TAGS, " a ;b;;a", ("a", "b")),
    (T.TAGS, ("b", " a", "b"), ("b", "a")),
    (T.TAGS, frozenset({"b", "a"}), ("a", "b")),
    (T.MULTI_PICKLIST, "", ()),
    (T.JSON, '{"a": 1}', '{"a": 1}'),
    (T.JSON, {"a": [1, "é"]}, '{"a":[1,"é"]}'),
    (T.ID, "003D000000QV9n2", "003D000000QV9n2"),
]
REFUSED = [
    (T.TEXT, object()),
    (T.TEXT, b"bytes"),
    (T.TEXT, {"a": 1}),
    (T.EMAIL, "not an address"),
    (T.EMAIL, "two@@example.com"),
    (T.INTEGER, True),
    (T.INTEGER, "1,000"),
    (T.INTEGER, "0x10"),
    (T.INTEGER, "\u0661"),
    pytest.param(T.INTEGER, 10**5000, id="too many digits for Python to write"),
    (T.DECIMAL, float("nan")),
    (T.DECIMAL, Decimal("Infinity")),
    (T.DECIMAL, "1_000"),
    (T.DECIMAL, "1e9999"),
    (T.PERCENT, "%"),
    (T.BOOLEAN, "maybe"),
    (T.BOOLEAN, 2),
    (T.DATE, "31/01/2024"),
    (T.DATE, "20240131"),
    (T.DATE, 45322),
    (T.DATETIME, 1730962800000),  # seconds or milliseconds?
    (T.DATETIME, "yesterday"),
    (T.TIME, "8.30"),
    (T.TAGS, {"a": 1}),
]
LOSSY = [
    (T.INTEGER, "1.5", 2, LossKind.ROUNDED),
    (T.INTEGER, -2.5, -3, LossKind.ROUNDED),
    (T.DATE, "2024-01-31T08:00:00Z", dt.date(2024, 1, 31), LossKind.PRECISION),
    (T.DATETIME, "2024-01-31T08:00:00", dt.datetime(2024, 1, 31, 8, tzinfo=UTC), LossKind.ZONE),
    (T.DATETIME, dt.datetime(2024, 1, 31, 8), dt.datetime(2024, 1, 31, 8, tzinfo=UTC), LossKind.ZONE),  # noqa: DTZ001 (the loss)
    (
        T.DATETIME,
        "2024-01-31T08:00:00.1234567Z",
        dt.datetime(2024, 1, 31, 8, 0, 0, 123_456, tzinfo=UTC),
        LossKind.PRECISION,
    ),
    (T.TIME, "08:00+02:00", dt.time(8), LossKind.ZONE),
    (T.TAGS, ("a", b"b"), ("a",), LossKind.DROPPED_ELEMENT),
    (T.TAGS, ["a", None], ("a",), LossKind.DROPPED_ELEMENT),
]


@pytest.mark.parametrize("kind,given,expected", READ)
def test_a_type_reads_its_forms(kind: FieldType, given: object, expected: object) -> None:
    notes: list[Note] = []
    parsed = parser_of(kind, PLAIN)(given, notes)
    assert parsed == expected
    assert type(parsed) is type(expected)
    assert not notes


@pytest.mark.parametrize("kind,given", REFUSED)
def test_a_type_refuses_what_it_would_have_to_guess(kind: FieldType, given: object) -> None:
    with pytest.raises(Refusal) as caught:
        parser_of(kind, PLAIN)(given, [])
    assert caught.value.note.kind is LossKind.INVALID


@pytest.mark.parametrize("kind,given,nearest,loss", LOSSY)
def test_a_type_notes_what_it_cannot_keep(kind: FieldType, given: object, nearest: object, loss: LossKind) -> None:
    notes: list[Note] = []
    assert parser_of(kind, PLAIN)(given, notes) == nearest
    assert [note.kind for note in notes] == [loss]


def test_a_refusal_does_not_tell_the_value() -> None:
    with pytest.raises(Refusal) as caught:
        parser_of(T.INTEGER, PLAIN)("secret-4711", [])
    assert "4711" not in str(caught.value)


def test_a_set_of_other_things_has_a_fixed_order() -> None:
    assert text_of({3, 1, 2}) == "1;2;3"
