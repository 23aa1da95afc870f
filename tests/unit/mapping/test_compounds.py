"""Addresses, names and places: values with parts, and what becomes of them elsewhere."""

from __future__ import annotations

from decimal import Decimal

import pytest

from crmsync.errors import MappingError
from crmsync.mapping import compile_mapping
from crmsync.models.mappings import FieldMapping, MatchKeys, ObjectMapping, two_way
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import LossKind
from tests.unit.mapping.conftest import CompileOne

T = FieldType
HOME = {"street": "Unter den Linden 1", "city": "Berlin", "state": "BE", "postal_code": "10117", "country": "DE"}
ADA = {"first_name": "Ada", "last_name": "Lovelace"}


@pytest.mark.parametrize(
    "given,value",
    [
        ({"Street": "1 Main St", "PostalCode": "02139"}, {"street": "1 Main St", "postal_code": "02139"}),
        ({"zip": "02139", "locality": "Cambridge"}, {"city": "Cambridge", "postal_code": "02139"}),
        ('{"street": "O\'Brien Rd", "country": null}', {"street": "O'Brien Rd", "country": None}),
        ({"city": " Bonn ", "state": ""}, {"city": "Bonn", "state": None}),
        ("Unter den Linden 1\nBerlin\nBE\n10117\nDE", HOME),
        ({"street": None, "city": None}, None),
        ("", None),
    ],
)
def test_an_address_is_read(rule_of: CompileOne, given: object, value: object) -> None:
    conversion = rule_of(T.TEXT, T.ADDRESS).to_remote(given)
    assert conversion.value == value
    assert not conversion.losses


def test_parts_come_in_one_order_so_that_equal_values_look_equal(rule_of: CompileOne) -> None:
    rule = rule_of(T.ADDRESS, T.ADDRESS)
    shuffled = dict(reversed(HOME.items()))
    assert list(rule.to_remote(shuffled).value) == list(HOME)  # type: ignore[call-overload]
    assert rule.normal_local({**shuffled, "country_code": None}) == rule.normal_remote(HOME)


@pytest.mark.parametrize(
    "given,kind",
    [
        ({"street": "1", "floor": "2nd"}, LossKind.DROPPED_ELEMENT),
        ({"zip": "1", "postcode": "2"}, LossKind.DROPPED_ELEMENT),
        ("1 Main St, Cambridge", LossKind.INVALID),
        ({"street": {"name": "Main St"}}, LossKind.INVALID),
        ({"floor": "2nd"}, LossKind.INVALID),
        ("{broken", LossKind.INVALID),
        (["1 Main St"], LossKind.INVALID),
    ],
)
def test_what_an_address_cannot_hold_is_reported(rule_of: CompileOne, given: object, kind: LossKind) -> None:
    conversion = rule_of(T.TEXT, T.ADDRESS).to_remote(given)
    assert conversion.rejected
    assert [loss.kind for loss in conversion.losses] == [kind]


def test_a_part_is_held_to_the_field_that_holds_it(rule_of: CompileOne) -> None:
    parts = {"city": FieldSchema(name="MailingCity", length=6), "street": FieldSchema(name="MailingStreet")}
    field = FieldSchema(name="MailingAddress", type=T.ADDRESS, parts=parts)
    conversion = rule_of(T.JSON, field, on_loss="report").to_remote('{"street": "a\\u0000b", "city": "Berlin-Mitte"}')
    assert conversion.value == {"street": "ab", "city": "Berlin"}
    assert {loss.kind for loss in conversion.losses} == {LossKind.ENCODING, LossKind.TRUNCATED}
    dropped = rule_of(T.JSON, field, on_loss="report").to_remote('{"city": "Berlin", "state": "BE"}')
    assert (dropped.value, dropped.losses[0].kind) == ({"city": "Berlin"}, LossKind.DROPPED_ELEMENT)


@pytest.mark.parametrize("kind,value", [(T.ADDRESS, HOME), (T.NAME, {**ADA, "suffix": None})])
def test_json_holds_all_of_a_compound(rule_of: CompileOne, kind: FieldType, value: dict[str, object]) -> None:
    rule = rule_of(T.JSON, kind)
    there = rule.to_local(value)
    assert not there.losses
    assert rule.to_remote(there.value).value == value


def test_a_name_of_two_words_is_first_and_last_name(rule_of: CompileOne) -> None:
    rule = rule_of(T.TEXT, T.NAME)
    assert rule.to_remote("Ada Lovelace").value == ADA
    assert rule.to_remote("Plato").value == {"last_name": "Plato"}
    assert rule.to_local(ADA).value == "Ada Lovelace"
    assert not rule.to_local(ADA).losses


