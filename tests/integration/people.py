"""People here, and the contacts and leads of an emulated org that they are linked to."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from crmsync.models.runs import RunOptions
from crmsync.service import CRMSync
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import RunningEmulator
from tests.integration.emulated import connected

ADA = {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace"}
OBJECTS = {"003": "Contact", "00Q": "Lead"}


async def crm_ids(app: CRMSync, object_name: str, *local_ids: str) -> list[str | None]:
    """The CRM ids that these local records are linked to."""
    links = await app.repository.links_by_local("main", object_name, list(local_ids))
    return [links[local_id].crm_id for local_id in local_ids]


def subscribers(*people: Mapping[str, object]) -> tuple[MemoryRecordStore, list[str]]:
    """A store of these people, and their ids in it."""
    store = MemoryRecordStore("subscribers")
    return store, [store.add(person) for person in people]


def people(emulator: RunningEmulator, **settings: Any) -> AbstractAsyncContextManager[CRMSync]:
    """An installation whose people are contacts, and leads until then."""
    return connected(emulator, people="lead_then_contact", **settings)


async def in_step(app: CRMSync, local: MemoryRecordStore, options: RunOptions) -> bool:
    """Whether, after a run that may settle what came last, there is nothing to do."""
    await app.sync("main", "Person", local, options=options)
    report = await app.sync("main", "Person", local, options=options)
    return report.written == 0 and not report.problems
