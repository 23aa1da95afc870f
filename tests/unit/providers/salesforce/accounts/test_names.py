"""When two names are one company's."""

from __future__ import annotations

import pytest

from crmsync.providers.salesforce.accounts.names import collapsed, folded, key_of


@pytest.mark.parametrize("other", ["ACME inc.", "  Acme\tInc. ", "Acme  Inc."])
def test_case_and_white_space_make_no_other_company(other: str) -> None:
    assert folded(other) == folded("Acme Inc.")
    assert key_of(other) == key_of("Acme Inc.")


@pytest.mark.parametrize("other", ["Acme", "Acme, Inc.", "Acme Inc", "Acmé Inc."])
def test_everything_else_does(other: str) -> None:
    assert folded(other) != folded("Acme Inc.")
    assert key_of(other) != key_of("Acme Inc.")


def test_a_letter_and_its_accent_are_one_letter_also_for_the_look_up() -> None:
    assert collapsed("Cafe\u0301 Noir") == "Café Noir"


def test_keys_fit_into_the_field_and_stay_what_they_are() -> None:
    assert key_of("Acme") == "822b33ad87c148a0a20a5ba7cd5ebcaa"
