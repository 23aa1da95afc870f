"""The provider behind the Salesforce CLI."""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.models.contacts import CRMContact
from crmsync.models.results import BulkSyncResult, CRMSyncResult
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.provider import SalesforceProvider
from crmsync.providers.salesforce.sf.handful import Handful


class SfProvider(SalesforceProvider):
    """As `SalesforceProvider`, but for a handful of single contacts in a row: each of them takes several commands.

    :raises ConfigurationError: by the verbs of one contact, when they are too many.
    """

    def __init__(self, client: SalesforceClient) -> None:
        super().__init__(client)
        self._handful = Handful("bulk_sync_contacts()")

    async def sync_contact(self, contact: CRMContact) -> CRMSyncResult:
        self._handful.take()
        return await super().sync_contact(contact)

    async def get_contact(self, email: str) -> CRMContact | None:
        self._handful.take()
        return await super().get_contact(email)

    async def update_contact(self, contact: CRMContact) -> CRMSyncResult:
        self._handful.take()
        return await super().update_contact(contact)

    async def delete_contact(self, contact_id: str) -> CRMSyncResult:
        self._handful.take()
        return await super().delete_contact(contact_id)

    async def bulk_sync_contacts(self, contacts: Sequence[CRMContact]) -> BulkSyncResult:
        self._handful.over()
        return await super().bulk_sync_contacts(contacts)
