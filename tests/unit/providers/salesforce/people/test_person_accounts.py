"""Contacts of person accounts: read and updated like any other, and not deleted by themselves."""

from __future__ import annotations

import pytest

from crmsync.errors import RejectedError
from crmsync.models.records import OutcomeStatus
from crmsync.testing.salesforce import API_USER_ID, SalesforceOrg
from tests.unit.providers.salesforce.objects.conftest import Connect, connect
from tests.unit.providers.salesforce.writing.conftest import delete, update

__all__ = ["connect"]

pytestmark = pytest.mark.anyio


def make_person(org: SalesforceOrg, contact: str) -> None:
    table = org.table("Contact")
    org.writer.change(table, org.writer.existing(table, contact), {"IsPersonAccount": True}, API_USER_ID)


@pytest.mark.parametrize("has", [True, False])
async def test_a_test_of_the_connection_says_that_an_org_has_person_accounts(has: bool, connect: Connect) -> None:
    async with connect(org={"person_accounts": has}) as it:
        warnings = (await it.provider.test_connection()).warnings
        assert bool([warning for warning in warnings if "person accounts" in warning]) == has


async def test_a_person_contact_is_updated_but_its_delete_is_a_reject_that_says_what_to_do(connect: Connect) -> None:
    async with connect(org={"person_accounts": True}) as it:
        person, other = it.contact(1), it.contact(2)
        make_person(it.org, person)
        store = await it.provider.records("Contact")
        [changed] = await store.write([update(person, Email="new@example.com")])
        assert changed.status is OutcomeStatus.UPDATED
        kept, gone = await store.write([delete(person), delete(other)])
        assert isinstance(kept.error, RejectedError)
        assert "delete the account" in kept.error.message
        assert gone.status is OutcomeStatus.DELETED
        assert [row["Email"] for row in it.org.records("Contact")] == ["new@example.com"]
