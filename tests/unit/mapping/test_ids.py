from __future__ import annotations

import pytest

from crmsync.mapping import id_checksum, normal_id

# Ids that Salesforce's own documentation and public traffic show in both spellings.
PAIRS = [
    ("001D000000IRFma", "001D000000IRFmaIAH"),
    ("0015500001QdQWa", "0015500001QdQWaAAN"),
    ("0" * 15, "0" * 15 + "AAA"),
]


@pytest.mark.parametrize("short,long", PAIRS)
def test_fifteen_and_eighteen_characters_are_one_id(short: str, long: str) -> None:
    assert short + id_checksum(short) == long
    assert normal_id(short) == normal_id(long) == long


@pytest.mark.parametrize("_short,long", PAIRS)
def test_eighteen_characters_in_any_case_are_put_right(_short: str, long: str) -> None:
    assert normal_id(long.upper()) == normal_id(long.lower()) == long


@pytest.mark.parametrize(
    "text", ["", "12345", "001D000000IRFmaIAI", "001d000000irfma999", "001D000000IRFm!", "hubspot-4711", "é" * 15]
)
def test_what_is_no_such_id_stays_as_it_is(text: str) -> None:
    assert normal_id(text) == text


def test_ids_that_differ_in_case_only_are_two_ids() -> None:
    assert normal_id("001D000000IRFma") != normal_id("001D000000IRFmA")
