"""A store of contacts that links accounts, in an emulated org."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from crmsync.models.records import Operation
from crmsync.testing.salesforce import SalesforceOrg, custom_field
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.writing.conftest import Desk, OpenDesk, create, open_desk

__all__ = ["ACCOUNT_KEY", "OpenLinked", "accounts", "open_desk", "open_linked", "person"]

ACCOUNT_KEY = custom_field("MarkMail_Key__c", "MarkMail Key", length=64, external_id=True, unique=True, id_lookup=True)

OpenLinked = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def open_linked(open_desk: OpenDesk) -> OpenLinked:
    """As `open_desk`, with ``accounts = "create"``; ``keyed=True`` gives accounts an external id."""

    @asynccontextmanager
    async def linked(*, keyed: bool = False, **settings: Any) -> AsyncIterator[Desk]:
        clock = settings.pop("clock", None) or FakeClock()
        if keyed:
            settings.setdefault("org", SalesforceOrg(clock=clock.now, custom_fields={"Account": [ACCOUNT_KEY]}))
            settings["account_key_field"] = ACCOUNT_KEY.name
        async with open_desk(clock=clock, **{"accounts": "create", **settings}) as desk:
            yield desk

    return linked


def person(number: int | str, company: object, *, key: bool = True, **fields: object) -> Operation:
    """A create of the n-th person, who works for a company."""
    values = {"Account.Name": company, **fields}
    return create(number, key=f"key-{number}" if key else None, **values)


def accounts(org: SalesforceOrg) -> dict[str, list[str]]:
    """The last names of each account's contacts, by the account's name (and id, if there are several of it)."""
    rows = org.records("Account")
    contacts = org.records("Contact")
    return {
        row["Name"]: sorted(each["LastName"] for each in contacts if each.get("AccountId") == row["Id"]) for row in rows
    }
