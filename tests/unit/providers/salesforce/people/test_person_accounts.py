"""Contacts of person accounts: read and updated like any other, deleted with their account, and of no company."""

from __future__ import annotations

import json

import pytest

from crmsync.errors import RejectedError, UnavailableError
from crmsync.models.calls import StoreUse, StoreVerb
from crmsync.models.records import Fields, Operation, OperationKind, OutcomeStatus
from crmsync.protocols.records import SupportsCallEstimates
from crmsync.testing.salesforce import API_USER_ID, Profile, SalesforceOrg
from tests.unit.providers.salesforce.objects.conftest import Connect, connect
from tests.unit.providers.salesforce.writing.conftest import delete, update

__all__ = ["connect"]

pytestmark = pytest.mark.anyio

PERSONS = {"person_accounts": True}


def person(org: SalesforceOrg, number: int) -> tuple[str, str]:
    """Add the n-th person account; its id and its contact's."""
    values = {"LastName": f"Last {number}", "PersonEmail": f"p{number}@example.com"}
    account = org.get("Account", org.create("Account", values))
    assert account is not None
    return account["Id"], account["PersonContactId"]


@pytest.mark.parametrize("has", [True, False])
async def test_a_test_of_the_connection_says_that_an_org_has_person_accounts(has: bool, connect: Connect) -> None:
    async with connect(org={"person_accounts": has}) as it:
        warnings = (await it.provider.test_connection()).warnings
        assert bool([warning for warning in warnings if "person accounts" in warning]) == has


@pytest.mark.parametrize("channel", ["collections", "bulk"])
async def test_a_person_is_updated_through_its_contact_without_another_call(channel: str, connect: Connect) -> None:
    async with connect(org=PERSONS, channel=channel, read_back=False) as it:
        account, contact = person(it.org, 1)
        store = await it.provider.records("Contact")
        before = len(it.sent.calls)
        values = {"Email": "new@example.com", "HasOptedOutOfEmail": True, "MarkMail_Company__c": "Acme"}
        [changed] = await store.write([update(contact, **values)])
        assert (changed.status, changed.id, changed.unwritten) == (OutcomeStatus.UPDATED, contact, ())
        if channel == "collections":
            [call] = it.sent.calls[before:]
            assert json.loads(call.body)["records"] == [
                {"attributes": {"type": "Contact"}, "Id": contact, **values},
            ]
        row = it.org.get("Account", account)
        assert row is not None
        assert [row["PersonEmail"], row["PersonHasOptedOutOfEmail"], row["MarkMail_Company__pc"]] == [*values.values()]


@pytest.mark.parametrize("channel", ["collections", "bulk"])
async def test_a_person_is_deleted_by_its_account_and_others_by_themselves(channel: str, connect: Connect) -> None:
    async with connect(org=PERSONS, channel=channel) as it:
        accounts, contacts = zip(*(person(it.org, number) for number in (1, 2)), strict=True)
        other = it.contact(3)
        store = await it.provider.records("Contact")
        done = await store.write([delete(contacts[0]), delete(other), delete(contacts[1])])
        assert [(each.status, each.id) for each in done] == [
            (OutcomeStatus.DELETED, contacts[0]),
            (OutcomeStatus.DELETED, other),
            (OutcomeStatus.DELETED, contacts[1]),
        ]
        assert (it.org.records("Contact"), it.org.records("Account")) == ([], [])
        if channel == "collections":
            [look] = it.sent.of("POST", "/composite/sobjects/Contact")
            assert json.loads(look.body) == {
                "ids": [contacts[0], other, contacts[1]],
                "fields": [
                    "Id",
                    "SystemModstamp",
                    "LastModifiedById",
                    "MarkMail_Id__c",
                    "IsPersonAccount",
                    "AccountId",
                ],
            }
            deletes = [call.path for call in it.sent.of("DELETE", "")]
            assert deletes == [
                f"/composite/sobjects?ids={other}&allOrNone=false",
                f"/composite/sobjects?ids={accounts[0]}%2C{accounts[1]}&allOrNone=false",
            ]
        again = await store.write([delete(contacts[0])])
        assert [each.status for each in again] == [OutcomeStatus.MISSING]


async def test_an_account_that_may_not_go_is_told_of_its_contact(connect: Connect) -> None:
    async with connect(org=PERSONS) as it:
        _, contact = person(it.org, 1)
        store = await it.provider.records("Contact")
        it.org.set_profile(API_USER_ID, Profile(objects={"Account": "cru"}))
        [kept] = await store.write([delete(contact)])
        assert (kept.status, kept.id) == (OutcomeStatus.FAILED, contact)
        assert isinstance(kept.error, RejectedError)
        assert kept.error.code == "INSUFFICIENT_ACCESS_OR_READONLY"


