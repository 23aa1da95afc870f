"""People of Salesforce who are merged, converted and on both sides, through the engine and over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from crmsync.models.runs import RunOptions
from crmsync.models.state import LinkStatus
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, RunningEmulator, SalesforceOrg, running_emulator

pytestmark = pytest.mark.anyio


@pytest.fixture
def emulator() -> Iterator[RunningEmulator]:
    with running_emulator() as running:
        yield running


@pytest.fixture
def org(emulator: RunningEmulator) -> SalesforceOrg:
    org: SalesforceOrg = emulator.org
    return org


@asynccontextmanager
async def connected(emulator: RunningEmulator, **settings: Any) -> AsyncIterator[CRMSync]:
    given = {"instance_url": emulator.url, "allow_insecure_loopback": True, "safety_seconds": 0, **settings}
    async with CRMSync.open("memory://", vault=Vault.from_key(Vault.generate_key())) as app:
        credentials = {"access_token": SecretStr(DEFAULT_TOKEN)}
        await app.add_integration("main", provider="salesforce", settings=given, credentials=credentials)
        yield app


async def crm_ids(app: CRMSync, object_name: str, *local_ids: str) -> list[str | None]:
    """The CRM ids that these local records are linked to."""
    links = await app.repository.links_by_local("main", object_name, list(local_ids))
    return [links[local_id].crm_id for local_id in local_ids]


def subscribers(*people: dict[str, object]) -> tuple[MemoryRecordStore, list[str]]:
    store = MemoryRecordStore("subscribers")
    return store, [store.add(person) for person in people]


@pytest.mark.parametrize("page_size", [None, 1])
async def test_a_contact_merged_into_a_new_one_keeps_its_link(
    emulator: RunningEmulator, org: SalesforceOrg, page_size: int | None
) -> None:
    local, [ada] = subscribers({"email": "ada@example.com", "last_name": "Lovelace"})
    options = RunOptions(page_size=page_size)
    async with connected(emulator) as app:
        await app.sync("main", "Contact", local, options=options)
        [lost] = await crm_ids(app, "Contact", ada)
        kept = org.create("Contact", {"LastName": "King", "Email": "ada@king.example"})
        org.merge("Contact", kept, [str(lost)], {"Phone": "1"})
        await app.sync("main", "Contact", local, options=options)
        assert await crm_ids(app, "Contact", ada) == [kept]
        assert len(local.snapshot()) == 1
        assert (await app.sync("main", "Contact", local, options=options)).written == 0
    assert [row["Id"] for row in org.records("Contact")] == [kept]


@pytest.mark.parametrize("page_size", [None, 1])
async def test_a_person_who_was_deleted_here_and_merged_there_stays_deleted(
    emulator: RunningEmulator, org: SalesforceOrg, page_size: int | None
) -> None:
    """The survivor, read before the loser's tombstone and taken for a new person, would bring the deleted one back."""
    local, [ada] = subscribers({"email": "ada@example.com", "last_name": "Lovelace"})
    options = RunOptions(page_size=page_size)
    async with connected(emulator) as app:
        await app.sync("main", "Contact", local, options=options)
        [lost] = await crm_ids(app, "Contact", ada)
        kept = org.create("Contact", {"LastName": "King", "Email": "ada@king.example"})
        org.advance(60)
        org.merge("Contact", kept, [str(lost)])
        local.remove(ada)
        for _ in range(2):
            await app.sync("main", "Contact", local, options=options)
    assert local.snapshot() == {}


async def test_of_two_linked_contacts_that_are_merged_one_local_record_is_set_aside(
    emulator: RunningEmulator, org: SalesforceOrg
) -> None:
    local, [ada, ida] = subscribers(
        {"email": "ada@example.com", "last_name": "Lovelace"}, {"email": "ida@example.com", "last_name": "Lovelace"}
    )
    async with connected(emulator) as app:
        await app.sync("main", "Contact", local)
        kept, lost = await crm_ids(app, "Contact", ada, ida)
        org.merge("Contact", str(kept), [str(lost)])
        report = await app.sync("main", "Contact", local)
        assert [problem.code for problem in report.problems] == ["merged"]
        links = await app.repository.links_by_local("main", "Contact", [ada, ida])
        assert [links[one].status for one in (ada, ida)] == [LinkStatus.SYNCED, LinkStatus.UNLINKED]
        assert (await app.sync("main", "Contact", local)).written == 0
    assert len(local.snapshot()) == 2
    assert len(org.records("Contact")) == 1
