"""The provider behind the Salesforce CLI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crmsync.models.campaigns import CRMCampaign, EmailActivity
from crmsync.models.contacts import CRMContact
from crmsync.models.results import BulkSyncResult, CRMSyncResult
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.provider import SalesforceProvider
from crmsync.providers.salesforce.sf.handful import Handful

_CONTACTS: Final = "bulk_sync_contacts() with many"
_EVENTS: Final = "log_email_activities() with many"
_CAMPAIGNS: Final = "a sync of the object Campaign"


class SfProvider(SalesforceProvider):
    """As `SalesforceProvider`, but for a handful of single records in a row: each of them takes several commands.

    :raises ConfigurationError: by the verbs of one contact, campaign or event, when they are too many.
    """

    def __init__(self, client: SalesforceClient) -> None:
        super().__init__(client)
        self._handful = Handful()

    async def sync_contact(self, contact: CRMContact) -> CRMSyncResult:
        self._handful.take(_CONTACTS)
        return await super().sync_contact(contact)

    async def get_contact(self, email: str) -> CRMContact | None:
        self._handful.take(_CONTACTS)
        return await super().get_contact(email)

    async def update_contact(self, contact: CRMContact) -> CRMSyncResult:
        self._handful.take(_CONTACTS)
        return await super().update_contact(contact)

    async def delete_contact(self, contact_id: str) -> CRMSyncResult:
        self._handful.take(_CONTACTS)
        return await super().delete_contact(contact_id)

    async def bulk_sync_contacts(self, contacts: Sequence[CRMContact]) -> BulkSyncResult:
        self._handful.take_all(len(contacts), _CONTACTS)
        return await super().bulk_sync_contacts(contacts)

    async def sync_campaign(self, campaign: CRMCampaign) -> CRMSyncResult:
        self._handful.take(_CAMPAIGNS)
        return await super().sync_campaign(campaign)

    async def get_campaign(self, campaign_id: str) -> CRMCampaign | None:
        self._handful.take(_CAMPAIGNS)
        return await super().get_campaign(campaign_id)

    async def log_email_activities(self, activities: Sequence[EmailActivity]) -> BulkSyncResult:
        self._handful.take_all(len(activities), _EVENTS)
        return await super().log_email_activities(activities)
