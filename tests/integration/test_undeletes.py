"""Contacts that are deleted in Salesforce and brought back from its recycle bin, through the engine and over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crmsync.models.state import LinkStatus
from crmsync.testing.salesforce import API_USER_ID, Profile, RunningEmulator, SalesforceOrg
from tests.integration.emulated import connected
from tests.integration.people import crm_ids, subscribers

pytestmark = pytest.mark.anyio

KEY = "Contact.MarkMail_Id__c"
PEOPLE = [{"email": f"{name}@example.com", "last_name": name, "phone": "1"} for name in ("ada", "bea", "cleo", "dora")]


@pytest.mark.parametrize("hidden", [[], [KEY]], ids=["key field shown", "key field hidden"])
@pytest.mark.parametrize("between", [True, False], ids=["a run between", "no run between"])
async def test_an_undelete_overwrites_no_edit_however_near(
    emulator: RunningEmulator, org: SalesforceOrg, hidden: list[str], between: bool
) -> None:
    """Edits long before the undelete, right before it, 1.1 s after it, and long after it; nobody edits the contacts."""
    org.set_profile(API_USER_ID, Profile(hidden=frozenset(hidden)))
    local, people = subscribers(*PEOPLE)
    async with connected(emulator) as app:
        await app.sync("main", "Contact", local)
        contacts = [str(each) for each in await crm_ids(app, "Contact", *people)]
        for contact in contacts:
            org.delete("Contact", contact)
        if between:
            await app.sync("main", "Contact", local)
            links = await app.repository.links_by_local("main", "Contact", people)
            assert {link.status for link in links.values()} == {LinkStatus.DELETED}
        org.advance(60)
        for contact in contacts:
            org.undelete("Contact", contact)
        for one, seconds in zip(people, (-50, -0.5, 1.1, 50), strict=True):
            local.edit(one, last_name="King", modified_at=org.now() + timedelta(seconds=seconds))
        org.advance(60)
        await app.sync("main", "Contact", local)
        assert [held["last_name"] for held in local.snapshot().values()] == ["King"] * 4
        assert [row["LastName"] for row in org.records("Contact")] == ["King"] * 4
        assert (await app.sync("main", "Contact", local)).written == 0
        assert await crm_ids(app, "Contact", *people) == contacts
        assert not await app.repository.list_conflicts("main", "Contact")


async def test_what_is_edited_in_salesforce_after_an_undelete_stands_beside_what_was_edited_here(
    emulator: RunningEmulator, org: SalesforceOrg
) -> None:
    local, [ada] = subscribers(PEOPLE[0])
    async with connected(emulator) as app:
        await app.sync("main", "Contact", local)
        [contact] = await crm_ids(app, "Contact", ada)
        org.delete("Contact", str(contact))
        await app.sync("main", "Contact", local)
        local.edit(ada, last_name="King")
        org.undelete("Contact", str(contact))
        org.update("Contact", str(contact), {"Phone": None})
        await app.sync("main", "Contact", local)
        [row] = org.records("Contact")
        held = local.snapshot()[ada]
        assert (row["LastName"], row["Phone"]) == (held["last_name"], held["phone"]) == ("King", None)
