"""Statuses of campaign members that Salesforce would replace."""

from __future__ import annotations

import pytest

from crmsync.errors import RecordError
from crmsync.models.calls import StoreUse, StoreVerb
from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.testing.salesforce import API_USER_ID, Profile
from tests.unit.providers.salesforce.writing.conftest import Desk, OpenDesk, open_desk, update

__all__ = ["open_desk"]

pytestmark = pytest.mark.anyio

TOLD = [("unknown_status", "Status")]


def told(outcome: Outcome) -> list[tuple[str | None, str | None]]:
    errors = [*([outcome.error] if isinstance(outcome.error, RecordError) else ()), *outcome.unwritten]
    return [(error.code, error.field) for error in errors]


def joining(desk: Desk, status: str | None, campaign: str | None = None) -> Operation:
    """The create of a new person's membership."""
    person = desk.org.create("Contact", {"LastName": "Ada"})
    campaign = campaign or desk.org.create("Campaign", {"Name": "Spring"})
    member = {"CampaignId": campaign, "ContactId": person, "Status": status}
    return Operation(person, OperationKind.CREATE, None, fields=member)


def sent(desk: Desk) -> list[bytes]:
    return [call.body for method in ("POST", "PATCH") for call in desk.sent.of(method, "/composite/sobjects")]


@pytest.mark.parametrize("read_back", [True, False])
@pytest.mark.parametrize("status, stored", [("Nonsense", "Sent"), ("responded ", "Responded"), (None, "Sent")])
async def test_a_status_that_the_campaign_lacks_is_told_and_not_sent(
    status: str | None, stored: str, read_back: bool, open_desk: OpenDesk
) -> None:
    """Salesforce would take the campaign's default in its place, and not say so."""
    async with open_desk(object_name="CampaignMember", read_back=read_back) as desk:
        [made] = await desk.store.write([joining(desk, status)])
        assert made.status is OutcomeStatus.CREATED
        [held] = desk.org.records("CampaignMember")
        assert held["Status"] == stored
        assert told(made) == (TOLD if status == "Nonsense" else [])
        assert not any(b"Nonsense" in body for body in sent(desk))


@pytest.mark.parametrize("channel", ["collections", "bulk"])
async def test_a_member_keeps_the_status_it_has_where_the_new_one_is_unknown(channel: str, open_desk: OpenDesk) -> None:
    """Its default would take the place of a response; what else is written is written."""
    async with open_desk(object_name="CampaignMember", read_back=False, channel=channel) as desk:
        [one, other] = await desk.store.write([joining(desk, "Responded"), joining(desk, "Responded")])
        assert one.id
        assert other.id
        outcomes = await desk.store.write([update(one.id, Status="Nonsense"), update(other.id, Status="sent")])
        assert [(outcome.status, told(outcome)) for outcome in outcomes] == [
            (OutcomeStatus.FAILED, TOLD),
            (OutcomeStatus.UPDATED, []),
        ]
        assert [row["Status"] for row in desk.org.records("CampaignMember")] == ["Responded", "Sent"]


async def test_a_status_that_is_added_is_taken_at_the_next_write(open_desk: OpenDesk) -> None:
    async with open_desk(object_name="CampaignMember") as desk:
        campaign = desk.org.create("Campaign", {"Name": "Spring"})
        [before] = await desk.store.write([joining(desk, "Opened", campaign)])
        desk.org.create("CampaignMemberStatus", {"CampaignId": campaign, "Label": "Opened"})
        [after] = await desk.store.write([joining(desk, "Opened", campaign)])
        assert (told(before), told(after)) == (TOLD, [])
        assert [row["Status"] for row in desk.org.records("CampaignMember")] == ["Sent", "Opened"]


async def test_a_status_that_is_taken_away_meanwhile_is_told_by_what_is_read_back(open_desk: OpenDesk) -> None:
    async with open_desk(object_name="CampaignMember") as desk:
        campaign = desk.org.create("Campaign", {"Name": "Spring"})
        opened = desk.org.create("CampaignMemberStatus", {"CampaignId": campaign, "Label": "Opened"})
        [first] = await desk.store.write([joining(desk, "Opened", campaign)])
        desk.org.delete("CampaignMember", str(first.id))
        desk.org.delete("CampaignMemberStatus", opened)
        [second] = await desk.store.write([joining(desk, "Opened", campaign)])
        assert (told(first), told(second)) == ([], TOLD)


async def test_hidden_statuses_leave_the_word_to_salesforce(open_desk: OpenDesk) -> None:
    async with open_desk(object_name="CampaignMember") as desk:
        desk.org.set_profile(API_USER_ID, Profile(objects={"CampaignMemberStatus": ""}))
        [made] = await desk.store.write([joining(desk, "Nonsense")])
        assert (made.status, told(made)) == (OutcomeStatus.CREATED, TOLD)


async def test_the_look_at_statuses_is_counted_in_advance(open_desk: OpenDesk) -> None:
    """Two calls for two thousand members, whose campaigns' statuses are known then."""
    async with open_desk(object_name="CampaignMember", read_back=False) as desk:
        campaign = desk.org.create("Campaign", {"Name": "Spring"})
        made = await desk.store.write([joining(desk, "Sent", campaign) for _ in range(400)])
        changes = [update(str(outcome.id), Status="Responded") for outcome in made]
        for _ in range(2):
            use = StoreUse(StoreVerb.WRITE, len(changes), ("Status",))
            told_before, bare = desk.store.estimate(use), desk.store.estimate(StoreUse(StoreVerb.WRITE, len(changes)))
            before = desk.org.api_calls
            await desk.store.write(changes)
            assert told_before.likely == bare.likely + 2
            assert desk.org.api_calls - before <= told_before.likely
