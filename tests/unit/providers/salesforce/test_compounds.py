"""Addresses, names and places of an org are read and written by their parts; masks are no values."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.errors import ConversionError
from crmsync.models.records import Fields, Operation, OperationKind, Outcome
from crmsync.models.schema import FieldSchema, FieldType
from crmsync.protocols.provider import CRMProvider, ProviderContext
from crmsync.protocols.records import RecordStore
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.providers.salesforce.compounds import taken_apart
from crmsync.testing.salesforce import DEFAULT_TOKEN, Profile, SalesforceOrg, custom_field, location_fields
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio

SECRET = custom_field("Tax_Id__c", "Tax id", "encryptedstring", length=175)
OFFICE = location_fields("Office__c", "Office")
HOME = {"street": "Unter den Linden 1", "city": "Berlin", "postal_code": "10117"}
CHANNELS = pytest.mark.parametrize("channel", ["collections", "bulk"])


@asynccontextmanager
async def contacts(
    org: SalesforceOrg, clock: FakeClock, **settings: Any
) -> AsyncIterator[tuple[CRMProvider, RecordStore]]:
    """The contacts of an emulated org."""
    given = {"instance_url": "https://acme.my.salesforce.com", **settings}
    context = ProviderContext(clock, RunBudget())
    token = {"access_token": SecretStr(DEFAULT_TOKEN)}
    async with SalesforceProviderFactory(InProcessTransport(org)).open(given, token, context) as provider:
        yield provider, await provider.records("Contact")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def org(clock: FakeClock) -> SalesforceOrg:
    return SalesforceOrg(clock=clock.now, custom_fields={"Contact": [SECRET, *OFFICE]})


async def written(store: RecordStore, record_id: str | None = None, **fields: object) -> Outcome:
    kind = OperationKind.UPDATE if record_id else OperationKind.CREATE
    return (await store.write([Operation("1", kind, record_id, None if record_id else "m1", fields)]))[0]


async def everything(store: RecordStore, *fields: str) -> list[Fields]:
    """What a pass over everything shows of these fields."""
    found: list[Fields] = []
    cursor, more = None, True
    while more:
        page = await store.changes(cursor, fields=fields)
        found += [record.fields for record in page.records]
        cursor, more = page.cursor, page.has_more
    return found


async def test_compounds_are_described_with_their_parts(org: SalesforceOrg, clock: FakeClock) -> None:
    async with contacts(org, clock) as (_, store):
        schema = await store.describe()
    address, name, office = (schema.field(each) for each in ("MailingAddress", "Name", "Office__c"))
    assert address is not None
    assert (address.type, address.createable, address.updateable) == (FieldType.ADDRESS, True, True)
    assert (address.parts["postal_code"].name, address.parts["postal_code"].length) == ("MailingPostalCode", 20)
    assert name is not None
    assert {part: field.name for part, field in name.parts.items()} == {
        "first_name": "FirstName",
        "last_name": "LastName",
        "salutation": "Salutation",
    }
    assert office is not None
    assert (office.type, set(office.parts)) == (FieldType.GEOLOCATION, {"latitude", "longitude"})
    assert not office.required


@CHANNELS
async def test_a_compound_is_written_by_its_parts_and_read_back(
    org: SalesforceOrg, clock: FakeClock, channel: str
) -> None:
    place = {"latitude": Decimal("52.52"), "longitude": Decimal("13.405")}
    async with contacts(org, clock, channel=channel) as (_, store):
        name = {"first_name": "Ada", "last_name": "Lovelace"}
        made = await written(store, Name=name, MailingAddress=HOME, Office__c=place)
        assert made.ok, made.error
        record = (await store.get([made.id or ""], fields=["Name", "MailingAddress", "Office__c", "LastName"]))[
            made.id or ""
        ]
    assert record.fields["Name"] == {**name, "salutation": None}
    assert record.fields["LastName"] == "Lovelace"
    assert record.fields["Office__c"] == place
    address = record.fields["MailingAddress"]
    assert isinstance(address, dict)
    assert {part: value for part, value in address.items() if value is not None} == HOME
    assert "MailingCity" not in record.fields


@CHANNELS
async def test_a_part_that_is_not_given_stays_and_a_blank_one_is_cleared(
    org: SalesforceOrg, clock: FakeClock, channel: str
) -> None:
    record_id = org.create("Contact", {"LastName": "X", "MailingCity": "Bonn", "MailingStreet": "Am Markt 1"})
    async with contacts(org, clock, channel=channel) as (_, store):
        assert (await written(store, record_id, MailingAddress={"city": None, "country": "DE"})).ok
        row = org.get("Contact", record_id) or {}
        assert (row.get("MailingCity"), row["MailingStreet"], row["MailingCountry"]) == (None, "Am Markt 1", "DE")
        assert (await written(store, record_id, MailingAddress=None)).ok
    row = org.get("Contact", record_id) or {}
    assert row.get("MailingStreet") is row.get("MailingCountry") is None


async def test_an_address_without_any_part_is_a_blank(org: SalesforceOrg, clock: FakeClock) -> None:
    record_id = org.create("Contact", {"LastName": "X"})
    async with contacts(org, clock) as (_, store):
        record = (await store.get([record_id], fields=["MailingAddress", "Office__c"]))[record_id]
    assert record.fields == {"MailingAddress": None, "Office__c": None}


async def test_a_compound_of_a_first_load_by_a_job_is_that_of_rest(org: SalesforceOrg, clock: FakeClock) -> None:
    org.create("Contact", {"LastName": "X", "MailingCity": "Bonn", "Tax_Id__c": "4711"})
    found = []
    for read in ("rest", "bulk"):
        async with contacts(org, clock, first_read=read) as (_, store):
            found.append(await everything(store, "Name", "MailingAddress", "Tax_Id__c"))
    assert found[0] == found[1] != []


@pytest.mark.parametrize("read", ["rest", "bulk"])
async def test_a_mask_is_as_good_as_not_being_shown_the_field(org: SalesforceOrg, clock: FakeClock, read: str) -> None:
    record_id = org.create("Contact", {"LastName": "X", "Tax_Id__c": "123-45-6789"})
    async with contacts(org, clock) as (_, store):
        shown = (await store.get([record_id], fields=["Tax_Id__c"]))[record_id]
        assert shown.fields == {"Tax_Id__c": "123-45-6789"}
    org.set_profile(org.user_id, Profile(view_encrypted=False))
    async with contacts(org, clock, first_read=read) as (_, store):
        assert await everything(store, "Tax_Id__c", "LastName") == [{"LastName": "X"}]


async def test_a_parents_name_is_a_text(org: SalesforceOrg, clock: FakeClock) -> None:
    boss = org.create("Contact", {"FirstName": "Ada", "LastName": "King"})
    record_id = org.create("Contact", {"LastName": "X", "ReportsToId": boss})
    parents = {"fields": ["ReportsTo.Name", "ReportsTo.MailingAddress"]}
    async with contacts(org, clock, parents=parents) as (_, store):
        assert (await store.describe()).field("ReportsTo.MailingAddress") is None
        record = (await store.get([record_id], fields=["ReportsTo.Name"]))[record_id]
    assert record.fields == {"ReportsTo.Name": "Ada King"}


@pytest.mark.parametrize("value", ["Berlin", {"floor": "2"}, {"latitude": "north"}])
def test_what_an_address_cannot_take_is_refused(value: object) -> None:
    parts = {"latitude": FieldSchema(name="MailingLatitude", type=FieldType.DECIMAL)}
    field = FieldSchema(name="MailingAddress", type=FieldType.ADDRESS, parts=parts)
    with pytest.raises(ConversionError):
        dict(taken_apart(field, value, creates=False))
