"""An org with contacts, and who they are."""

from __future__ import annotations

from typing import Any

from crmsync.models.records import ChangePage, Record
from crmsync.testing.record_subject import read_pass
from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.writing.conftest import Desk

FIELDS = ("LastName", "Email")


def filled(count: int, *, page_records: int = 50_000) -> dict[str, Any]:
    """An org with so many contacts, and its clock."""
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now)
    for number in range(count):
        org.create("Contact", {"LastName": f"Last {number}", "Email": f"p{number}@example.com"})
    org.bulk.set_options(page_records=page_records)
    clock.tick(3600)
    return {"org": org, "clock": clock, "first_read": "bulk"}


def names(records: list[Record]) -> list[str]:
    """Last names, in order."""
    return sorted(str(record.fields["LastName"]) for record in records)


def everybody(count: int) -> list[str]:
    """The last names of so many."""
    return sorted(f"Last {number}" for number in range(count))


async def rest_of(desk: Desk, page: ChangePage, limit: int | None = None) -> list[Record]:
    """All that follows a page of a pass."""
    return (await read_pass(desk.store, page.cursor, FIELDS, limit)).records
