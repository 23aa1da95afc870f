"""A whole CRM in memory: for tests, demonstrations and first steps. The model of what a provider does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from crmsync.errors import ConfigurationError, SchemaChangedError
from crmsync.models.campaigns import CRMCampaign, EmailActivity
from crmsync.models.contacts import CRMList
from crmsync.models.mappings import ConflictPolicy, MatchKeys, ObjectMapping, two_way
from crmsync.models.records import Operation, OperationKind, Record, StoreLimits
from crmsync.models.results import BulkSyncResult, ConnectionReport, CRMFeature, CRMSyncResult, SyncAction
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.records import RecordStore
from crmsync.providers.activity_records import EMAIL_ACTIVITY, ActivityRecords
from crmsync.providers.activity_records import MAPPING as ACTIVITIES
from crmsync.providers.contact_verbs import ContactVerbs
from crmsync.testing.memory_records import MemoryRecordStore, TellsTime

CONTACT_FIELDS: Final = (
    two_way("email", "Email", field_type=FieldType.EMAIL),
    two_way("first_name", "FirstName"),
    two_way("last_name", "LastName"),
    two_way("company", "Company"),
    two_way("phone", "Phone", field_type=FieldType.PHONE),
    two_way("tags", "Tags", field_type=FieldType.TAGS),
    two_way("opted_out", "OptedOut", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE),
)
"""The default mapping of a Contact."""

_PERSON = (
    FieldSchema(name="Email", type=FieldType.EMAIL, length=254),
    FieldSchema(name="FirstName", length=40),
    FieldSchema(name="LastName", length=80),
    FieldSchema(name="Company", length=255),
    FieldSchema(name="Phone", type=FieldType.PHONE, length=40),
    FieldSchema(name="Tags", type=FieldType.TAGS),
    FieldSchema(name="OptedOut", type=FieldType.BOOLEAN),
    FieldSchema(name="Score__c", label="Score", type=FieldType.INTEGER, custom=True),
    FieldSchema(name="Region__c", label="Region", length=40, custom=True),
)
_CAMPAIGN = (
    FieldSchema(name="Name", length=255, required=True),
    FieldSchema(name="Status", length=40),
    FieldSchema(name="StartDate", type=FieldType.DATE),
    FieldSchema(name="EndDate", type=FieldType.DATE),
    FieldSchema(name="MemberCount", type=FieldType.INTEGER),
    *(
        FieldSchema(name=name.title(), type=FieldType.INTEGER)
        for name in ("sent", "delivered", "opened", "clicked", "bounced", "unsubscribed", "complained")
    ),
)
_OBJECTS: Final = {"Contact": ("003", _PERSON), "Lead": ("00Q", _PERSON), "Campaign": ("701", _CAMPAIGN)}
_FEATURES: Final = frozenset(CRMFeature) - {CRMFeature.NOTIFICATIONS, CRMFeature.REPORTS, CRMFeature.EXTERNAL_KEY}


@attrs.define(slots=True)
class MemoryList:
    """A list of the CRM; ``members`` are contact ids."""

    id: str
    name: str
    members: set[str] = attrs.field(factory=set)


class MemoryCRM:
    """What one CRM in memory holds, whoever is connected to it. Tests change and look at it directly."""

    def __init__(self, name: str = "", *, external_key: bool = True, clock: TellsTime | None = None) -> None:
        self.name = name
        self.external_key = external_key
        self.objects = {
            object_name: MemoryRecordStore(
                object_name,
                clock=clock,
                limits=StoreLimits(external_key=external_key),
                schema=ObjectSchema(name=object_name, label=object_name, fields=fields, open=True),
                id_prefix=prefix,
            )
            for object_name, (prefix, fields) in _OBJECTS.items()
        }
        self.lists: dict[str, MemoryList] = {}
        self.activities: dict[EmailActivity, str] = {}

    def __repr__(self) -> str:
        return f"<MemoryCRM {self.name!r}>"


_SHARED: dict[str, MemoryCRM] = {}


def shared_crm(name: str) -> MemoryCRM:
    """The CRM that connections with this ``name`` share in this process, once one was opened.

    :raises KeyError: none was.
    """
    return _SHARED[name]


def forget_crm(name: str) -> None:
    """Drop a shared CRM with all it holds; the next connection finds an empty one."""
    _SHARED.pop(name, None)


class MemorySettings(BaseModel):
    """The settings of a connection.

    Connections with the same ``name`` see the same CRM as long as the process runs. ``external_key`` False makes a CRM
    that cannot store our keys; it is settled by the first connection.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(default="default", max_length=255)
    external_key: bool = True


