"""Campaigns, and lists as their members."""

from __future__ import annotations

import json
from datetime import date

import pytest

from crmsync.models.campaigns import CRMCampaign, EmailStats
from crmsync.models.contacts import CRMList
from crmsync.models.results import SyncAction
from crmsync.testing.salesforce import API_USER_ID, Profile, custom_field
from tests.unit.providers.salesforce.objects.conftest import Connect, Connection

pytestmark = pytest.mark.anyio

CREATED, UPDATED, UNCHANGED, FAILED = SyncAction.CREATED, SyncAction.UPDATED, SyncAction.UNCHANGED, SyncAction.FAILED


async def test_a_campaign_is_written_and_read_back(connect: Connect) -> None:
    async with connect() as it:
        wanted = CRMCampaign(name="Spring", status="Planned", start_date=date(2026, 3, 1), end_date=date(2026, 4, 1))
        made = await it.provider.sync_campaign(wanted)
        assert made.crm_id is not None
        it.org.create("CampaignMember", {"CampaignId": made.crm_id, "ContactId": it.contact(1)})
        it.org.create("CampaignMember", {"CampaignId": made.crm_id, "LeadId": it.lead(2)})
        got = await it.provider.get_campaign(made.crm_id)
        unknown = EmailStats(**dict.fromkeys(EmailStats.model_fields)).model_copy(update={"sent": 0})
        assert got == wanted.model_copy(update={"id": made.crm_id, "member_count": 2, "email_stats": unknown})


async def test_a_count_without_a_field_that_is_hidden_or_was_never_made_is_unknown(connect: Connect) -> None:
    fields = [custom_field(f"MarkMail_{name}__c", name, "double") for name in ("Opened", "Clicked", "Bounced")]
    async with connect(org={"custom_fields": {"Campaign": fields}}) as it:
        hidden = frozenset({"Campaign.MarkMail_Opened__c", "Campaign.NumberOfLeads"})
        it.org.set_profile(API_USER_ID, Profile(hidden=hidden, read_only=frozenset({"Campaign.MarkMail_Bounced__c"})))
        values = {"MarkMail_Opened__c": 4, "MarkMail_Bounced__c": 2}
        made = it.org.create("Campaign", {"Name": "Spring", **values})
        got = await it.provider.get_campaign(made)
        assert got is not None
        assert got.member_count is None
        stats = got.email_stats
        assert (stats.sent, stats.opened, stats.clicked, stats.bounced, stats.delivered) == (0, None, None, 2, None)
        assert (stats.open_rate, stats.click_rate) == (None, None)
        again = await it.provider.sync_campaign(got)
        assert (again.action, again.warnings) == (
            UNCHANGED,
            ("Campaign has no field that this user may write for: bounced",),
        )


async def test_statistics_go_into_the_fields_that_the_org_has(connect: Connect) -> None:
    fields = [custom_field("MarkMail_Opened__c", "Opened", "double")]
    async with connect(org={"custom_fields": {"Campaign": fields}}) as it:
        wanted = CRMCampaign(name="Spring", email_stats=EmailStats(sent=10, opened=4, clicked=1))
        made = await it.provider.sync_campaign(wanted)
        again = await it.provider.sync_campaign(wanted)
        later = await it.provider.sync_campaign(CRMCampaign(name="Spring", email_stats=EmailStats(opened=5)))
        [row] = it.org.records("Campaign")
        assert (row["NumberSent"], row["MarkMail_Opened__c"]) == (10, 5)
        assert [each.action for each in (made, again, later)] == [CREATED, UNCHANGED, UPDATED]
        assert made.warnings == again.warnings == ("Campaign has no field that this user may write for: clicked",)
        assert later.warnings == ()
        got = await it.provider.get_campaign(made.crm_id or "")
        assert got is not None
        assert (got.email_stats.sent, got.email_stats.opened) == (10, 5)


async def test_the_fields_of_statistics_may_begin_otherwise(connect: Connect) -> None:
    fields = [custom_field(name, "Opened", "double") for name in ("MarkMail_Opened__c", "Mailing_Opened__c")]
    async with connect(org={"custom_fields": {"Campaign": fields}}, campaigns={"field_prefix": "Mailing_"}) as it:
        await it.provider.sync_campaign(CRMCampaign(name="Spring", email_stats=EmailStats(opened=4)))
        [row] = it.org.records("Campaign")
        assert (row["Mailing_Opened__c"], row.get("MarkMail_Opened__c")) == (4, None)


async def test_an_exact_name_goes_before_one_in_another_case(connect: Connect) -> None:
    async with connect() as it:
        ids = [it.org.create("Campaign", {"Name": name}) for name in ("spring", "Spring")]
        exact = await it.provider.sync_campaign(CRMCampaign(name="Spring", status="Planned"))
        assert (exact.action, exact.crm_id) == (UNCHANGED, ids[1])
        neither = await it.provider.sync_campaign(CRMCampaign(name="SPRING"))
        assert (neither.action, neither.code) == (FAILED, "ambiguous")


async def test_an_id_that_is_none_of_salesforce_is_an_external_id(connect: Connect) -> None:
    field = custom_field("MarkMail_Id__c", "MarkMail Id", length=64, external_id=True, unique=True, id_lookup=True)
    async with connect(org={"custom_fields": {"Campaign": [field]}}) as it:
        made = it.org.create("Campaign", {"Name": "Spring", "MarkMail_Id__c": "c-1"})
        result = await it.provider.sync_campaign(CRMCampaign(id="c-1", name="Summer"))
        unknown = await it.provider.sync_campaign(CRMCampaign(id="c-2", name="Summer"))
        assert (result.action, result.crm_id) == (UPDATED, made)
        assert (unknown.action, unknown.code) == (FAILED, "not_found")


