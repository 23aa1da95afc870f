"""What sample values say."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crmsync.mapping.suggestions.values import fits, overlap, profile_of
from crmsync.models.schema import FieldType


@pytest.mark.parametrize(
    "samples, form",
    [
        (["a@b.example", "c@d.example"], "e-mail addresses"),
        (["https://a.example", "www.b.example"], "web addresses"),
        (["2024-01-31", "31.01.2024", "1/31/24"], "dates"),
        (["2024-01-31T08:30:00Z", dt.datetime(2024, 1, 31, tzinfo=dt.UTC)], "times"),
        ([True, "no"], "truth values"),
        (["+44 113 496 0000", "(030) 901820", "020 7946 0000"], "phone numbers"),
        (["1500000", 17, Decimal("9.50")], "numbers"),
        (["GB", "DE", "USA"], "country codes"),
        (["003xx000004TmiQAAS", "003xx000004TmiRAAS"], "keys"),
        (["Ann", "Bob"], ""),
        (["", None, "  "], ""),
        ([], ""),
    ],
)
def test_the_form_of_values_is_seen(samples: list[object], form: str) -> None:
    assert profile_of(samples).form == form


def test_one_value_in_ten_may_be_of_another_form() -> None:
    assert profile_of([*(f"p{n}@example.org" for n in range(9)), "nobody"]).form == "e-mail addresses"


def test_a_form_suits_a_type_or_speaks_against_it_or_says_nothing() -> None:
    assert fits("e-mail addresses", FieldType.EMAIL) is True
    assert fits("phone numbers", FieldType.DATE) is False
    assert fits("phone numbers", FieldType.TEXT) is None
    assert fits("", FieldType.DATE) is None


def test_values_of_both_sides_are_counted_once_enough_were_seen() -> None:
    few, many = profile_of(["Leeds", "York"]), profile_of(["leeds", "York", "Bath", "Ely", "Hull", "Leeds"])
    assert overlap(few, many) == 0
    assert overlap(many, profile_of(["LEEDS", "York", "x", "y", "z"])) == 2 / 5


def test_a_profile_shows_no_value() -> None:
    assert "ann@" not in repr(profile_of(["ann@example.org"]))