class MemoryProvider(ContactVerbs):
    """One connection to a `MemoryCRM`."""

    provider_name = "memory"

    def __init__(self, crm: MemoryCRM) -> None:
        super().__init__()
        self.crm = crm

    def supports_feature(self, feature: CRMFeature) -> bool:
        return self.crm.external_key if feature is CRMFeature.EXTERNAL_KEY else feature in _FEATURES

    async def test_connection(self) -> ConnectionReport:
        warnings = () if self.crm.external_key else ("this CRM stores no external keys",)
        return ConnectionReport(organisation=self.crm.name, user="memory", warnings=warnings)

    async def records(self, object_name: str) -> RecordStore:
        if object_name == EMAIL_ACTIVITY:
            return ActivityRecords(self.log_email_activities)
        store = self.crm.objects.get(object_name)
        if store is None:
            there = ", ".join((*self.crm.objects, EMAIL_ACTIVITY))
            raise SchemaChangedError(f"there is no object {object_name!r} (there are: {there})")
        return store

    def contact_mapping(self) -> ObjectMapping:
        return ObjectMapping(fields=CONTACT_FIELDS)

    async def sync_campaign(self, campaign: CRMCampaign) -> CRMSyncResult:
        """Create the campaign, or update the one with its id or exact name."""
        store = self.crm.objects["Campaign"]
        fields = _campaign_fields(campaign)
        if campaign.id:
            found = list((await store.get([campaign.id], fields=list(fields))).values())
        else:
            found = list(await store.find("Name", [campaign.name], fields=list(fields)))
        if len(found) > 1:
            return _failed("ambiguous", f"{len(found)} campaigns have this name; give an id")
        if campaign.id and not found:
            return _failed("not_found", "there is no campaign with this id")
        return await _saved(store, found[0] if found else None, fields)

    async def log_email_activity(self, activity: EmailActivity) -> CRMSyncResult:
        """Record the event once, however often it is logged; ``crm_id`` is the event's."""
        contact = await self._member(activity.email)
        if isinstance(contact, CRMSyncResult):
            return contact
        if activity.campaign_id and not await self._has_campaign(activity.campaign_id):
            return _failed("not_found", "there is no campaign with this id")
        known = self.crm.activities.get(activity)
        if known is not None:
            return CRMSyncResult(action=SyncAction.UNCHANGED, crm_id=known)
        made = f"00T{len(self.crm.activities) + 1:06d}"
        self.crm.activities[activity] = made
        return CRMSyncResult(action=SyncAction.CREATED, crm_id=made)

    async def sync_list_membership(self, members: CRMList, *, remove_others: bool = False) -> BulkSyncResult:
        """Make these contacts members of the list with this id or name; a new name makes a list.

        ``crm_id`` of a result is the contact's. An e-mail that no contact or more than one has fails alone; members
        that it could mean stay members, and with ``remove_others`` nobody else does.
        """
        found = self._list(members)
        if found is None:
            return BulkSyncResult(
                results=tuple(_failed("not_found", "there is no list with this id") for _ in members.member_emails)
            )
        results: list[CRMSyncResult] = []
        stay: set[str] = set()
        for email in members.member_emails:
            contact = await self._member(email)
            if isinstance(contact, CRMSyncResult):
                results.append(contact)
                stay.update(record.id for record in await self._with_email(email) if record.id in found.members)
                continue
            known = contact.id in found.members or contact.id in stay
            stay.add(contact.id)
            results.append(
                CRMSyncResult(action=SyncAction.UNCHANGED if known else SyncAction.CREATED, crm_id=contact.id)
            )
        found.members = stay if remove_others else found.members | stay
        return BulkSyncResult(results=tuple(results))

    def _list(self, wanted: CRMList) -> MemoryList | None:
        if wanted.id:
            return self.crm.lists.get(wanted.id)
        for known in self.crm.lists.values():
            if known.name == wanted.name:
                return known
        made = MemoryList(f"00L{len(self.crm.lists) + 1:06d}", wanted.name)
        return self.crm.lists.setdefault(made.id, made)

    async def _has_campaign(self, campaign_id: str) -> bool:
        return bool(await self.crm.objects["Campaign"].get([campaign_id], fields=["Name"]))

    async def _with_email(self, email: str) -> Sequence[Record]:
        return await self.crm.objects["Contact"].find("Email", [email], fields=["Email"])

    async def _member(self, email: str) -> Record | CRMSyncResult:
        found = await self._with_email(email)
        if len(found) > 1:
            return _failed("ambiguous", f"{len(found)} contacts have this e-mail")
        return found[0] if found else _failed("not_found", "no contact has this e-mail")


