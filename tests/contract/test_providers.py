"""Every provider of ours against the one contract, and providers that break it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from pydantic import SecretStr

from crmsync.errors import ConfigurationError, UnavailableError
from crmsync.models.campaigns import CRMCampaign, EmailActivity
from crmsync.models.contacts import CRMContact, CRMList
from crmsync.models.mappings import FieldMapping, ObjectMapping
from crmsync.models.results import BulkSyncResult, ConnectionReport, CRMFeature, CRMSyncResult, SyncAction
from crmsync.protocols.provider import CRMProvider
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.testing.memory import MemoryCRM, MemoryProvider, MemoryProviderFactory, forget_crm, shared_crm
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.provider import MISFIT, ProviderContract
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport

pytestmark = pytest.mark.anyio

SHARED = "tests of providers"


class MemoryContract(ProviderContract):
    def misfit(self, number: int) -> CRMContact:
        return self.contact(number, custom_fields={"Score__c": MISFIT})


class TestMemory(MemoryContract):
    @asynccontextmanager
    async def open(self) -> AsyncIterator[CRMProvider]:
        forget_crm(SHARED)
        async with MemoryProviderFactory().open({"name": SHARED}, {}, self.context()) as provider:
            yield provider
        forget_crm(SHARED)


class TestMemoryWithoutKeys(MemoryContract):
    @asynccontextmanager
    async def open(self) -> AsyncIterator[CRMProvider]:
        yield MemoryProvider(MemoryCRM(external_key=False))


class TestSalesforce(ProviderContract):
    """Over the emulator, in this process."""

    required_fields: ClassVar[Mapping[str, object]] = {"LastName": "Outside"}
    secrets = (DEFAULT_TOKEN,)
    settings: ClassVar[Mapping[str, object]] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[CRMProvider]:
        factory = SalesforceProviderFactory(InProcessTransport(SalesforceOrg()))
        settings = {"instance_url": "https://acme.my.salesforce.com", **self.settings}
        async with factory.open(settings, {"access_token": SecretStr(DEFAULT_TOKEN)}, self.context()) as provider:
            yield provider


class TestSalesforceLeads(TestSalesforce):
    """People are leads."""

    contact_object = "Lead"
    required_fields: ClassVar[Mapping[str, object]] = {"LastName": "Outside", "Company": "Acme"}
    settings: ClassVar[Mapping[str, object]] = {"people": "lead"}


class TestSalesforcePeople(TestSalesforce):
    """People are contacts and leads."""

    contact_object = "Person"
    settings: ClassVar[Mapping[str, object]] = {"people": "lead_then_contact"}


# --- providers that break a promise: the suite has to catch each


class PicksAnyTwin(MemoryProvider):
    """One of several contacts is as good as another."""

    async def get_contact(self, email: str) -> CRMContact | None:
        found = await self.crm.objects["Contact"].find("Email", [email], fields=["Email"])
        return CRMContact(id=found[0].id, email=email) if found else None


class SendsRowsBlindly(MemoryProvider):
    """Looks every row up before it writes any."""

    async def bulk_sync_contacts(self, contacts: Sequence[CRMContact]) -> BulkSyncResult:
        bulks = [MemoryProvider(self.crm) for _ in contacts]
        known = [await provider.get_contact(each.email) for provider, each in zip(bulks, contacts, strict=True)]
        store = self.crm.objects["Contact"]
        results = []
        for contact, found in zip(contacts, known, strict=True):
            if found:
                results.append(await self.sync_contact(contact))
            else:
                made = store.add(Email=contact.email, FirstName=contact.first_name, LastName=contact.last_name)
                results.append(CRMSyncResult(action=SyncAction.CREATED, crm_id=made))
        return BulkSyncResult(results=tuple(results))


class GivesUpAtABadRow(MemoryProvider):
    async def bulk_sync_contacts(self, contacts: Sequence[CRMContact]) -> BulkSyncResult:
        bulk = await super().bulk_sync_contacts(contacts)
        if bulk.failed:
            raise UnavailableError("a row failed")
        return bulk


class DropsBadRows(MemoryProvider):
    async def bulk_sync_contacts(self, contacts: Sequence[CRMContact]) -> BulkSyncResult:
        bulk = await super().bulk_sync_contacts(contacts)
        return BulkSyncResult(results=tuple(result for result in bulk.results if result.success))


class AnswersBackwards(MemoryProvider):
    async def bulk_sync_contacts(self, contacts: Sequence[CRMContact]) -> BulkSyncResult:
        bulk = await super().bulk_sync_contacts(contacts)
        return BulkSyncResult(results=tuple(reversed(bulk.results)))


class TellsValues(MemoryProvider):
    async def sync_contact(self, contact: CRMContact) -> CRMSyncResult:
        result = await super().sync_contact(contact)
        return result.model_copy(update={"error": f"{result.error}: {contact.custom_fields}"})


class LosesWhatDoesNotFit(MemoryProvider):
    async def sync_contact(self, contact: CRMContact) -> CRMSyncResult:
        return await super().sync_contact(contact.model_copy(update={"custom_fields": {}}))


class ClearsWhatWasNotGiven(MemoryProvider):
    async def sync_contact(self, contact: CRMContact) -> CRMSyncResult:
        return await super().sync_contact(CRMContact.model_validate(contact.model_dump(exclude={"tags"})))


class AlwaysWrites(MemoryProvider):
    async def sync_contact(self, contact: CRMContact) -> CRMSyncResult:
        result = await super().sync_contact(contact)
        changed = result.action is SyncAction.UNCHANGED
        return result.model_copy(update={"action": SyncAction.UPDATED}) if changed else result


class UpdatesByCreating(MemoryProvider):
    async def update_contact(self, contact: CRMContact) -> CRMSyncResult:
        return await self.sync_contact(contact)


class DeletesOnlyOnce(MemoryProvider):
    async def delete_contact(self, contact_id: str) -> CRMSyncResult:
        result = await super().delete_contact(contact_id)
        gone = result.action is SyncAction.UNCHANGED
        return CRMSyncResult(action=SyncAction.FAILED, code="not_found") if gone else result


class WritesWhenTested(MemoryProvider):
    async def test_connection(self) -> ConnectionReport:
        self.crm.objects["Contact"].add(Email="probe@example.com")
        return await super().test_connection()


class ShowsItsSecret(MemoryProvider):
    def __repr__(self) -> str:
        return "<provider with hunter2>"


class OpensAnything(MemoryProvider):
    async def records(self, object_name: str) -> MemoryRecordStore:
        return self.crm.objects.get(object_name) or MemoryRecordStore(object_name)


class KeepsOldMembers(MemoryProvider):
    async def sync_list_membership(self, members: CRMList, *, remove_others: bool = False) -> BulkSyncResult:
        return await super().sync_list_membership(members)


class DropsOldMembers(MemoryProvider):
    async def sync_list_membership(self, members: CRMList, *, remove_others: bool = False) -> BulkSyncResult:
        return await super().sync_list_membership(members, remove_others=True)


class AnswersEventsBackwards(MemoryProvider):
    async def log_email_activities(self, activities: Sequence[EmailActivity]) -> BulkSyncResult:
        bulk = await super().log_email_activities(activities)
        return BulkSyncResult(results=tuple(reversed(bulk.results)))


class LogsTwice(MemoryProvider):
    async def log_email_activity(self, activity: EmailActivity) -> CRMSyncResult:
        result = await super().log_email_activity(activity)
        if result.success:
            self.crm.activities = {}
        return result


class MakesACampaignEachTime(MemoryProvider):
    async def sync_campaign(self, campaign: CRMCampaign) -> CRMSyncResult:
        made = self.crm.objects["Campaign"].add(Name=campaign.name)
        return CRMSyncResult(action=SyncAction.CREATED, crm_id=made)


class ClaimsNothingAndDoesNothing(MemoryProvider):
    """Neither declares lists nor says so when it is asked."""

    def supports_feature(self, feature: CRMFeature) -> bool:
        return feature is not CRMFeature.LISTS and super().supports_feature(feature)

    async def sync_list_membership(self, members: CRMList, *, remove_others: bool = False) -> BulkSyncResult:
        return BulkSyncResult()


class ChecksNoMapping(MemoryProvider):
    async def map_custom_fields(self, mappings: Sequence[FieldMapping], object_name: str = "Contact") -> ObjectMapping:
        return ObjectMapping(fields=tuple(mappings))


BROKEN: Mapping[type[MemoryProvider], str] = {
    PicksAnyTwin: "test_case_13_of_two_contacts_with_an_email_none_is_picked",
    SendsRowsBlindly: "test_case_08_the_same_person_twice_in_a_batch_is_one_contact",
    GivesUpAtABadRow: "test_case_22_one_bad_row_hinders_no_other",
    DropsBadRows: "test_case_22_one_bad_row_hinders_no_other",
    AnswersBackwards: "test_each_input_has_its_result_in_order",
    TellsValues: "test_what_the_crm_cannot_hold_fails_and_is_not_told",
    LosesWhatDoesNotFit: "test_what_the_crm_cannot_hold_fails_and_is_not_told",
    ClearsWhatWasNotGiven: "test_case_07_what_was_not_given_is_left_as_it_is",
    AlwaysWrites: "test_case_08_syncing_again_makes_no_second_contact",
    UpdatesByCreating: "test_an_update_makes_no_contact",
    DeletesOnlyOnce: "test_a_deleted_contact_is_gone_and_stays_gone",
    WritesWhenTested: "test_testing_the_connection_changes_nothing",
    ShowsItsSecret: "test_no_secret_shows",
    OpensAnything: "test_an_object_that_is_not_there_is_a_changed_schema",
    KeepsOldMembers: "test_other_members_of_a_list_go_only_if_that_is_asked",
    DropsOldMembers: "test_a_list_has_the_members_it_was_given",
    AnswersEventsBackwards: "test_many_events_have_their_results_in_order",
    LogsTwice: "test_an_email_event_is_recorded_once_with_its_contact",
    MakesACampaignEachTime: "test_campaigns_are_created_once_and_updated",
    ClaimsNothingAndDoesNothing: "test_a_list_has_the_members_it_was_given",
    ChecksNoMapping: "test_every_fault_of_mappings_is_told_at_once",
}
_CAUGHT = (AssertionError, UnavailableError, pytest.fail.Exception)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_the_contract_catches(broken: type[MemoryProvider]) -> None:
    class Suite(MemoryContract):
        secrets = ("hunter2",)

        @asynccontextmanager
        async def open(self) -> AsyncIterator[CRMProvider]:
            yield broken(MemoryCRM())

    with pytest.raises(_CAUGHT):
        await getattr(Suite(), BROKEN[broken])()


# --- the memory provider through the front door


async def test_the_registered_memory_provider_syncs() -> None:
    forget_crm(SHARED)
    local = MemoryRecordStore("subscribers")
    local.add(email="ada@example.com", first_name="Ada", tags=("vip",), opted_out=False)
    async with CRMSync.open("memory://", vault=Vault.from_key(Vault.generate_key())) as app:
        await app.add_integration("main", provider="memory", settings={"name": SHARED}, credentials={})
        assert (await app.test_connection("main")).organisation == SHARED
        await app.sync("main", "Contact", local)
        crm = shared_crm(SHARED).objects["Contact"]
        [(crm_id, fields)] = crm.snapshot().items()
        assert (fields["Email"], fields["FirstName"], fields["Tags"]) == ("ada@example.com", "Ada", ("vip",))
        crm.edit(crm_id, OptedOut=True, Phone="+1 555 0100")
        crm.add(Email="bob@example.com", LastName="Bob")
        await app.sync("main", "Contact", local)
        async with app.provider("main") as provider:
            got = await provider.get_contact("ADA@example.com")
    held = {str(fields["email"]): fields for fields in local.snapshot().values()}
    assert (held["ada@example.com"]["opted_out"], held["ada@example.com"]["phone"]) == (True, "+1 555 0100")
    assert held["bob@example.com"]["last_name"] == "Bob"
    assert got is not None
    assert got.custom_fields["opted_out"] is True
    forget_crm(SHARED)


async def test_settings_that_the_memory_provider_does_not_know_are_named() -> None:
    context = MemoryContract().context()
    for settings, credentials, name in (
        ({"naem": "x"}, {}, "naem"),
        ({"external_key": "perhaps"}, {}, "external_key"),
        ({}, {"password": SecretStr("hunter2")}, "password"),
    ):
        with pytest.raises(ConfigurationError, match=name) as caught:
            async with MemoryProviderFactory().open(settings, credentials, context):
                raise AssertionError("it opened")
        assert "hunter2" not in str(caught.value)
        assert "perhaps" not in str(caught.value)
