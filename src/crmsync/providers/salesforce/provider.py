"""One connection to an org as a `CRMProvider`."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio import to_thread

from crmsync.errors import SchemaChangedError
from crmsync.models.campaigns import CRMCampaign, EmailActivity
from crmsync.models.contacts import CRMList
from crmsync.models.mappings import ObjectMapping
from crmsync.models.problems import Problem
from crmsync.models.records import Record
from crmsync.models.results import BulkSyncResult, ConnectionReport, CRMFeature, CRMSyncResult
from crmsync.protocols.records import RecordStore
from crmsync.providers.contact_verbs import ContactVerbs
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.clocks import NOTABLE, difference
from crmsync.providers.salesforce.objects.options import AccountMode, ActivityMode
from crmsync.providers.salesforce.people.options import PERSON
from crmsync.providers.salesforce.schema import SObject, read_describe
from crmsync.providers.salesforce.together import together

if TYPE_CHECKING:
    from crmsync.providers.salesforce.stores import Stores

_FEATURES: Final = frozenset(
    {
        CRMFeature.CONTACTS,
        CRMFeature.CUSTOM_FIELDS,
        CRMFeature.CAMPAIGNS,
        CRMFeature.LISTS,
        CRMFeature.BULK,
        CRMFeature.DELETED_FEED,
        CRMFeature.MERGE_FEED,
    }
)
_USER: Final = "user_id"
_NEARLY: Final = 0.9
_STORES: Final = "crmsync.providers.salesforce.stores"
_LEAVING: Final = 0.005
"""Seconds that a request gets to leave the process before something is loaded beside it."""
_IDENTIFIER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class SalesforceProvider(ContactVerbs):
    """An open connection. Safe for concurrent calls."""

    provider_name = "salesforce"

    def __init__(self, client: SalesforceClient) -> None:
        super().__init__()
        self._client = client
        self._sobjects: dict[str, SObject] = {}
        self._user: Mapping[str, Any] | None = None
        self._lock = anyio.Lock()
        self._opened: Stores | None = None
        self.contact_object = client.settings.people.object_name

    async def aclose(self) -> None:
        """Drop what was fetched ahead."""
        if self._opened is not None:
            with anyio.CancelScope(shield=True):
                await self._opened.aclose()

    def supports_feature(self, feature: CRMFeature) -> bool:
        """`EXTERNAL_KEY` is known once an object was opened: the org may lack the field."""
        if feature is CRMFeature.EXTERNAL_KEY:
            field = self._client.settings.external_id_field
            people = [each for name in self._client.settings.people.objects if (each := self._sobjects.get(name))]
            return all(each.external_key(field) for each in people or self._sobjects.values()) and bool(self._sobjects)
        if feature is CRMFeature.EMAIL_ACTIVITY:
            return self._client.settings.activity is not ActivityMode.OFF
        return feature in _FEATURES

    def contact_mapping(self) -> ObjectMapping:
        """The mapping behind the contact-level verbs."""
        from crmsync.providers.salesforce.accounts.names import COMPANY  # noqa: PLC0415 - runs have their mappings
        from crmsync.providers.salesforce.objects.mappings import fields_of  # noqa: PLC0415 - as above

        settings = self._client.settings
        contact_company = None if settings.accounts is AccountMode.LEAVE else COMPANY
        return ObjectMapping(fields=fields_of(settings.people, settings.lead_company, contact_company))

    async def records(self, object_name: str) -> RecordStore:
        """Open the record store of an sObject, by its exact API name, that of people, by the name ``Person``, or that
        of e-mail events, by the name ``EmailActivity``.

        :raises AccessDeniedError: the settings ``accounts`` or ``campaigns.tags`` need what is hidden from the user.
        :raises ConfigurationError: the settings say that people are contacts alone, or leads alone, or that events are
            left out, or a campaign of ``campaigns.tags`` is not there.
        """
        return await (await self._stores(object_name)).records(object_name)

    async def advice(self, object_name: str, written: Collection[str]) -> Sequence[Problem]:
        """See `SupportsAdvice`: accounts that are made for companies without an external id of their own."""
        if self._client.settings.accounts is not AccountMode.CREATE:
            return ()
        from crmsync.providers.salesforce.accounts import findings, names  # noqa: PLC0415 - few have accounts made

        if object_name not in ("Contact", PERSON) or names.COMPANY not in written:
            return ()
        return findings.unkeyed(self._client.settings, await self._describe("Account"))

    async def _stores(self, object_name: str) -> Stores:
        """What opens stores. An object that is there is described while that is loaded."""
        if _STORES not in sys.modules and object_name in self._client.settings.people.objects:
            await together((partial(self._describe, object_name), _load_stores))
        from crmsync.providers.salesforce.stores import Stores  # noqa: PLC0415 - see there

        if self._opened is None:
            self._opened = Stores(self._client, self._describe, self._user_id)
        return self._opened

    async def test_connection(self) -> ConnectionReport:
        """Sign in, describe the people, read the limits; 4 to 6 calls.

        One more if contacts are linked to accounts, and up to 4 for the campaigns that tags stand for.
        """
        self._client.forget()
        user = await self._identity()
        version = await self._client.version()
        settings = self._client.settings
        stores = await self._stores(settings.people.object_name)
        from crmsync.providers.salesforce.checking import name_of_org, warnings_of  # noqa: PLC0415 - nobody else asks

        warnings = await warnings_of(settings, self._describe, stores.members)
        name = await name_of_org(self._client)
        if abs(self._client.ahead) >= NOTABLE:
            warnings.append(difference(self._client.ahead))
        usage = self._client.usage
        if usage is not None and usage.used >= _NEARLY * usage.limit:
            warnings.append(f"{usage.used} of the org's {usage.limit} API calls of 24 hours are used up")
        return ConnectionReport(
            organisation=name,
            user=str(user.get("preferred_username") or user.get("user_id") or ""),
            api_version=version,
            calls_used=usage.used if usage else None,
            calls_limit=usage.limit if usage else None,
            warnings=tuple(warnings),
        )

    async def revoke(self) -> bool:
        """See `SupportsRevocation`."""
        return await self._client.revoke()

    async def sync_campaign(self, campaign: CRMCampaign) -> CRMSyncResult:
        """Create the campaign, or update the one with its id, or without an id the one with its exact name.

        An id that is none of Salesforce's is an external id. Statistics go into ``NumberSent`` and into custom fields
        such as ``MarkMail_Opened__c``, as far as the org has them; the result's warnings name the others.
        """
        from crmsync.providers.salesforce.objects import campaigns  # noqa: PLC0415 - runs do without
        from crmsync.providers.salesforce.orgs import exclusive  # noqa: PLC0415 - as above

        store = await (await self._stores("Campaign")).of("Campaign")
        async with exclusive(self._client, campaigns.CAMPAIGNS):
            return await campaigns.save_campaign(store, campaign, self._client.settings.campaigns.field_prefix)

    async def get_campaign(self, campaign_id: str) -> CRMCampaign | None:
        """The campaign with this id (or external id), with its statistics and the number of its members."""
        from crmsync.providers.salesforce.objects import campaigns  # noqa: PLC0415 - runs do without

        store = await (await self._stores("Campaign")).of("Campaign")
        fields = campaigns.CampaignFields.of(await store.describe(), self._client.settings.campaigns.field_prefix)
        found = await campaigns.find_campaign(store, campaign_id, "", fields.names)
        return fields.campaign(found) if isinstance(found, Record) else None

    async def log_email_activity(self, activity: EmailActivity) -> CRMSyncResult:
        """See `log_email_activities`."""
        return (await self.log_email_activities([activity])).results[0]

    async def log_email_activities(self, activities: Sequence[EmailActivity]) -> BulkSyncResult:
        """Record events with the contact (else the lead) who has the e-mail, as the setting ``activity`` says.

        All events of one message to one person are one task; an event that is logged again changes nothing.

        :raises ConfigurationError: the setting is ``off``.
        """
        return await (await self._stores("Task")).activity_log().record(activities)

    async def sync_list_membership(self, members: CRMList, *, remove_others: bool = False) -> BulkSyncResult:
        """Make the contacts (else leads) with these e-mails members of the campaign with this id or exact name.

        A name that there is no campaign of makes one. ``crm_id`` of a result is the contact's or lead's.
        """
        from crmsync.providers.salesforce.objects.membership import ListMembership  # noqa: PLC0415 - runs do without

        stores = await self._stores("CampaignMember")
        lists = ListMembership(self._client, stores.of, stores.statuses)
        return await lists.save(members, remove_others=remove_others)

    async def _describe(self, object_name: str) -> SObject:
        """The object's describe, read once a connection.

        :raises SchemaChangedError: there is no such object, or the user cannot see it.
        """
        if not _IDENTIFIER.fullmatch(object_name):
            raise SchemaChangedError(f"{object_name!r} is no API name of a Salesforce object")
        async with self._lock:
            if object_name not in self._sobjects:
                try:
                    answer = await self._client.call("GET", f"/sobjects/{object_name}/describe")
                except SchemaChangedError:
                    msg = f"the org has no object {object_name!r}, or hides it from this user"
                    raise SchemaChangedError(msg) from None
                self._sobjects[object_name] = read_describe(answer.body)
            return self._sobjects[object_name]

    async def _identity(self) -> Mapping[str, Any]:
        """Who the token belongs to ("UserInfo Endpoint", Identity URLs); read once a connection."""
        async with self._lock:
            if self._user is None:
                answer = await self._client.send("GET", "/services/oauth2/userinfo", repeatable=True)
                self._user = answer.body if isinstance(answer.body, Mapping) else {}
            return self._user

    async def _user_id(self) -> str | None:
        remembered = self._client.remembered(_USER)
        if remembered is not None:
            return remembered
        found = (await self._identity()).get("user_id")
        if found:
            self._client.remember(_USER, str(found))
        return str(found) if found else None


async def _load_stores() -> None:
    await anyio.sleep(_LEAVING)
    await to_thread.run_sync(import_module, _STORES)
