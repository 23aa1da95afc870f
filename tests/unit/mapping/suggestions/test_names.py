"""What the names of fields say, in several languages and spellings."""

from __future__ import annotations

import pytest

from crmsync.mapping.suggestions.names import common_words, likeliest, read, settled, told_by_options, words_of


@pytest.mark.parametrize(
    "name, words",
    [
        ("FirstName", ("first", "name")),
        ("MailingPostalCode", ("mailing", "postal", "code")),
        ("Loyalty_Tier__c", ("loyalty", "tier")),
        ("ns__Loyalty_Tier__c", ("loyalty", "tier")),
        ("MarkMail_Company__c", ("company",)),
        ("MarkMail", ("mark", "mail")),
        ("SFDCCreatedDate", ("sfdc", "created", "date")),
        ("address1_line2", ("address", "1", "line", "2")),
        ("E-Mail-Adresse", ("e", "mail", "adresse")),
        ("Größe", ("grosse",)),
        ("Imię", ("imie",)),
        ("Prénom", ("prenom",)),
        ("", ()),
        ("???", ()),
    ],
)
def test_a_name_is_taken_apart_at_its_humps_digits_and_signs(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize(
    "name, meaning",
    [
        ("fname", "first name"),
        ("Vorname", "first name"),
        ("apellidos", "last name"),
        ("Achternaam", "last name"),
        ("nazwisko", "last name"),
        ("Bedrijfsnaam", "company"),
        ("Stanowisko", "job title"),
        ("numberofemployees", "number of employees"),
        ("address1_stateorprovince", "state"),
        ("Codice di avviamento postale", "postal code"),
        ("HasOptedOutOfEmail", "e-mail opt-out"),
        ("Adresse de messagerie", "e-mail address"),
        ("Telefone celular", "mobile phone"),
        ("Data urodzenia", "birthday"),
        ("Notiz", "notes"),
        ("shoe size", ""),
    ],
)
def test_what_a_name_means_is_known_in_eight_languages(name: str, meaning: str) -> None:
    assert likeliest(read(words_of(name))) == meaning


def test_an_ambiguous_name_is_settled_by_the_fields_beside_it() -> None:
    assert likeliest(settled(read(["nome"]), {"last name": 1})) == "first name"
    assert likeliest(settled(read(["name"]), {"first name": 1})) == "last name"
    assert likeliest(settled(read(["nombre"]), {})) == "full name"
    assert likeliest(settled(read(["title"]), {"job title": 2})) == "salutation"
    assert likeliest(settled(read(["title"]), {"job title": 1})) == "job title"


def test_words_that_most_fields_share_say_nothing() -> None:
    names = [["customer", "email"], ["customer", "city"], ["customer", "shoe", "size"], ["customer", "since"], ["id"]]
    assert common_words(names) == {"customer"}
    assert common_words(names[:3]) == frozenset()


def test_options_tell_what_a_picklist_means() -> None:
    reading = told_by_options(["subscribed", "unsubscribed", "cleaned"])
    assert reading is not None
    assert likeliest(reading) == "subscription status"
    assert told_by_options(["New", "Open"]) is None


def test_a_name_of_any_length_is_read_in_time() -> None:
    assert read(words_of("Name" * 100_000)).plain
