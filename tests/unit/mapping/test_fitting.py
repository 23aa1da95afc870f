"""What becomes of values that a field cannot hold as they are."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crmsync.mapping.fitting import cut_text, fitter_of, second_unit, set_fitter
from crmsync.mapping.losses import Note, Refusal
from crmsync.mapping.options import options_of
from crmsync.models.mappings import FieldMapping
from crmsync.models.schema import FieldSchema, FieldType
from crmsync.protocols.conversion import LossKind

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


PLAIN = FieldMapping(markmail_field="a", crm_field="a")


def fit(field: FieldSchema, value: object) -> tuple[object, list[LossKind]]:
    notes: list[Note] = []
    return fitter_of(field, ";", options_of(field, PLAIN))(value, notes), [note.kind for note in notes]


@pytest.mark.parametrize(
    "text,length,cut",
    [
        ("Brien", 3, "Bri"),
        ("cafe\u0301s", 4, "caf"),
        ("cafe\u0301s", 5, "cafe\u0301"),
        ("a" + FAMILY, 4, "a"),
        ("a" + FAMILY, 6, "a" + FAMILY),
        ("\U0001f44d\U0001f3fd!", 1, "\U0001f44d"),
        ("x\U0001f44d\U0001f3fd!", 2, "x"),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 3, "\U0001f1e9\U0001f1ea"),
        ("ab\r\ncd", 3, "ab"),
        ("e" + "\u0301" * 9, 3, "e\u0301\u0301"),
    ],
)
def test_a_text_is_cut_between_characters_as_a_reader_sees_them(text: str, length: int, cut: str) -> None:
    assert cut_text(text, length) == cut


def test_an_over_long_text_is_cut_with_a_loss_that_counts() -> None:
    notes: list[Note] = []
    assert fitter_of(FieldSchema(name="a", length=3), ";")("abcdef", notes) == "abc"
    assert notes == [Note(LossKind.TRUNCATED, "6 characters, the field holds 3")]


@pytest.mark.parametrize(
    "kind,text",
    [
        (FieldType.EMAIL, "someone@example.com"),
        (FieldType.URL, "https://example.com/path"),
        (FieldType.PHONE, "+49 30 1234567"),
        (FieldType.ID, "003D000000QV9n2IAD"),
    ],
)
def test_an_identifier_is_never_cut(kind: FieldType, text: str) -> None:
    """The beginning of an address is another address."""
    with pytest.raises(Refusal) as caught:
        fit(FieldSchema(name="a", type=kind, length=10), text)
    assert caught.value.note.kind is LossKind.TRUNCATED


@pytest.mark.parametrize(
    "text,clean", [("a\x00b", "ab"), ("a\ud83db", "a\ufffdb"), ("\ud83d\ude00", "\U0001f600"), ("\x00", "")]
)
def test_what_cannot_be_stored_is_an_encoding_loss(text: str, clean: str) -> None:
    assert fit(FieldSchema(name="a"), text) == (clean, [LossKind.ENCODING])


@pytest.mark.parametrize(
    "scale,given,kept,losses",
    [
        (2, "1.50", "1.50", []),
        (2, "1.505", "1.51", [LossKind.ROUNDED]),
        (2, "-1.505", "-1.51", [LossKind.ROUNDED]),
        (0, "2.5", "3", [LossKind.ROUNDED]),
        (None, "1.23456789", "1.23456789", []),
    ],
)
def test_a_number_is_rounded_to_the_scale(scale: int | None, given: str, kept: str, losses: list[LossKind]) -> None:
    field = FieldSchema(name="a", type=FieldType.CURRENCY, scale=scale)
    assert fit(field, Decimal(given)) == (Decimal(kept), losses)


@pytest.mark.parametrize("given", [Decimal(10000), Decimal("9999.999")])
def test_a_number_with_too_many_digits_before_the_point_is_refused(given: Decimal) -> None:
    with pytest.raises(Refusal):
        fit(FieldSchema(name="a", type=FieldType.DECIMAL, precision=6, scale=2), given)


def test_fractions_of_a_second_that_are_not_kept_are_reported_and_tolerated() -> None:
    notes: list[Note] = []
    field = FieldSchema(name="a", type=FieldType.DATETIME, scale=0)
    moment = dt.datetime(2024, 1, 31, 8, 0, 0, 999_999, tzinfo=dt.UTC)
    assert fitter_of(field, ";")(moment, notes) == moment.replace(microsecond=0)
    assert [(note.kind, note.tolerated) for note in notes] == [(LossKind.PRECISION, True)]


@pytest.mark.parametrize("scale,unit", [(None, 1), (0, 1_000_000), (3, 1000), (9, 1)])
def test_the_scale_of_a_time_counts_the_digits_after_the_second(scale: int | None, unit: int) -> None:
    assert second_unit(FieldSchema(name="a", type=FieldType.DATETIME, scale=scale)) == unit


def test_a_restricted_picklist_refuses_what_is_not_an_option() -> None:
    field = FieldSchema(name="a", type=FieldType.PICKLIST, options=("Web",), restricted=True)
    assert fit(field, "Web") == ("Web", [])
    assert fit(field, "") == ("", [])
    with pytest.raises(Refusal) as caught:
        fit(field, "web ")
    assert caught.value.note.kind is LossKind.UNKNOWN_OPTION


def test_an_unrestricted_picklist_takes_new_values() -> None:
    assert fit(FieldSchema(name="a", type=FieldType.PICKLIST, options=("Web",)), "Fax") == ("Fax", [])


SETS = [
    (("a", "b"), FieldSchema(name="a", type=FieldType.TAGS), ("a", "b"), []),
    (("a", "b"), FieldSchema(name="a", type=FieldType.TAGS, separator=","), "a,b", []),
    (("a,b", "c"), FieldSchema(name="a", type=FieldType.TAGS, separator=","), "c", [LossKind.DROPPED_ELEMENT]),
    (("a;b", "c"), FieldSchema(name="a"), "c", [LossKind.DROPPED_ELEMENT]),
    (("abc", "def"), FieldSchema(name="a", length=6), "abc", [LossKind.DROPPED_ELEMENT]),
    (("a\x00",), FieldSchema(name="a", type=FieldType.TAGS), ("a",), [LossKind.ENCODING]),
    (("a", "x"), FieldSchema(name="a", type=FieldType.TAGS, options=("a",)), ("a", "x"), []),
    (
        ("a", "x"),
        FieldSchema(name="a", type=FieldType.TAGS, options=("a",), restricted=True),
        ("a",),
        [LossKind.UNKNOWN_OPTION],
    ),
    (("a", "b;c"), FieldSchema(name="a", type=FieldType.MULTI_PICKLIST), ("a",), [LossKind.DROPPED_ELEMENT]),
    (("abc", "de"), FieldSchema(name="a", type=FieldType.MULTI_PICKLIST, length=6), ("abc", "de"), []),
    (
        ("abc", "def"),
        FieldSchema(name="a", type=FieldType.MULTI_PICKLIST, length=6),
        ("abc",),
        [LossKind.DROPPED_ELEMENT],
    ),
]


@pytest.mark.parametrize("elements,field,kept,losses", SETS)
def test_a_set_loses_the_elements_that_the_field_cannot_hold(
    elements: tuple[str, ...], field: FieldSchema, kept: object, losses: list[LossKind]
) -> None:
    notes: list[Note] = []
    joined = field.separator is not None or not field.type.set_valued
    assert set_fitter(field, field.separator or ";", options_of(field, PLAIN), joined=joined)(elements, notes) == kept
    assert [note.kind for note in notes] == losses


def test_options_that_a_picklist_has_not_are_named_in_short() -> None:
    field = FieldSchema(name="a", type=FieldType.MULTI_PICKLIST, options=("VIP",), restricted=True)
    notes: list[Note] = []
    assert set_fitter(field, ";", options_of(field, PLAIN), joined=False)(
        ("VIP", "new\ncomer", "x" * 99, "c", "d"), notes
    ) == ("VIP",)
    assert [note.message for note in notes] == [f"the field has no option 'new comer', '{'x' * 60}', 'c' and 1 more"]
