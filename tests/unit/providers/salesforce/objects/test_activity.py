"""E-mail events as tasks, e-mail messages and campaign responses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crmsync.errors import ConfigurationError
from crmsync.models.campaigns import EmailActivity, EmailActivityType
from crmsync.models.results import CRMFeature, SyncAction
from crmsync.testing.salesforce import custom_field
from tests.unit.providers.salesforce.objects.conftest import Connect

pytestmark = pytest.mark.anyio

CREATED, UPDATED, UNCHANGED, FAILED = SyncAction.CREATED, SyncAction.UPDATED, SyncAction.UNCHANGED, SyncAction.FAILED
SENT, OPENED, CLICKED = EmailActivityType.SENT, EmailActivityType.OPENED, EmailActivityType.CLICKED
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(kind: EmailActivityType, number: int = 1, *, minute: int = 0, **values: Any) -> EmailActivity:
    given = {"message_id": "m-1", "subject": "Hello", **values}
    moment = NOON + timedelta(minutes=minute)
    return EmailActivity(type=kind, email=f"p{number}@example.com", occurred_at=moment, **given)


async def test_a_message_is_one_completed_task_of_its_person_and_campaign(connect: Connect) -> None:
    async with connect() as it:
        person, campaign = it.contact(1), it.org.create("Campaign", {"Name": "Spring"})
        events = [event(SENT, campaign_id=campaign), event(OPENED, minute=1), event(CLICKED, minute=2, link="x")]
        bulk = await it.provider.log_email_activities(events)
        [task] = it.org.records("Task")
        assert [result.action for result in bulk.results] == [CREATED, UPDATED, UPDATED]
        assert {result.crm_id for result in bulk.results} == {task["Id"]}
        assert (task["WhoId"], task["WhatId"], task["Subject"]) == (person, campaign, "Email: Hello")
        assert (task["Status"], task["TaskSubtype"], task["ActivityDate"]) == ("Completed", "Email", "2026-03-01")
        assert task["Description"].splitlines() == [
            "E-mail sent: 1, last 2026-03-01T12:00:00+00:00",
            "E-mail opened: 1, last 2026-03-01T12:01:00+00:00",
            "E-mail clicked: 1, last 2026-03-01T12:02:00+00:00",
        ]


async def test_opens_are_counted_and_what_others_wrote_stays(connect: Connect) -> None:
    async with connect() as it:
        it.contact(1)
        await it.provider.log_email_activity(event(SENT))
        [task] = it.org.records("Task")
        it.org.update("Task", task["Id"], {"Description": task["Description"] + "\nCalled her."})
        opens = [event(OPENED, minute=minute) for minute in range(1000)]
        bulk = await it.provider.log_email_activities(opens)
        again = await it.provider.log_email_activities(opens)
        [task] = it.org.records("Task")
        assert {result.action for result in bulk.results} == {UPDATED}
        assert {result.action for result in again.results} == {UNCHANGED}
        assert "E-mail opened: 1000, last 2026-03-02T04:39:00+00:00" in task["Description"]
        assert task["Description"].endswith("Called her.")


async def test_thousands_of_events_are_a_few_calls(connect: Connect) -> None:
    async with connect() as it:
        with it.org.transaction():
            for number in range(600):
                it.contact(number)
        events = [event(kind, number) for number in range(600) for kind in (SENT, OPENED, OPENED, CLICKED)]
        it.org.reset_counters()
        bulk = await it.provider.log_email_activities(events)
        assert bulk.failed == 0
        assert len(it.org.records("Task")) == 600
        assert it.org.api_calls <= 22


async def test_a_field_of_the_orgs_own_is_used_for_recognition(connect: Connect) -> None:
    field = custom_field("MarkMail_Activity_Id__c", "Activity", external_id=True, unique=True, id_lookup=True)
    async with connect(org={"custom_fields": {"Task": [field]}}) as it:
        it.contact(1)
        results = [await it.provider.log_email_activity(event(SENT)) for _ in range(2)]
        [task] = it.org.records("Task")
        assert [result.action for result in results] == [CREATED, UNCHANGED]
        assert task["MarkMail_Activity_Id__c"].startswith("markmail:")
        assert task["CallObject"] is None


async def test_a_leads_task_stands_without_a_campaign_and_follows_its_conversion(connect: Connect) -> None:
    async with connect() as it:
        lead, campaign = it.lead(1), it.org.create("Campaign", {"Name": "Spring"})
        first = await it.provider.log_email_activity(event(SENT, campaign_id=campaign))
        [task] = it.org.records("Task")
        assert (task["WhoId"], task["WhatId"]) == (lead, None)
        it.org.convert_lead(lead)
        later = await it.provider.log_email_activity(event(OPENED, minute=5))
        assert (later.action, later.crm_id) == (UPDATED, first.crm_id)


async def test_case_28_a_task_whose_creation_nobody_answered_is_made_once(connect: Connect) -> None:
    async with connect() as it:
        it.contact(1)
        it.org.faults.drop_next(method="POST", path="/composite/sobjects", after_commit=True)
        assert (await it.provider.log_email_activity(event(SENT))).success
        assert len(it.org.records("Task")) == 1


@pytest.mark.parametrize("kind", [EmailActivityType.UNSUBSCRIBED, EmailActivityType.COMPLAINED])
async def test_case_27_an_unsubscribed_person_is_opted_out_once(connect: Connect, kind: EmailActivityType) -> None:
    async with connect() as it:
        contact, lead = it.contact(1), it.lead(2)
        bulk = await it.provider.log_email_activities([event(kind), event(kind, 2)])
        assert bulk.failed == 0
        people = [*it.org.records("Contact"), *it.org.records("Lead")]
        assert {row["Id"]: row["HasOptedOutOfEmail"] for row in people} == {contact: True, lead: True}
        # Whoever opts in again by hand is not opted out by an event that is known.
        it.org.update("Contact", contact, {"HasOptedOutOfEmail": False})
        await it.provider.log_email_activity(event(kind))
        assert [row["HasOptedOutOfEmail"] for row in it.org.records("Contact")] == [False]


async def test_case_27_an_opt_out_that_cannot_be_written_fails_and_the_rest_does_not(connect: Connect) -> None:
    async with connect(org={"hide_opt_out": True}) as it:
        it.contact(1)
        bulk = await it.provider.log_email_activities([event(OPENED), event(EmailActivityType.UNSUBSCRIBED)])
        again = await it.provider.log_email_activity(event(EmailActivityType.UNSUBSCRIBED))
        assert [result.code for result in bulk.results] == [None, "not_writable"]
        assert again.code == "not_writable"
        assert "HasOptedOutOfEmail" in str(again.error)


async def test_a_bounce_is_noted_on_the_person(connect: Connect) -> None:
    async with connect() as it:
        it.contact(1)
        await it.provider.log_email_activity(event(EmailActivityType.BOUNCED))
        [row] = it.org.records("Contact")
        assert row["EmailBouncedReason"]
        assert row["EmailBouncedDate"].startswith("2026-03-01T12:00:00")


async def test_as_e_mail_messages_each_has_its_one_task(connect: Connect) -> None:
    async with connect(activity="email_message") as it:
        person, campaign = it.contact(1), it.org.create("Campaign", {"Name": "Spring"})
        first = await it.provider.log_email_activity(event(SENT, campaign_id=campaign))
        later = await it.provider.log_email_activities([event(OPENED, minute=1), event(SENT, campaign_id=campaign)])
        [message], [task] = it.org.records("EmailMessage"), it.org.records("Task")
        assert (first.action, first.crm_id) == (CREATED, task["Id"])
        assert [result.action for result in later.results] == [UPDATED, UNCHANGED]
        assert (message["ActivityId"], message["RelatedToId"], message["Subject"]) == (task["Id"], campaign, "Hello")
        assert task["WhoId"] == person
        assert "E-mail opened: 1" in task["Description"]


async def test_case_28_an_e_mail_message_whose_creation_nobody_answered_is_made_once(connect: Connect) -> None:
    async with connect(activity="email_message") as it:
        it.contact(1)
        it.org.faults.drop_next(method="POST", path="/composite/sobjects", after_commit=True)
        lost = await it.provider.log_email_activity(event(SENT))
        again = await it.provider.log_email_activity(event(SENT))
        assert (lost.action, lost.retryable) == (FAILED, True)
        assert again.success
        assert (len(it.org.records("EmailMessage")), len(it.org.records("Task"))) == (1, 1)


async def test_as_campaign_members_whoever_opens_has_responded(connect: Connect) -> None:
    async with connect(activity="campaign_member") as it:
        campaign = it.org.create("Campaign", {"Name": "Spring"})
        it.contact(1)
        it.lead(2)
        events = [event(SENT, number, campaign_id=campaign) for number in (1, 2)]
        events += [event(OPENED, campaign_id=campaign), event(OPENED, 2, campaign_id=None)]
        bulk = await it.provider.log_email_activities(events)
        again = await it.provider.log_email_activities(events)
        assert [result.action for result in bulk.results] == [CREATED, CREATED, UNCHANGED, FAILED]
        assert [result.action for result in again.results] == [UNCHANGED, UNCHANGED, UNCHANGED, FAILED]
        assert bulk.results[3].code == "no_campaign"
        states = {row["Email"]: row["HasResponded"] for row in it.org.records("CampaignMember")}
        assert states == {"p1@example.com": True, "p2@example.com": False}
        assert it.org.records("Task") == []


async def test_activity_that_is_off_is_no_feature(connect: Connect) -> None:
    async with connect(activity="off") as it:
        assert not it.provider.supports_feature(CRMFeature.EMAIL_ACTIVITY)
        with pytest.raises(ConfigurationError, match="activity"):
            await it.provider.log_email_activity(event(SENT))
