"""Campaigns: found by id, external id or exact name; statistics go into the fields that the org has for them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import attrs

from crmsync.models.campaigns import CRMCampaign, EmailStats
from crmsync.models.records import Operation, OperationKind, Record
from crmsync.models.results import CRMSyncResult, SyncAction
from crmsync.models.schema import ObjectSchema
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.objects.results import failure, result_of
from crmsync.providers.salesforce.records import SalesforceRecordStore

CAMPAIGNS: Final = "campaigns"
"""The turn that is taken by whoever makes a campaign if there is none of the name."""
_PLAIN: Final = {"name": "Name", "status": "Status", "start_date": "StartDate", "end_date": "EndDate"}
_COUNTS: Final = ("NumberOfContacts", "NumberOfLeads", "NumberOfConvertedLeads")


@attrs.frozen(slots=True)
class CampaignFields:
    """Where an org keeps what a `CRMCampaign` says.

    ``statistics`` is the field for each count that has one to write: ``NumberSent`` for what was sent, and custom
    fields such as ``MarkMail_Opened__c``. ``without`` are the counts that have none. ``shown`` is the field that each
    count is read from, where there is one.
    """

    statistics: Mapping[str, str]
    without: tuple[str, ...]
    shown: Mapping[str, str]

    @classmethod
    def of(cls, schema: ObjectSchema, prefix: str) -> CampaignFields:
        """What this org's Campaign has; a custom field goes before the standard one."""
        found: dict[str, str] = {}
        shown: dict[str, str] = {}
        for name in EmailStats.model_fields:
            names = (f"{prefix}{name.title()}__c", *(("NumberSent",) if name == "sent" else ()))
            fields = [field for each in names if (field := schema.field(each)) is not None and field.readable]
            # A count is read from where it is written to.
            fields.sort(key=lambda field: not field.updateable)
            if fields:
                shown[name] = fields[0].name
            if fields and fields[0].updateable:
                found[name] = fields[0].name
        return cls(found, tuple(name for name in EmailStats.model_fields if name not in found), shown)

    @property
    def names(self) -> tuple[str, ...]:
        """Every field to read."""
        return (*_PLAIN.values(), *self.shown.values(), *_COUNTS)

    def values(self, campaign: CRMCampaign) -> dict[str, object]:
        """The fields that were given; what was not is left as it is."""
        given: dict[str, object] = {
            field: getattr(campaign, name) for name, field in _PLAIN.items() if name in campaign.model_fields_set
        }
        for name in _known(campaign.email_stats):
            if name in self.statistics:
                given[self.statistics[name]] = getattr(campaign.email_stats, name)
        return given

    def warnings(self, campaign: CRMCampaign) -> tuple[str, ...]:
        """What of it the org has no field for."""
        known = _known(campaign.email_stats)
        lost = [name for name in self.without if name in known]
        if not lost:
            return ()
        return (f"Campaign has no field that this user may write for: {', '.join(lost)}",)

    def campaign(self, record: Record) -> CRMCampaign:
        """A record as a campaign. A converted lead is counted by Salesforce as a lead and as its contact.

        What has no field, is hidden, or was never counted is unknown.
        """
        held = record.fields
        contacts, leads, converted = (_count(held.get(name)) for name in _COUNTS)
        plain = {name: held.get(field) for name, field in _PLAIN.items()}
        stats = {name: _count(held.get(self.shown.get(name, ""))) for name in EmailStats.model_fields}
        members = None
        if contacts is not None and leads is not None and converted is not None:
            members = max(contacts + leads - converted, 0)
        return CRMCampaign.model_validate(
            {**plain, "id": record.id, "member_count": members, "email_stats": EmailStats(**stats)}
        )


async def find_campaign(
    store: SalesforceRecordStore, campaign_id: str | None, name: str, fields: Sequence[str]
) -> Record | CRMSyncResult | None:
    """The campaign with this id (a Salesforce id, or the external id), without one with this exact name; else None.

    Names are compared as they are; one that differs in case only is taken where no other fits.
    """
    fields = ("Name", *fields)
    if campaign_id:
        if full_id(campaign_id):
            found = list((await store.get([campaign_id], fields=fields)).values())
        else:
            found = list(await store.find_by_key([campaign_id], fields=fields))
        return found[0] if len(found) == 1 else failure("not_found", "there is no campaign with this id")
    alike = list(await store.find("Name", [name.strip()], fields=fields))
    same = [record for record in alike if record.fields.get("Name") == name.strip()] or alike
    if len(same) > 1:
        return failure("ambiguous", f"{len(same)} campaigns have this name; give an id")
    return same[0] if same else None


async def save_campaign(store: SalesforceRecordStore, campaign: CRMCampaign, prefix: str) -> CRMSyncResult:
    """Create the campaign, or update the one with its id or name; unchanged if it holds these values already.

    Only in a turn of `CAMPAIGNS`.
    """
    fields = CampaignFields.of(await store.describe(), prefix)
    found = await find_campaign(store, campaign.id, campaign.name, fields.names)
    if isinstance(found, CRMSyncResult):
        return found
    wanted = fields.values(campaign)
    warnings = fields.warnings(campaign)
    if found is None:
        operation = Operation(uuid.uuid4().hex, OperationKind.CREATE, None, fields=_given(wanted))
    else:
        changed = {name: value for name, value in wanted.items() if not _same(found.fields.get(name), value)}
        if not changed:
            return CRMSyncResult(action=SyncAction.UNCHANGED, crm_id=found.id, warnings=warnings)
        operation = Operation(uuid.uuid4().hex, OperationKind.UPDATE, found.id, fields=changed)
    [outcome] = await store.write([operation])
    return result_of(outcome).model_copy(update={"warnings": warnings})


def _given(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _same(held: object, wanted: object) -> bool:
    if isinstance(held, str) and isinstance(wanted, str):
        return held == wanted.strip()
    return held == wanted


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, int | Decimal) else None


def _known(stats: EmailStats) -> list[str]:
    """The counts that were given."""
    return [
        name for name in EmailStats.model_fields if name in stats.model_fields_set and getattr(stats, name) is not None
    ]
