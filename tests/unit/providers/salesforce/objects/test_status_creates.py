"""Statuses of campaign members that are made before the members are written."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from crmsync.errors import BudgetExceededError, RateLimitedError
from crmsync.models.calls import StoreUse, StoreVerb
from crmsync.models.records import OutcomeStatus
from crmsync.security.turns import SharedTurns
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.salesforce import API_USER_ID, Profile, SalesforceOrg, row_fault
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.objects.test_member_status import TOLD, joining, told
from tests.unit.providers.salesforce.writing.conftest import Desk, OpenDesk, open_desk, update

__all__ = ["open_desk"]

pytestmark = pytest.mark.anyio

MAKING = {"campaigns": {"create_member_statuses": True}}
STATUSES = "CampaignMemberStatus"


def labels(desk: Desk) -> list[str]:
    """What was added to the two statuses of each campaign."""
    found = [row["Label"] for row in desk.org.records(STATUSES)]
    return sorted(label for label in found if label not in ("Sent", "Responded"))


def held(desk: Desk) -> list[str]:
    return [row["Status"] for row in desk.org.records("CampaignMember")]


def creates(desk: Desk) -> list[dict[str, object]]:
    """The statuses that were sent."""
    bodies = [json.loads(call.body) for call in desk.sent.of("POST", "/composite/sobjects")]
    rows = [row for body in bodies for row in body.get("records", ())]
    return [row for row in rows if row["attributes"]["type"] == STATUSES]


def refusal(code: str) -> dict[str, Any]:
    """How a create is refused as a whole."""
    body = [{"errorCode": code, "message": "No"}]
    return {"status": 403, "body": body, "method": "POST", "path": "/composite/sobjects"}


async def test_a_missing_status_is_made_once_for_all_who_get_it(open_desk: OpenDesk) -> None:
    """Letter case and blanks do not count; it stands last and is no response, but for those that the settings name."""
    given = {"campaigns": {"create_member_statuses": True, "responded_statuses": ["clicked"]}}
    async with open_desk(object_name="CampaignMember", **given) as desk:
        spring, summer = (desk.org.create("Campaign", {"Name": name}) for name in ("Spring", "Summer"))
        wanted = [("Opened", spring), ("opened ", spring), ("Clicked", spring), ("Opened", summer), ("sent", summer)]
        outcomes = await desk.store.write([joining(desk, status, campaign) for status, campaign in wanted])
        assert [(outcome.status, outcome.unwritten) for outcome in outcomes] == [(OutcomeStatus.CREATED, ())] * 5
        assert held(desk) == ["Opened", "Opened", "Clicked", "Opened", "Sent"]
        assert labels(desk) == ["Clicked", "Opened", "Opened"]
        made = {(row["CampaignId"], row["Label"]): row for row in desk.org.records(STATUSES)}
        assert {row["SortOrder"] for (_, label), row in made.items() if label in ("Opened", "Clicked")} == {3, 4}
        assert made[spring, "Clicked"]["HasResponded"] is True
        assert (made[spring, "Opened"]["HasResponded"], made[spring, "Opened"]["IsDefault"]) == (False, False)
        again = await desk.store.write([joining(desk, "OPENED", spring)])
        assert told(again[0]) == []
        assert len(creates(desk)) == 3


@pytest.mark.parametrize("channel", ["collections", "bulk"])
async def test_a_member_gets_a_status_that_is_made_for_its_campaign(channel: str, open_desk: OpenDesk) -> None:
    async with open_desk(object_name="CampaignMember", channel=channel, **MAKING) as desk:
        [made] = await desk.store.write([joining(desk, "Responded")])
        [changed] = await desk.store.write([update(str(made.id), Status="Opened")])
        assert (changed.status, told(changed)) == (OutcomeStatus.UPDATED, [])
        assert held(desk) == ["Opened"]


async def test_two_connections_make_a_status_once(open_desk: OpenDesk) -> None:
    """They look and create one after the other."""
    turns = SharedTurns(MemoryRepository(), clock := FakeClock(), "main", locks={})
    org = SalesforceOrg(clock=clock.now)
    lent = {"org": org, "clock": clock, "lent": {"turns": turns}}
    async with (
        open_desk(object_name="CampaignMember", **lent, **MAKING) as one,
        open_desk(object_name="CampaignMember", **lent, **MAKING) as other,
    ):
        campaign = org.create("Campaign", {"Name": "Spring"})
        async with anyio.create_task_group() as group:
            for desk in (one, other, one, other):
                group.start_soon(desk.store.write, [joining(one, "Opened", campaign)])
        assert held(one) == ["Opened"] * 4
        assert labels(one) == ["Opened"]
        assert len(creates(one)) + len(creates(other)) == 1


async def test_a_place_in_the_order_that_somebody_takes_meanwhile_is_left_to_them(open_desk: OpenDesk) -> None:
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        campaign = desk.org.create("Campaign", {"Name": "Spring"})
        clash = row_fault(STATUSES, lambda row: row.get("SortOrder") == 3, "DUPLICATE_VALUE", "taken", times=1)
        desk.org.faults.reject(clash)
        [made] = await desk.store.write([joining(desk, "Opened", campaign)])
        assert told(made) == []
        assert (held(desk), labels(desk)) == (["Opened"], ["Opened"])


@pytest.mark.parametrize("after_commit", [True, False])
async def test_a_create_whose_answer_was_lost_is_told_by_what_the_campaign_has(
    after_commit: bool, open_desk: OpenDesk
) -> None:
    """It is sent once more only if the campaign still lacks the status."""
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        campaigns = [desk.org.create("Campaign", {"Name": name}) for name in ("Spring", "Summer")]
        desk.org.faults.drop_next(method="POST", path="/composite/sobjects", after_commit=after_commit)
        outcomes = await desk.store.write([joining(desk, "Opened", campaign) for campaign in campaigns])
        assert [told(outcome) for outcome in outcomes] == [[], []]
        assert (held(desk), labels(desk)) == (["Opened"] * 2, ["Opened"] * 2)
        assert len(creates(desk)) == (2 if after_commit else 4)


async def test_a_lost_create_is_not_sent_again_where_the_campaign_cannot_be_read(open_desk: OpenDesk) -> None:
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        operation = joining(desk, "Opened")
        desk.org.faults.drop_next(method="POST", path="/composite/sobjects")

        def afterwards(method: str, path: str) -> bool:
            return (method, bool(creates(desk))) == ("GET", True) and "/query" in path

        desk.org.faults.fail_next(1, **{**refusal("INSUFFICIENT_ACCESS"), "method": None, "path": afterwards})
        [made] = await desk.store.write([operation])
        assert (told(made), len(creates(desk))) == ([("answer_lost", "Status")], 1)


async def test_a_create_of_which_nobody_knows_is_the_members_reject_and_tried_by_the_next_write(
    open_desk: OpenDesk,
) -> None:
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        desk.org.faults.drop_next(2, method="POST", path="/composite/sobjects")
        [made] = await desk.store.write([joining(desk, "Opened")])
        assert (made.status, told(made)) == (OutcomeStatus.CREATED, [("answer_lost", "Status")])
        assert (held(desk), len(creates(desk))) == (["Sent"], 2)
        [changed] = await desk.store.write([update(str(made.id), Status="Opened")])
        assert (told(changed), held(desk)) == ([], ["Opened"])


async def test_who_may_not_make_statuses_learns_what_to_grant(open_desk: OpenDesk) -> None:
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        desk.org.set_profile(API_USER_ID, Profile(objects={STATUSES: "r"}))
        [made] = await desk.store.write([joining(desk, "Opened")])
        assert (told(made), held(desk), creates(desk)) == (TOLD, ["Sent"], [])
        assert "Marketing User" in made.unwritten[0].message


async def test_a_status_is_made_without_what_this_user_may_not_write(open_desk: OpenDesk) -> None:
    """Salesforce puts it at the end by itself."""
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        read_only = [f"{STATUSES}.{name}" for name in ("SortOrder", "HasResponded")]
        desk.org.set_profile(API_USER_ID, Profile(read_only=read_only))
        [made] = await desk.store.write([joining(desk, "Opened")])
        assert (told(made), held(desk)) == ([], ["Opened"])
        assert [row.keys() for row in creates(desk)] == [{"attributes", "CampaignId", "Label"}]


@pytest.mark.parametrize("code", ["FIELD_CUSTOM_VALIDATION_EXCEPTION", "STORAGE_LIMIT_EXCEEDED"])
async def test_a_refused_status_is_the_reject_of_its_members_and_not_sent_again(code: str, open_desk: OpenDesk) -> None:
    """The other statuses are made, and the members keep what they have."""
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        desk.org.faults.reject(row_fault(STATUSES, lambda row: row.get("Label") == "Opened", code, "No"))
        campaign = desk.org.create("Campaign", {"Name": "Spring"})
        wanted = [joining(desk, status, campaign) for status in ("Opened", "Clicked", "Opened")]
        first, second, third = await desk.store.write(wanted)
        assert [told(outcome) for outcome in (first, second, third)] == [[(code, "Status")], [], [(code, "Status")]]
        assert first.unwritten[0].message.startswith("the campaign's member status could not be created: ")
        [again] = await desk.store.write([update(str(first.id), Status="opened")])
        assert (again.status, told(again)) == (OutcomeStatus.FAILED, [(code, "Status")])
        assert sorted(str(row["Label"]) for row in creates(desk)) == ["Clicked", "Opened"]
        assert sorted(held(desk)) == ["Clicked", "Sent", "Sent"]


async def test_a_status_that_is_too_long_for_a_member_is_not_made(open_desk: OpenDesk) -> None:
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        [made] = await desk.store.write([joining(desk, "o" * 41)])
        assert (told(made), creates(desk)) == (TOLD, [])
        assert "40 characters" in made.unwritten[0].message


async def test_members_wait_for_an_org_that_does_not_answer(open_desk: OpenDesk) -> None:
    """Nothing was written, so the whole batch may be sent again."""
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        operation = joining(desk, "Opened")
        desk.org.faults.fail_next(20, **refusal("REQUEST_LIMIT_EXCEEDED"))
        with pytest.raises(RateLimitedError):
            await desk.store.write([operation])
        assert held(desk) == []


async def test_a_status_is_made_within_the_budget_or_not_at_all(open_desk: OpenDesk) -> None:
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        operation = joining(desk, "Opened")
        # What the campaign has, twice, and a describe.
        desk.budget.limit = desk.budget.used + 3
        with pytest.raises(BudgetExceededError):
            await desk.store.write([operation])
        assert (held(desk), labels(desk)) == ([], [])
        desk.budget.limit = None
        await desk.store.write([operation])
        assert (held(desk), labels(desk)) == (["Opened"], ["Opened"])


async def test_a_call_that_is_refused_as_a_whole_is_the_members_reject(open_desk: OpenDesk) -> None:
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        operation = joining(desk, "Opened")
        desk.org.faults.fail_next(1, **refusal("INSUFFICIENT_ACCESS"))
        [made] = await desk.store.write([operation])
        assert (made.status, told(made)) == (OutcomeStatus.CREATED, [("access_denied", "Status")])


async def test_the_calls_of_making_statuses_are_bounded_in_advance(open_desk: OpenDesk) -> None:
    async with open_desk(object_name="CampaignMember", **MAKING) as desk:
        operations = [joining(desk, f"Status {number}") for number in range(30)]
        bound = desk.store.estimate(StoreUse(StoreVerb.WRITE, len(operations), ("Status",)))
        before = desk.org.api_calls
        await desk.store.write(operations)
        # One create for the thirty statuses of thirty campaigns.
        assert (
            len([call for call in desk.sent.of("POST", "/composite/sobjects") if STATUSES.encode() in call.body]) == 1
        )
        assert desk.org.api_calls - before <= bound.most
        assert len(labels(desk)) == 30