class MemoryProviderFactory:
    """What the entry point ``memory`` names."""

    name = "memory"

    def default_mappings(self) -> Mapping[str, ObjectMapping]:
        match = MatchKeys(local_email="email", remote_email="Email")
        return {"Contact": ObjectMapping(fields=CONTACT_FIELDS, match=match), EMAIL_ACTIVITY: ACTIVITIES}

    def parents(self) -> Mapping[str, frozenset[str]]:
        """See `SupportsParents`: events are about contacts."""
        return {EMAIL_ACTIVITY: frozenset({"Contact"})}

    @asynccontextmanager
    async def open(
        self, settings: Mapping[str, Any], credentials: Mapping[str, SecretStr], context: ProviderContext
    ) -> AsyncIterator[MemoryProvider]:
        """Connect to the CRM of this name, made when it is first asked for.

        :raises ConfigurationError: names every setting that is unknown or unusable, and any credential.
        """
        try:
            checked = MemorySettings.model_validate(dict(settings))
        except ValidationError as error:
            faults = (f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors(include_input=False))
            raise ConfigurationError(f"settings of the memory provider: {'; '.join(faults)}") from None
        if credentials:
            raise ConfigurationError(f"the memory provider takes no credentials (given: {', '.join(credentials)})")
        if checked.name not in _SHARED:
            _SHARED[checked.name] = MemoryCRM(checked.name, external_key=checked.external_key, clock=context.clock)
        yield MemoryProvider(_SHARED[checked.name])


def _campaign_fields(campaign: CRMCampaign) -> dict[str, object]:
    """The fields that were given; what was not is left as it is."""
    given = {
        "Name": campaign.name,
        "Status": campaign.status,
        "StartDate": campaign.start_date,
        "EndDate": campaign.end_date,
        "MemberCount": campaign.member_count,
    }
    named = {name.title().replace("_", "") for name in campaign.model_fields_set}
    stats = campaign.email_stats
    counts = {name.title(): getattr(stats, name) for name in stats.model_fields_set}
    if campaign.member_count is None:
        named.discard("MemberCount")
    known = {name: value for name, value in counts.items() if value is not None}
    return {name: value for name, value in given.items() if name in named} | known


async def _saved(store: MemoryRecordStore, record: Record | None, fields: Mapping[str, object]) -> CRMSyncResult:
    if record is not None and all(record.fields.get(name) == value for name, value in fields.items()):
        return CRMSyncResult(action=SyncAction.UNCHANGED, crm_id=record.id)
    kind = OperationKind.CREATE if record is None else OperationKind.UPDATE
    [outcome] = await store.write([Operation("save", kind, record.id if record else None, fields=fields)])
    if outcome.ok:
        return CRMSyncResult(action=SyncAction(outcome.status.value), crm_id=outcome.id)
    return _failed("rejected", outcome.error.message if outcome.error else "the record is gone")


def _failed(code: str, message: str) -> CRMSyncResult:
    return CRMSyncResult(action=SyncAction.FAILED, code=code, error=message)