async def test_without_access_to_accounts_a_delete_is_a_reject_that_says_what_to_do(connect: Connect) -> None:
    hidden = {API_USER_ID: Profile(objects={"Account": ""})}
    async with connect(org={**PERSONS, "profiles": hidden}) as it:
        _, contact = person(it.org, 1)
        store = await it.provider.records("Contact")
        [kept] = await store.write([delete(contact)])
        assert isinstance(kept.error, RejectedError)
        assert "delete the account" in kept.error.message


async def test_a_failing_call_about_accounts_leaves_what_was_written_before_it(connect: Connect) -> None:
    async with connect(org=PERSONS) as it:
        account, contact = person(it.org, 1)
        other = it.contact(2)
        store = await it.provider.records("Contact")
        it.org.faults.fail_next(9, status=503, method="DELETE", path="/composite/sobjects")
        kept, changed = await store.write([delete(contact), update(other, Email="new@example.com")])
        assert changed.status is OutcomeStatus.UPDATED
        assert isinstance(kept.error, UnavailableError)
        assert it.org.get("Account", account)


@pytest.mark.parametrize("accounts", ["link", "create"])
async def test_a_person_gets_no_company_and_none_is_made_for_it(accounts: str, connect: Connect) -> None:
    async with connect(org=PERSONS, accounts=accounts) as it:
        account, contact = person(it.org, 1)
        store = await it.provider.records("Contact")
        alone, along, cleared = await store.write(
            [
                Operation("1", OperationKind.UPDATE, contact, fields={"Account.Name": "Acme"}),
                Operation("2", OperationKind.UPDATE, contact, fields={"Account.Name": "Acme", "Title": "Dr"}),
                Operation("3", OperationKind.UPDATE, contact, fields={"Account.Name": None}),
            ]
        )
        assert isinstance(alone.error, RejectedError)
        assert (alone.error.code, alone.error.field) == ("person_account", "Account.Name")
        assert (along.status, [error.code for error in along.unwritten]) == (OutcomeStatus.UPDATED, ["person_account"])
        assert (cleared.status, cleared.unwritten) == (OutcomeStatus.UPDATED, ())
        [row] = it.org.records("Contact")
        assert (row["Title"], row["AccountId"]) == ("Dr", account)
        assert len(it.org.records("Account")) == 1


async def test_another_account_for_a_person_is_refused_before_it_is_sent(connect: Connect) -> None:
    async with connect(org=PERSONS) as it:
        account, contact = person(it.org, 1)
        company = it.org.create("Account", {"Name": "Acme"})
        store = await it.provider.records("Contact")
        [done] = await store.write([update(contact, AccountId=company, Title="Dr")])
        assert [(error.code, error.field) for error in done.unwritten] == [("person_account", "AccountId")]
        [row] = it.org.records("Contact")
        assert (row["Title"], row["AccountId"]) == ("Dr", account)


@pytest.mark.parametrize("first_read", ["rest", "bulk"])
async def test_the_name_of_a_persons_account_is_no_company(first_read: str, connect: Connect) -> None:
    parents = {"fields": ["Account.Name", "Account.Industry"]}
    async with connect(org=PERSONS, parents=parents, first_read=first_read, bulk_read_from=0) as it:
        account, contact = person(it.org, 1)
        it.org.update("Account", account, {"Industry": "Banking"})
        company = it.org.create("Account", {"Name": "Acme"})
        other = it.contact(2, AccountId=company)
        store = await it.provider.records("Contact")
        names = ("Email", "Account.Name", "Account.Industry")
        read: dict[str, Fields] = {}
        cursor, more = None, True
        while more:
            page = await store.changes(cursor, fields=names)
            read |= {record.id: dict(record.fields) for record in page.records}
            cursor, more = page.cursor, page.has_more
        assert read == {
            contact: {"Email": "p1@example.com", "Account.Industry": "Banking"},
            other: {"Email": "p2@example.com", "Account.Name": "Acme", "Account.Industry": None},
        }
        again = await store.get([contact, other], fields=names)
        assert {key: dict(record.fields) for key, record in again.items()} == read


@pytest.mark.parametrize("channel", ["collections", "bulk"])
async def test_the_calls_for_persons_are_among_those_told_in_advance(channel: str, connect: Connect) -> None:
    async with connect(org=PERSONS, channel=channel, accounts="create") as it:
        contacts = [person(it.org, number)[1] for number in range(3)]
        contacts += [it.contact(number) for number in range(3, 6)]
        store = await it.provider.records("Contact")
        operations = [
            delete(contact) if number % 2 else update(contact, **{"Account.Name": "Acme", "Title": "Dr"})
            for number, contact in enumerate(contacts)
        ]
        assert isinstance(store, SupportsCallEstimates)
        told = store.estimate(StoreUse(StoreVerb.WRITE, len(operations), ("Account.Name", "Title")))
        nothing = store.estimate(StoreUse(StoreVerb.WRITE, 0))
        before = it.org.api_calls
        await store.write(operations)
        assert told is not None
        assert nothing is not None
        assert it.org.api_calls - before <= told.most
        assert nothing.most == 0
