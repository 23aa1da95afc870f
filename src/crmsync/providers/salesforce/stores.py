"""Opening the record stores of a connection.

It loads all that reads and writes records, which takes as long as a call: nothing imports it before that is needed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import attrs

from crmsync.errors import ConfigurationError, SchemaChangedError
from crmsync.protocols.records import RecordStore
from crmsync.providers.activity_records import EMAIL_ACTIVITY
from crmsync.providers.salesforce.accounts.directory import Accounts, described, open_accounts, with_company
from crmsync.providers.salesforce.accounts.names import COMPANY
from crmsync.providers.salesforce.accounts.new_persons import (
    NewPersons,
    described_for_persons,
    open_account_writer,
)
from crmsync.providers.salesforce.accounts.persons import Persons
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.loading.by_job import JobLoad
from crmsync.providers.salesforce.objects.activity import ActivityLog
from crmsync.providers.salesforce.objects.activity_records import SalesforceActivityRecords
from crmsync.providers.salesforce.objects.campaign_statuses import MEMBER, CampaignStatuses
from crmsync.providers.salesforce.objects.options import AccountMode, ActivityMode, PersonMode
from crmsync.providers.salesforce.objects.parents import with_parents
from crmsync.providers.salesforce.people.births import Births
from crmsync.providers.salesforce.people.options import PERSON, PeopleMode
from crmsync.providers.salesforce.people.schema import person_schema
from crmsync.providers.salesforce.people.store import PeopleStore
from crmsync.providers.salesforce.records import SalesforceRecordStore
from crmsync.providers.salesforce.rows import IS_PERSON
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.tags.campaigns import described_member, find_campaigns
from crmsync.providers.salesforce.tags.members import TAGGED, Members, open_members
from crmsync.providers.salesforce.tags.store import CampaignTagStore

_IN_FLIGHT = 4
"""Collection calls at once; an org allows 25 that last over 20 seconds ("API Request Limits and Allocations")."""


class Stores:
    """The record stores of one connection, and what they have in common."""

    def __init__(
        self,
        client: SalesforceClient,
        describe: Callable[[str], Awaitable[SObject]],
        user_id: Callable[[], Awaitable[str | None]],
    ) -> None:
        self._client = client
        self._describe = describe
        self._user_id = user_id
        self._limiter = anyio.CapacityLimiter(_IN_FLIGHT)
        self._directory: Accounts | None = None
        self.statuses = CampaignStatuses(client, describe, self._limiter)
        self._tag_members: Members | None = None
        self._loads = JobLoad(client)

    async def aclose(self) -> None:
        """Drop what was fetched ahead."""
        await self._loads.aclose()

    async def records(self, object_name: str) -> RecordStore:
        """See `SalesforceProvider.records`."""
        if object_name == EMAIL_ACTIVITY:
            return SalesforceActivityRecords(self._client, self.activity_log())
        store = await self._people() if object_name == PERSON else await self.of(object_name)
        if object_name not in TAGGED or not self._client.settings.campaigns.tags:
            return store
        return CampaignTagStore(store, await self.members(), self._client)

    async def of(self, object_name: str) -> SalesforceRecordStore:
        """The store of one sObject, without tags."""
        sobject = await self._sobject(object_name)
        needs: Accounts | CampaignStatuses | None = self.statuses if object_name == MEMBER else None
        if object_name == "Contact" and self._client.settings.accounts is not AccountMode.LEAVE:
            needs = await self._accounts()
            sobject = with_company(sobject, needs.sobject)
        persons = await self._persons(sobject) if object_name == "Contact" else None
        return self._store(sobject, needs, persons)

    def _store(
        self, sobject: SObject, needs: Accounts | CampaignStatuses | None = None, persons: Persons | None = None
    ) -> SalesforceRecordStore:
        return SalesforceRecordStore(
            self._client, sobject, self._user_id, self._limiter, self._loads, needs, persons=persons
        )

    async def _persons(self, contact: SObject) -> Persons | None:
        """None where there are none, or where accounts are hidden from this user."""
        settings = self._client.settings
        creates = settings.person_accounts is PersonMode.CREATE
        if creates:
            account = await described_for_persons(contact, settings.external_id_field, self._describe)
        elif IS_PERSON in contact.fields:
            try:
                account = await self._describe("Account")
            except SchemaChangedError:
                return None
        else:
            return None
        accounts = open_account_writer(self._client, account, self._user_id, self._limiter)
        births = NewPersons(self._client, contact, account, accounts) if creates else None
        return Persons(accounts, births)

    async def members(self) -> Members:
        """The members of the campaigns that tags stand for."""
        if self._tag_members is None:
            member = await described_member(self._describe)
            campaigns = await find_campaigns(self._client, self._client.settings.campaigns.tags)
            self._tag_members = open_members(self.statuses, member, campaigns, self._user_id, self._limiter)
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
        contacts, lead = await self.of("Contact"), await self._sobject("Lead")
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

    def activity_log(self) -> ActivityLog:
        """:raises ConfigurationError: the setting ``activity`` is ``off``."""
        settings = self._client.settings
        if settings.activity is ActivityMode.OFF:
            raise ConfigurationError("the setting activity = off leaves e-mail activity out; see supports_feature()")
        return ActivityLog(self._client, self.of, settings.activity, settings.activity_id_field)
