"""Statuses of campaign members that Salesforce replaces."""

from __future__ import annotations

import pytest

from crmsync.models.records import Operation, OperationKind, OutcomeStatus
from tests.unit.providers.salesforce.writing.conftest import OpenDesk, open_desk

__all__ = ["open_desk"]

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status, stored", [("Nonsense", "Sent"), ("responded ", "Responded"), (None, "Sent")])
async def test_a_status_that_the_campaign_lacks_is_told_as_not_written(
    status: str | None, stored: str, open_desk: OpenDesk
) -> None:
    """Salesforce takes the campaign's default in its place, and does not say so."""
    async with open_desk(object_name="CampaignMember") as desk:
        person = desk.org.create("Contact", {"LastName": "Ada"})
        member = {"CampaignId": desk.org.create("Campaign", {"Name": "Spring"}), "ContactId": person, "Status": status}
        [made] = await desk.store.write([Operation("made", OperationKind.CREATE, None, fields=member)])
        again = Operation("again", OperationKind.UPDATE, made.id, fields={"Status": status})
        [changed] = await desk.store.write([again])
        assert (made.status, changed.status) == (OutcomeStatus.CREATED, OutcomeStatus.UPDATED)
        assert desk.org.records("CampaignMember")[0]["Status"] == stored
        for outcome in (made, changed):
            told = [(error.code, error.field) for error in outcome.unwritten]
            assert told == ([("unknown_status", "Status")] if status == "Nonsense" else [])