async def test_case_28_a_campaign_whose_creation_nobody_answered_is_made_once(connect: Connect) -> None:
    async with connect() as it:
        it.org.faults.drop_next(method="POST", path="/composite/sobjects", after_commit=True)
        result = await it.provider.sync_campaign(CRMCampaign(name="Spring"))
        assert result.action is CREATED
        assert len(it.org.records("Campaign")) == 1


def members(it: Connection) -> list[tuple[str, str]]:
    return sorted((row["Email"], row["Status"]) for row in it.org.records("CampaignMember"))


async def test_contacts_go_before_leads_and_nobody_is_guessed(connect: Connect) -> None:
    async with connect() as it:
        both = it.contact(1)
        it.lead(1)
        lead = it.lead(2)
        for _ in range(2):
            it.contact(3)
        emails = tuple(f"{name}@example.com" for name in ("P1", "p2", "p3", "p4"))
        bulk = await it.provider.sync_list_membership(CRMList(name="News", member_emails=emails))
        assert [result.crm_id for result in bulk.results] == [both, lead, None, None]
        assert [result.code for result in bulk.results] == [None, None, "ambiguous", "not_found"]
        assert bulk.results[3].error == "no contact and no lead has this e-mail"
        assert members(it) == [("p1@example.com", "Sent"), ("p2@example.com", "Sent")]


async def test_thousands_of_members_are_a_few_calls(connect: Connect) -> None:
    async with connect() as it:
        with it.org.transaction():
            for number in range(1200):
                it.contact(number)
        emails = tuple(f"p{number}@example.com" for number in range(1200))
        it.org.reset_counters()
        bulk = await it.provider.sync_list_membership(CRMList(name="News", member_emails=emails))
        assert [result.action for result in bulk.results] == [CREATED] * 1200
        # Describes, the campaign, the people, the members, 6 collections, and what was stored read back.
        assert it.org.api_calls <= 24
        it.org.reset_counters()
        again = await it.provider.sync_list_membership(CRMList(name="News", member_emails=emails))
        assert [result.action for result in again.results] == [UNCHANGED] * 1200
        assert it.org.api_calls <= 8


async def test_new_members_get_the_status_of_the_settings_and_others_keep_theirs(connect: Connect) -> None:
    async with connect(campaigns={"member_status": "Responded"}) as it:
        campaign = it.org.create("Campaign", {"Name": "News"})
        it.org.create("CampaignMember", {"CampaignId": campaign, "ContactId": it.contact(1), "Status": "Sent"})
        it.contact(2)
        emails = ("p1@example.com", "p2@example.com")
        await it.provider.sync_list_membership(CRMList(name="News", member_emails=emails))
        assert members(it) == [("p1@example.com", "Sent"), ("p2@example.com", "Responded")]


async def test_a_status_that_the_campaign_lacks_is_not_replaced_silently(connect: Connect) -> None:
    async with connect(campaigns={"member_status": "Invited"}) as it:
        it.contact(1)
        bulk = await it.provider.sync_list_membership(CRMList(name="News", member_emails=("p1@example.com",)))
        assert [result.code for result in bulk.results] == ["unknown_status"]
        assert members(it) == []


async def test_a_status_that_the_campaign_lacks_is_made_where_the_settings_say_so(connect: Connect) -> None:
    async with connect(campaigns={"member_status": "Invited", "create_member_statuses": True}) as it:
        it.contact(1)
        for _ in range(2):
            bulk = await it.provider.sync_list_membership(CRMList(name="News", member_emails=("p1@example.com",)))
            assert all(result.success for result in bulk.results)
        assert members(it) == [("p1@example.com", "Invited")]
        labels = [row["Label"] for row in it.org.records("CampaignMemberStatus")]
        assert labels == ["Sent", "Responded", "Invited"]


async def test_removing_others_spares_whom_an_unclear_address_means(connect: Connect) -> None:
    async with connect() as it:
        campaign = it.org.create("Campaign", {"Name": "News"})
        people = [it.contact(number) for number in (1, 2, 3, 3)]
        for person in people:
            it.org.create("CampaignMember", {"CampaignId": campaign, "ContactId": person})
        wanted = CRMList(id=campaign, name="News", member_emails=("p1@example.com", "p3@example.com"))
        bulk = await it.provider.sync_list_membership(wanted, remove_others=True)
        assert [result.code for result in bulk.results] == [None, "ambiguous"]
        assert bulk.warnings == ()
        assert [email for email, _ in members(it)] == ["p1@example.com", "p3@example.com", "p3@example.com"]


async def test_a_member_that_somebody_added_meanwhile_is_no_failure(connect: Connect) -> None:
    async with connect() as it:
        campaign, person = it.org.create("Campaign", {"Name": "News"}), it.contact(1)

        def add_first() -> None:
            it.org.create("CampaignMember", {"CampaignId": campaign, "ContactId": person})

        it.sent.before("POST", "/composite/sobjects", add_first)
        bulk = await it.provider.sync_list_membership(CRMList(name="News", member_emails=("p1@example.com",)))
        assert [result.action for result in bulk.results] == [UNCHANGED]
        assert len(it.org.records("CampaignMember")) == 1


async def test_the_members_are_sent_as_collections(connect: Connect) -> None:
    async with connect() as it:
        it.contact(1)
        await it.provider.sync_list_membership(CRMList(name="News", member_emails=("p1@example.com",)))
        posts = [
            json.loads(call.body) for call in it.sent.of("POST", "/composite/sobjects") if "records" in str(call.body)
        ]
        kinds = [body["records"][0]["attributes"]["type"] for body in posts]
        assert kinds == ["Campaign", "CampaignMember"]
