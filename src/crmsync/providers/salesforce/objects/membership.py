"""A list of e-mail addresses as the members of a campaign."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from crmsync.errors import DuplicateError
from crmsync.models.contacts import CRMList
from crmsync.models.records import Operation, OperationKind, Outcome
from crmsync.models.results import BulkSyncResult, CRMSyncResult, SyncAction
from crmsync.providers.salesforce import retrieving, soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.objects.campaign_statuses import CampaignStatuses
from crmsync.providers.salesforce.objects.campaigns import CAMPAIGNS, find_campaign
from crmsync.providers.salesforce.objects.finding import Found, OpenStore, find_people, folded
from crmsync.providers.salesforce.objects.results import failed, result_of, write_all
from crmsync.providers.salesforce.orgs import exclusive

_ALREADY: Final = "DUPLICATE_VALUE"


@attrs.frozen(slots=True)
class ListMembership:
    """Makes people members. New ones get the settings' status; without one the campaign's default."""

    client: SalesforceClient
    open_store: OpenStore
    statuses: CampaignStatuses

    async def save(self, members: CRMList, *, remove_others: bool) -> BulkSyncResult:
        """One result for each address, in order; ``crm_id`` is the contact's or lead's.

        An address that nobody or more than one has fails alone; members that it could mean stay members.
        """
        emails = members.member_emails
        async with exclusive(self.client, CAMPAIGNS):
            campaign = await self._campaign(members)
        if isinstance(campaign, CRMSyncResult):
            return BulkSyncResult(results=(campaign,) * len(emails))
        status = self.client.settings.campaigns.member_status
        if status and (refused := await self.statuses.provide([(campaign, status)])):
            return BulkSyncResult(results=(failed(refused[campaign, status]),) * len(emails))
        people = await find_people(self.open_store, emails)
        present = await self._members(campaign)
        wanted = {found.id: found for found in people.values() if isinstance(found, Found)}
        added = await self._add(campaign, [found for key, found in wanted.items() if key not in present])
        warnings = await self._remove(present, wanted, people) if remove_others else ()
        return BulkSyncResult(results=tuple(_results(emails, people, added)), warnings=warnings)

    async def _campaign(self, members: CRMList) -> str | CRMSyncResult:
        """The campaign's id; a name that there is none of makes one. Only in a turn of `CAMPAIGNS`."""
        store = await self.open_store("Campaign")
        found = await find_campaign(store, members.id, members.name, ())
        if isinstance(found, CRMSyncResult):
            return found
        if found is not None:
            return found.id
        fields: dict[str, object] = {"Name": members.name}
        if members.description:
            fields["Description"] = members.description
        # A campaign that is not active is left out of most lists of Salesforce's own pages.
        schema = await store.describe()
        if (active := schema.field("IsActive")) is not None and active.createable:
            fields["IsActive"] = True
        [outcome] = await store.write([Operation(uuid.uuid4().hex, OperationKind.CREATE, None, fields=fields)])
        return outcome.id if outcome.ok and outcome.id else result_of(outcome)

    async def _members(self, campaign: str) -> Mapping[str, str]:
        """The campaign's members: by each person's id, the member's."""
        statement = soql.select(
            ("Id", "ContactId", "LeadId"),
            "CampaignMember",
            where=soql.compare("CampaignId", "=", campaign),
            order_by=("Id",),
        )
        rows = await retrieving.query_all(self.client, statement)
        return {person: member for row in rows for person, member in _persons(row)}

    async def _add(self, campaign: str, people: Sequence[Found]) -> Mapping[str, CRMSyncResult]:
        store = await self.open_store("CampaignMember")
        given = self.client.settings.campaigns.member_status
        status = {"Status": given} if given else {}
        operations = [
            Operation(
                uuid.uuid4().hex,
                OperationKind.CREATE,
                None,
                fields={"CampaignId": campaign, f"{found.object_name}Id": found.id, **status},
            )
            for found in people
        ]
        outcomes = await write_all(store, operations)
        return {found.id: _added(found, outcome) for found, outcome in zip(people, outcomes, strict=True)}

    async def _remove(
        self, present: Mapping[str, str], wanted: Mapping[str, Found], people: Mapping[str, Found | CRMSyncResult]
    ) -> tuple[str, ...]:
        """Remove who was not asked for, but for those whom an unclear address could mean; warns of what stayed."""
        unclear = [email for email, found in people.items() if isinstance(found, CRMSyncResult)]
        spared = set(wanted)
        if unclear:
            for object_name in ("Contact", "Lead"):
                store = await self.open_store(object_name)
                spared.update(record.id for record in await store.find("Email", unclear, fields=("Email",)))
        members = {member for person, member in present.items() if person in spared}
        others = dict.fromkeys(member for member in present.values() if member not in members)
        store = await self.open_store("CampaignMember")
        removals = [Operation(uuid.uuid4().hex, OperationKind.DELETE, member) for member in others]
        stayed = [outcome.error for outcome in await write_all(store, removals) if outcome.error is not None]
        return (f"{len(stayed)} members could not be removed: {stayed[0].message}",) if stayed else ()


def _persons(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A converted lead's member is the lead's and the contact's."""
    member = full_id(str(row.get("Id"))) or ""
    ids = (full_id(str(row.get(name))) for name in ("ContactId", "LeadId"))
    return [(person, member) for person in ids if person]


def _added(found: Found, outcome: Outcome) -> CRMSyncResult:
    if isinstance(outcome.error, DuplicateError) and outcome.error.code == _ALREADY:
        # Somebody else added this person since the members were read.
        return CRMSyncResult(action=SyncAction.UNCHANGED, crm_id=found.id)
    return result_of(outcome).model_copy(update={"crm_id": found.id})


def _results(
    emails: Sequence[str], people: Mapping[str, Found | CRMSyncResult], added: Mapping[str, CRMSyncResult]
) -> list[CRMSyncResult]:
    results, told = [], set[str]()
    for email in emails:
        found = people[folded(email)]
        if isinstance(found, CRMSyncResult):
            results.append(found)
            continue
        unchanged = CRMSyncResult(action=SyncAction.UNCHANGED, crm_id=found.id)
        result = added.get(found.id, unchanged)
        results.append(unchanged if result.success and found.id in told else result)
        told.add(found.id)
    return results
