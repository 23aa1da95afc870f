"""What the memory provider promises beyond the contract of providers."""

from __future__ import annotations

import datetime as dt

import pytest

from crmsync.models.campaigns import CRMCampaign, EmailActivity, EmailActivityType, EmailStats
from crmsync.models.contacts import CRMContact, CRMList
from crmsync.models.records import Operation, OperationKind, OutcomeStatus
from crmsync.models.results import CRMFeature, SyncAction
from crmsync.testing.memory import MemoryCRM, MemoryProvider, MemoryProviderFactory, forget_crm, shared_crm
from crmsync.testing.provider import ProviderContract

pytestmark = pytest.mark.anyio


async def test_connections_of_one_name_see_one_crm_until_it_is_forgotten() -> None:
    context = ProviderContract().context()
    settings = {"name": "unit tests", "external_key": False}
    async with MemoryProviderFactory().open(settings, {}, context) as one:
        await one.sync_contact(CRMContact(email="ada@example.com"))
    async with MemoryProviderFactory().open(settings, {}, context) as other:
        assert await other.get_contact("ada@example.com") is not None
        assert not other.supports_feature(CRMFeature.EXTERNAL_KEY)
        assert (await other.test_connection()).warnings
    forget_crm("unit tests")
    with pytest.raises(KeyError):
        shared_crm("unit tests")


async def test_a_campaign_keeps_what_was_not_given_and_stores_its_counts() -> None:
    provider = MemoryProvider(MemoryCRM())
    made = await provider.sync_campaign(CRMCampaign(name="Spring", status="Planned", start_date=dt.date(2026, 3, 1)))
    await provider.sync_campaign(CRMCampaign(id=made.crm_id, name="Spring 26", email_stats=EmailStats(sent=5)))
    unknown = CRMCampaign(id=made.crm_id, name="Spring 26", member_count=None, email_stats=EmailStats(sent=None))
    assert (await provider.sync_campaign(unknown)).action is SyncAction.UNCHANGED
    [fields] = provider.crm.objects["Campaign"].snapshot().values()
    assert fields == {"Name": "Spring 26", "Status": "Planned", "StartDate": dt.date(2026, 3, 1), "Sent": 5}


async def test_of_two_campaigns_with_a_name_none_is_picked() -> None:
    provider = MemoryProvider(MemoryCRM())
    for _ in range(2):
        provider.crm.objects["Campaign"].add(Name="Twin")
    assert (await provider.sync_campaign(CRMCampaign(name="Twin"))).code == "ambiguous"


async def test_an_event_of_a_campaign_that_is_not_there_is_not_recorded() -> None:
    provider = MemoryProvider(MemoryCRM())
    await provider.sync_contact(CRMContact(email="ada@example.com"))
    campaign = await provider.sync_campaign(CRMCampaign(name="Spring"))
    event = EmailActivity(
        type=EmailActivityType.CLICKED,
        email="ada@example.com",
        occurred_at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
        campaign_id="nowhere",
    )
    assert (await provider.log_email_activity(event)).code == "not_found"
    known = event.model_copy(update={"campaign_id": campaign.crm_id})
    assert (await provider.log_email_activity(known)).action is SyncAction.CREATED
    assert list(provider.crm.activities) == [known]


async def test_members_that_an_ambiguous_email_could_mean_stay() -> None:
    provider = MemoryProvider(MemoryCRM())
    await provider.sync_contact(CRMContact(email="twin@example.com"))
    await provider.sync_list_membership(CRMList(name="News", member_emails=("twin@example.com",)))
    [news] = provider.crm.lists.values()
    before = set(news.members)
    provider.crm.objects["Contact"].add(Email="TWIN@example.com")
    bulk = await provider.sync_list_membership(CRMList(id=news.id, name="News", member_emails=("twin@example.com",)))
    assert [result.code for result in bulk.results] == ["ambiguous"]
    assert news.members == before


async def test_a_list_id_that_is_not_there_fails_every_member_and_makes_no_list() -> None:
    provider = MemoryProvider(MemoryCRM())
    await provider.sync_contact(CRMContact(email="ada@example.com"))
    bulk = await provider.sync_list_membership(CRMList(id="nope", name="News", member_emails=("ada@example.com",)))
    assert [result.code for result in bulk.results] == ["not_found"]
    assert provider.crm.lists == {}


async def test_events_are_an_object_whose_records_are_logged_once() -> None:
    provider = MemoryProvider(MemoryCRM())
    await provider.sync_contact(CRMContact(email="ada@example.com"))
    store = await provider.records("EmailActivity")
    fields = {"type": "sent", "email": "ada@example.com", "occurred_at": dt.datetime(2026, 3, 1, tzinfo=dt.UTC)}
    for expected in (OutcomeStatus.CREATED, OutcomeStatus.UPDATED):
        [outcome] = await store.write([Operation("op", OperationKind.CREATE, None, key="e-1", fields=fields)])
        assert (outcome.status, outcome.id) == (expected, "e-1")
    assert len(provider.crm.activities) == 1
