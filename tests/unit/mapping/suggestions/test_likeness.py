"""How alike the names of fields are."""

from __future__ import annotations

import pytest

from crmsync.mapping.suggestions import plain_ratio
from crmsync.mapping.suggestions.likeness import compare
from crmsync.mapping.suggestions.names import read, words_of


def alike(one: str, other: str) -> float:
    return compare(read(words_of(one)), read(words_of(other)), plain_ratio).score


@pytest.mark.parametrize(
    "name, near, far",
    [
        ("City", "MailingCity", "OtherCity"),
        ("Business Phone", "Phone", "Home Phone"),
        ("Phone", "telephone1", "telephone2"),
        ("E-mail 2 Address", "emailaddress2", "emailaddress1"),
        ("Mobile", "MobilePhone", "Phone"),
        ("Company", "Account Name", "Company Main Phone"),
        ("address2_city", "Address 2: City", "address1_city"),
        ("Fax", "Business Fax", "Phone"),
        ("loyaltyTier", "Loyalty_Tier__c", "Loyalty_Points__c"),
        ("last_nmae", "LastName", "FirstName"),
    ],
)
def test_a_field_is_liker_to_its_counterpart_than_to_its_neighbour(name: str, near: str, far: str) -> None:
    assert alike(name, near) > alike(name, far)


def test_an_address_is_told_from_its_parts_and_from_another_one() -> None:
    assert alike("postal_address_locality", "MailingCity") > 0.85
    assert alike("Street/road name of Postal address", "MailingStreet") > 0.85
    assert alike("Billing City", "Shipping City") < 0.5


def test_names_of_any_length_are_compared_in_time() -> None:
    assert alike("\u00ff" * 10_000, "_" * 10_000) == 0
    assert alike("Name" * 100_000, "Name" * 100_000) > 0.9
