"""New people as person accounts, where the settings want that."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from crmsync.errors import (
    AccessDeniedError,
    ConfigurationError,
    ConflictError,
    DuplicateError,
    RejectedError,
    UnavailableError,
)
from crmsync.models.calls import StoreUse, StoreVerb
from crmsync.models.records import Operation, OperationKind, OutcomeStatus
from crmsync.protocols.records import SupportsCallEstimates
from crmsync.testing.salesforce import API_USER_ID, Profile, SalesforceOrg, custom_field
from crmsync.testing.salesforce.persons import PERSON_TYPE
from tests.unit.providers.salesforce.objects.conftest import Connect, connect
from tests.unit.providers.salesforce.writing.conftest import create, keyed, update

__all__ = ["connect"]

pytestmark = pytest.mark.anyio

PERSONS: dict[str, Any] = {"person_accounts": True}
SETTINGS: dict[str, Any] = {"person_accounts": "create"}


def persons(org: SalesforceOrg) -> dict[str, str]:
    """The contacts of person accounts, by last name."""
    return {row["LastName"]: row["Id"] for row in org.records("Contact") if row["IsPersonAccount"]}


@pytest.mark.parametrize("channel", ["collections", "bulk"])
async def test_a_new_person_becomes_an_account_and_is_known_by_its_contact(channel: str, connect: Connect) -> None:
    size = {"Contact": [custom_field("Size__c", "Size", "double")]}
    settings = {**SETTINGS, "channel": channel, "person_record_type": PERSON_TYPE}
    async with connect(org={**PERSONS, "custom_fields": size}, **settings) as it:
        store = await it.provider.records("Contact")
        address = {"city": "London", "country": "England"}
        more = {
            "Phone": "1",
            "HasOptedOutOfEmail": True,
            "Size__c": Decimal(36),
            "MailingAddress": address,
            "Title": None,
        }
        done = await store.write([create(1, key="k1", **more), create(2, key="k2")])
        found = persons(it.org)
        assert [(each.status, each.id, each.unwritten) for each in done] == [
            (OutcomeStatus.CREATED, found["Last 1"], ()),
            (OutcomeStatus.CREATED, found["Last 2"], ()),
        ]
        stored = done[0].stored
        assert stored is not None
        assert (stored.id, stored.key, stored.fields["Email"]) == (found["Last 1"], "k1", "p1@example.com")
        if channel == "collections":
            [call] = it.sent.of("PATCH", "/composite/sobjects/Account/MarkMail_Id__pc")
            first, second = json.loads(call.body)["records"]
            assert first == {
                "attributes": {"type": "Account"},
                "LastName": "Last 1",
                "PersonEmail": "p1@example.com",
                "Phone": "1",
                "PersonHasOptedOutOfEmail": True,
                "Size__pc": 36,
                "PersonMailingCity": "London",
                "PersonMailingCountry": "England",
                "RecordTypeId": PERSON_TYPE,
                "MarkMail_Id__pc": "k1",
            }
            assert second["MarkMail_Id__pc"] == "k2"
        again = await store.write([create(1, key="k1", **more)])
        assert [(each.status, each.id) for each in again] == [(OutcomeStatus.UPDATED, found["Last 1"])]
        assert len(it.org.records("Account")) == 2


async def test_a_new_person_with_a_company_becomes_its_contact(connect: Connect) -> None:
    async with connect(org=PERSONS, accounts="create", **SETTINGS) as it:
        store = await it.provider.records("Contact")
        done = await store.write(
            [create(1, key="k1", **{"Account.Name": "Acme"}), create(2, key="k2", **{"Account.Name": " "})]
        )
        assert [each.status for each in done] == [OutcomeStatus.CREATED] * 2
        assert list(persons(it.org)) == ["Last 2"]
        assert {row["Name"] for row in it.org.records("Account")} == {"Acme", "Last 2"}


async def test_a_name_in_one_piece_is_the_persons(connect: Connect) -> None:
    async with connect(org=PERSONS, **SETTINGS) as it:
        store = await it.provider.records("Contact")
        name = {"first_name": "Ada", "last_name": "Byron"}
        [done] = await store.write([Operation("1", OperationKind.CREATE, None, key="k1", fields={"Name": name})])
        assert persons(it.org) == {"Byron": done.id}


async def test_an_update_and_what_has_no_last_name_go_to_contacts(connect: Connect) -> None:
    async with connect(org=PERSONS, **SETTINGS) as it:
        other = it.contact(1)
        store = await it.provider.records("Contact")
        nameless = Operation("2", OperationKind.CREATE, None, key="k2", fields={"Email": "x@example.com"})
        changed, refused = await store.write([update(other, Title="Dr"), nameless])
        assert changed.status is OutcomeStatus.UPDATED
        assert isinstance(refused.error, RejectedError)
        assert (refused.error.code, refused.error.field) == ("REQUIRED_FIELD_MISSING", "LastName")
        assert it.org.records("Account") == []


async def test_faults_are_told_by_the_contacts_names_for_the_fields(connect: Connect) -> None:
    async with connect(org=PERSONS, **SETTINGS) as it:
        held = it.contact(9, MarkMail_Id__c="k9")
        store = await it.provider.records("Contact")
        bad, twice, partly, wrong = await store.write(
            [
                create(1, key="k1", Email="no address"),
                create(2, key="k9"),
                create(3, key="k3", Department="Sales", ReportsToId=held),
                create(4, key="k4", MailingAddress="London"),
            ]
        )
        assert isinstance(bad.error, RejectedError)
        assert (bad.error.code, bad.error.field) == ("INVALID_EMAIL_ADDRESS", "Email")
        assert isinstance(twice.error, DuplicateError)
        assert twice.error.existing_id == held
        assert partly.status is OutcomeStatus.CREATED
        assert [(error.code, error.field) for error in partly.unwritten] == [("no_counterpart", "ReportsToId")]
        assert wrong.status is OutcomeStatus.FAILED
        assert list(persons(it.org)) == ["Last 3"]


async def test_a_duplicate_account_is_told_by_its_contact(connect: Connect) -> None:
    unique = {"Contact": [custom_field("Card__c", "Card", length=9, unique=True)]}
    async with connect(org={**PERSONS, "custom_fields": unique}, **SETTINGS) as it:
        store = await it.provider.records("Contact")
        [first] = await store.write([create(1, key="k1", Card__c="7")])
        [second] = await store.write([create(2, key="k2", Card__c="7")])
        assert isinstance(second.error, DuplicateError)
        assert second.error.existing_id == first.id


async def test_several_accounts_of_one_key_are_told_by_their_contacts(connect: Connect) -> None:
    loose = custom_field("MarkMail_Id__c", "Key", length=64, external_id=True)
    org = {**PERSONS, "external_id_field": False, "custom_fields": {"Contact": [loose]}}
    async with connect(org=org, **SETTINGS) as it:
        for number in (1, 2):
            it.org.create("Account", {"LastName": f"Last {number}", "MarkMail_Id__pc": "k1"})
        store = await it.provider.records("Contact")
        [unclear] = await store.write([create(3, key="k1")])
        assert isinstance(unclear.error, ConflictError)
        assert set(unclear.error.candidates) == set(persons(it.org).values())


async def test_without_a_key_field_a_lost_answer_makes_nobody_twice(connect: Connect) -> None:
    async with connect(org={**PERSONS, "external_id_field": False}, **SETTINGS) as it:
        store = await it.provider.records("Contact")
        it.org.faults.drop_next(method="POST", path="/composite/sobjects", after_commit=True)
        done = await store.write([create(1), create(2)])
        assert [each.id for each in done] == list(persons(it.org).values())
        assert len(it.org.records("Account")) == 2


async def test_a_person_whose_contact_cannot_be_told_is_found_by_its_key_when_it_is_sent_again(
    connect: Connect,
) -> None:
    async with connect(org=PERSONS, read_back=False, **SETTINGS) as it:
        store = await it.provider.records("Contact")
        it.org.faults.fail_next(9, status=503, method="POST", path="/composite/sobjects/Account")
        [unknown] = await store.write(keyed([1]))
        assert (unknown.status, unknown.id) == (OutcomeStatus.FAILED, None)
        assert isinstance(unknown.error, UnavailableError)
        it.org.clear_faults()
        [known] = await store.write(keyed([1]))
        assert (known.status, [known.id]) == (OutcomeStatus.UPDATED, list(persons(it.org).values()))


@pytest.mark.parametrize(
    "org, kind, reason",
    [
        ({}, ConfigurationError, "the org has no person accounts"),
        (
            {**PERSONS, "profiles": {API_USER_ID: Profile(objects={"Account": ""})}},
            AccessDeniedError,
            "Account is hidden",
        ),
        (
            {**PERSONS, "profiles": {API_USER_ID: Profile(objects={"Account": "ru"})}},
            AccessDeniedError,
            "may not create accounts",
        ),
        (
            {**PERSONS, "profiles": {API_USER_ID: Profile(hidden=frozenset({"Account.MarkMail_Id__pc"}))}},
            AccessDeniedError,
            "Account.MarkMail_Id__pc is hidden",
        ),
    ],
    ids=["no person accounts", "no accounts", "no creates", "no key on accounts"],
)
async def test_an_org_that_takes_no_persons_is_told_before_anything_is_written(
    org: dict[str, Any], kind: type[Exception], reason: str, connect: Connect
) -> None:
    async with connect(org=org, **SETTINGS) as it:
        with pytest.raises(kind, match=reason):
            await it.provider.records("Contact")
        assert any(reason in warning for warning in (await it.provider.test_connection()).warnings)


@pytest.mark.parametrize("channel", ["collections", "bulk"])
async def test_the_calls_for_new_persons_are_among_those_told_in_advance(channel: str, connect: Connect) -> None:
    async with connect(org=PERSONS, channel=channel, **SETTINGS) as it:
        store = await it.provider.records("Contact")
        operations = [*keyed(range(210)), update(it.contact(900), Title="Dr")]
        assert isinstance(store, SupportsCallEstimates)
        told = store.estimate(StoreUse(StoreVerb.WRITE, len(operations), ("LastName", "Email", "Title")))
        before = it.org.api_calls
        await store.write(operations)
        assert told is not None
        assert it.org.api_calls - before <= told.most
        assert len(persons(it.org)) == 210