def test_a_name_of_more_words_is_not_guessed_at(rule_of: CompileOne) -> None:
    assert rule_of(T.TEXT, T.NAME).to_remote("Augusta Ada King").rejected
    guess = rule_of(T.TEXT, T.NAME, on_loss="report").to_remote("Augusta Ada King")
    assert guess.value == {"first_name": "Augusta Ada", "last_name": "King"}


def test_a_compound_as_text_says_when_it_does_not_read_back(rule_of: CompileOne) -> None:
    rule = rule_of(T.TEXT, T.NAME)
    conversion = rule.to_local({"salutation": "Ms.", **ADA})
    assert (conversion.value, conversion.rejected) == ("Ada Lovelace", False)
    assert [loss.kind for loss in conversion.losses] == [LossKind.PRECISION]
    lines = rule_of(T.TEXT, T.ADDRESS).to_local({"street": "1 Main St", "city": "Cambridge", "country_code": "US"})
    assert lines.value == "1 Main St\nCambridge\nUS"
    assert lines.losses


@pytest.mark.parametrize(
    "given",
    [
        "52.52,13.405",
        "52.52; 13.405",
        '{"lat": 52.52, "lng": 13.405}',
        (52.52, "13.405"),
        {"longitude": Decimal("13.405"), "latitude": Decimal("52.52")},
    ],
)
def test_a_place_is_read_latitude_first(rule_of: CompileOne, given: object) -> None:
    conversion = rule_of(T.TEXT, T.GEOLOCATION).to_remote(given)
    assert conversion.value == {"latitude": Decimal("52.52"), "longitude": Decimal("13.405")}


@pytest.mark.parametrize("given", ["52.52", "91,0", "0,181", '{"lat": 1}', (1, 2, 3), "north,east", "NaN,0"])
def test_what_is_no_place_is_refused(rule_of: CompileOne, given: object) -> None:
    assert rule_of(T.TEXT, T.GEOLOCATION, on_loss="accept").to_remote(given).rejected


def test_a_place_is_rounded_to_what_the_field_keeps(rule_of: CompileOne) -> None:
    field = FieldSchema(name="Location__c", type=T.GEOLOCATION, scale=2)
    conversion = rule_of(T.TEXT, field, on_loss="report").to_remote("52.5199,13.405")
    assert conversion.value == {"latitude": Decimal("52.52"), "longitude": Decimal("13.41")}
    assert conversion.losses[0].kind is LossKind.ROUNDED
    assert rule_of(T.TEXT, field).to_local({"latitude": Decimal(0), "longitude": Decimal("-0")}).value == "0,0"


LAST_NAME = FieldSchema(name="LastName", length=80, required=True, nillable=False)
CONTACT = ObjectSchema(
    name="Contact",
    fields=(
        LAST_NAME,
        FieldSchema(name="Name", type=T.NAME, parts={"last_name": LAST_NAME}),
        FieldSchema(name="Title"),
    ),
)


def problems_of(*fields: FieldMapping) -> list[tuple[str, str]]:
    mapping = ObjectMapping(fields=fields, match=MatchKeys(local_email="", remote_email=""))
    try:
        compile_mapping(mapping, ObjectSchema(name="subscribers", open=True), CONTACT)
    except MappingError as error:
        return [(problem.path, problem.code) for problem in error.problems]
    return []


def test_a_compound_writes_the_fields_that_hold_its_parts() -> None:
    assert problems_of(two_way("full_name", "Name")) == []
    assert problems_of(two_way("title", "Title")) == [("fields", "required_not_covered")]
    both = problems_of(two_way("full_name", "Name"), two_way("last_name", "LastName"))
    assert both == [("fields[1].crm_field", "duplicate_target")]


def test_a_part_that_cannot_be_written_is_reported_and_left_out(rule_of: CompileOne) -> None:
    parts = {
        "city": FieldSchema(name="MailingCity"),
        "geocode_accuracy": FieldSchema(name="MailingGeocodeAccuracy", createable=False, updateable=False),
    }
    field = FieldSchema(name="MailingAddress", type=T.ADDRESS, parts=parts)
    conversion = rule_of(T.JSON, field, on_loss="report").to_remote('{"city": "Berlin", "geocode_accuracy": "Zip"}')
    assert conversion.value == {"city": "Berlin"}
    assert [loss.kind for loss in conversion.losses] == [LossKind.DROPPED_ELEMENT]
