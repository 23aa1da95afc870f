"""One connection to an org as a `CRMProvider`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio
import attrs

from crmsync.errors import ConfigurationError, SchemaChangedError
from crmsync.models.campaigns import CRMCampaign, EmailActivity
from crmsync.models.contacts import CRMList
from crmsync.models.mappings import ObjectMapping
from crmsync.models.records import Record
from crmsync.models.results import BulkSyncResult, ConnectionReport, CRMFeature, CRMSyncResult
from crmsync.protocols.records import RecordStore
from crmsync.providers.activity_records import EMAIL_ACTIVITY
from crmsync.providers.contact_verbs import ContactVerbs
from crmsync.providers.salesforce import retrieving
from crmsync.providers.salesforce.accounts.directory import Accounts, described, open_accounts, with_company
from crmsync.providers.salesforce.accounts.findings import account_warnings
from crmsync.providers.salesforce.accounts.names import COMPANY
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.loading.by_job import JobLoad
from crmsync.providers.salesforce.objects.activity import ActivityLog
from crmsync.providers.salesforce.objects.activity_records import SalesforceActivityRecords
from crmsync.providers.salesforce.objects.campaigns import CAMPAIGNS, CampaignFields, find_campaign, save_campaign
from crmsync.providers.salesforce.objects.mappings import fields_of
from crmsync.providers.salesforce.objects.membership import ListMembership
from crmsync.providers.salesforce.objects.options import AccountMode, ActivityMode
from crmsync.providers.salesforce.objects.parents import with_parents
from crmsync.providers.salesforce.people.births import Births
from crmsync.providers.salesforce.people.needs import shortcomings
from crmsync.providers.salesforce.people.options import PERSON, PeopleMode
from crmsync.providers.salesforce.people.schema import person_schema
from crmsync.providers.salesforce.people.store import PeopleStore
from crmsync.providers.salesforce.records import SalesforceRecordStore
from crmsync.providers.salesforce.replication import not_replicated
from crmsync.providers.salesforce.schema import SObject, read_describe
from crmsync.providers.salesforce.settings import ChangeFeed
from crmsync.providers.salesforce.tags.campaigns import described_member, find_campaigns, tag_warnings
from crmsync.providers.salesforce.tags.members import TAGGED, Members, open_members
from crmsync.providers.salesforce.tags.store import CampaignTagStore

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
_IN_FLIGHT: Final = 4
"""Collection calls at once; an org allows 25 that last over 20 seconds ("API Request Limits and Allocations")."""
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
        self._limiter = anyio.CapacityLimiter(_IN_FLIGHT)
        self._directory: Accounts | None = None
        self._tag_members: Members | None = None
        self.contact_object = client.settings.people.object_name
        self._loads = JobLoad(client)

    async def aclose(self) -> None:
        """Drop what was fetched ahead."""
        with anyio.CancelScope(shield=True):
            await self._loads.aclose()

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
        if object_name == EMAIL_ACTIVITY:
            return SalesforceActivityRecords(self._client, self._activity_log())
        store = await self._people() if object_name == PERSON else await self._records(object_name)
        if object_name not in TAGGED or not self._client.settings.campaigns.tags:
            return store
        return CampaignTagStore(store, await self._members(), self._client)

    async def _records(self, object_name: str) -> SalesforceRecordStore:
        sobject = await self._sobject(object_name)
        accounts = None
        if object_name == "Contact" and self._client.settings.accounts is not AccountMode.LEAVE:
            accounts = await self._accounts()
            sobject = with_company(sobject, accounts.sobject)
        return self._store(sobject, accounts)

    def _store(self, sobject: SObject, accounts: Accounts | None = None) -> SalesforceRecordStore:
        return SalesforceRecordStore(self._client, sobject, self._user_id, self._limiter, self._loads, accounts)

    async def _members(self) -> Members:
        if self._tag_members is None:
            member = await described_member(self._describe)
            campaigns = await find_campaigns(self._client, self._client.settings.campaigns.tags)
            self._tag_members = open_members(self._client, member, campaigns, self._user_id, self._limiter)
        return self._tag_members

    async def _accounts(self) -> Accounts:
        """One for the connection, so that all who make accounts wait for one another."""
        account = await described(self._describe)
        if self._directory is None:
            self._directory = open_accounts(self._client, account, self._user_id, self._limiter)
        return self._directory

    async def _people(self) -> PeopleStore:
        settings = self._client.settings
        if settings.people is not PeopleMode.LEAD_THEN_CONTACT:
            raise ConfigurationError(f'{PERSON} is contacts and leads as one: set people = "lead_then_contact"')
        contacts, lead = await self._records("Contact"), await self._sobject("Lead")
        leads_sobject = attrs.evolve(lead, follows_conversion=True)
        leads = self._store(leads_sobject)
        company = None if settings.accounts is AccountMode.LEAVE else COMPANY
        schema, rule = person_schema(await contacts.describe(), lead.schema, company), settings.contact_when
        if rule is not None and schema.field(rule.field) is None:
            raise ConfigurationError(f"contact_when.field: contacts and leads do not both have a field {rule.field!r}")
        return PeopleStore(contacts, leads, schema, Births(settings.lead_company, rule, company))

    async def _sobject(self, object_name: str) -> SObject:
        sobject = await self._describe(object_name)
        return await with_parents(sobject, self._client.settings.parents.fields, self._describe)

    async def test_connection(self) -> ConnectionReport:
        """Sign in, describe the people, read the limits; 4 to 6 calls.

        One more if contacts are linked to accounts, and up to 3 for the campaigns that tags stand for.
        """
        self._client.forget()
        user = await self._identity()
        version = await self._client.version()
        settings = self._client.settings
        people = [await self._describe(name) for name in settings.people.objects]
        warnings = [text for each in people for text in shortcomings(each, settings.external_id_field)]
        if settings.changes is ChangeFeed.GET_UPDATED:
            warnings += [not_replicated(each) for each in people if not each.replicateable]
        warnings += await account_warnings(settings, self._describe)
        warnings += await tag_warnings(settings, self._members)
        rows = await retrieving.query_all(self._client, "SELECT Name FROM Organization LIMIT 1")
        usage = self._client.usage
        if usage is not None and usage.used >= _NEARLY * usage.limit:
            warnings.append(f"{usage.used} of the org's {usage.limit} API calls of 24 hours are used up")
        return ConnectionReport(
            organisation=str(rows[0].get("Name") or "") if rows else "",
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
        store = await self._records("Campaign")
        async with self._client.turns.exclusive(CAMPAIGNS):
            return await save_campaign(store, campaign, self._client.settings.campaigns.field_prefix)

    async def get_campaign(self, campaign_id: str) -> CRMCampaign | None:
        """The campaign with this id (or external id), with its statistics and the number of its members."""
        store = await self._records("Campaign")
        fields = CampaignFields.of(await store.describe(), self._client.settings.campaigns.field_prefix)
        found = await find_campaign(store, campaign_id, "", fields.names)
        return fields.campaign(found) if isinstance(found, Record) else None

    async def log_email_activity(self, activity: EmailActivity) -> CRMSyncResult:
        """See `log_email_activities`."""
        return (await self.log_email_activities([activity])).results[0]

    async def log_email_activities(self, activities: Sequence[EmailActivity]) -> BulkSyncResult:
        """Record events with the contact (else the lead) who has the e-mail, as the setting ``activity`` says.

        All events of one message to one person are one task; an event that is logged again changes nothing.

        :raises ConfigurationError: the setting is ``off``.
        """
        return await self._activity_log().record(activities)

    async def sync_list_membership(self, members: CRMList, *, remove_others: bool = False) -> BulkSyncResult:
        """Make the contacts (else leads) with these e-mails members of the campaign with this id or exact name.

        A name that there is no campaign of makes one. ``crm_id`` of a result is the contact's or lead's.
        """
        lists = ListMembership(self._client, self._records, self._client.settings.campaigns.member_status)
        return await lists.save(members, remove_others=remove_others)

    def _activity_log(self) -> ActivityLog:
        settings = self._client.settings
        if settings.activity is ActivityMode.OFF:
            raise ConfigurationError("the setting activity = off leaves e-mail activity out; see supports_feature()")
        return ActivityLog(self._client, self._records, settings.activity, settings.activity_id_field)

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
