"""Who is a member of the campaigns of tags: read, followed and changed for many people at once."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import anyio
import attrs

from crmsync.errors import AccessDeniedError, ConfigurationError, CRMError, DuplicateError, RecordError, RejectedError
from crmsync.models.calls import CallEstimate, StoreUse, StoreVerb
from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.objects.campaign_statuses import MEMBER, CampaignStatuses, Wanted
from crmsync.providers.salesforce.people.options import PERSON
from crmsync.providers.salesforce.retrieving import query, query_all
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.settings import SalesforceSettings
from crmsync.providers.salesforce.tags.campaigns import TagCampaigns
from crmsync.providers.salesforce.writing.collections import CollectionsChannel
from crmsync.providers.salesforce.writing.pages import MAX_ROWS
from crmsync.providers.salesforce.writing.reconciling import Reconciler
from crmsync.providers.salesforce.writing.rows import plan_writes

FIELD: Final = "CampaignTags"
"""The field that people get: no field of Salesforce's, so it has no name that one could have."""

PREFIXES: Final[Mapping[str, str]] = {"003": "ContactId", "00Q": "LeadId"}
"""The field of CampaignMember that holds a person, by how the person's id begins."""

TAGGED: Final = ("Contact", "Lead", PERSON)
"""The objects whose records can be members."""

_AROUND: Final = 200
"""Bytes of a query around its values."""
_MAKING: Final = 6
"""To make statuses: a describe, the org's id, two more looks, two creates."""
_ID_ENCODED: Final = 27
_ALREADY: Final = "DUPLICATE_VALUE"

Held = Mapping[str, Mapping[str, str]]
"""By person: the id of the membership of each campaign."""


@attrs.frozen(slots=True)
class Followed:
    """People whose memberships changed, and the id of the last membership looked at; ``more`` may follow it."""

    people: tuple[str, ...]
    last: str
    more: bool


class Members:
    """Members of the tags' campaigns. New ones get the settings' status; without one the campaign's default."""

    def __init__(
        self, sobject: SObject, campaigns: TagCampaigns, channel: CollectionsChannel, statuses: CampaignStatuses
    ) -> None:
        self.campaigns = campaigns
        self.sobject = sobject
        self.statuses = statuses
        self._client = statuses.client
        self._channel = channel
        self._status = self._client.settings.campaigns.member_status

    async def of(self, people: Iterable[str]) -> Held:
        """The memberships of these people, about 500 people a call."""
        asked = list(dict.fromkeys(people))
        held: dict[str, dict[str, str]] = {}
        for prefix, field in PREFIXES.items():
            ids = [person for person in asked if person.startswith(prefix)]
            for statement in soql.select_in(
                ("Id", "CampaignId", field), "CampaignMember", field, ids, also=self._of_campaigns()
            ):
                for row in await query_all(self._client, statement):
                    campaign, member = full_id(str(row.get("CampaignId"))), full_id(str(row.get(field)))
                    if campaign and member:
                        held.setdefault(member, {})[campaign] = str(row.get("Id"))
        return held

    def tags(self, memberships: Mapping[str, str]) -> tuple[str, ...]:
        """The tags of a person, in the order of the settings."""
        return tuple(tag for tag, campaign in self.campaigns.by_tag.items() if campaign in memberships)

    async def changed(self, since: datetime, after: str, size: int) -> Followed:
        """People who joined or left a campaign, or whose membership changed, since then: one call a page.

        Those who left are known as long as the membership is in the recycle bin.
        """
        conditions = [self._of_campaigns(), soql.compare("SystemModstamp", ">=", since)]
        if after:
            conditions.append(soql.compare("Id", ">", after))
        statement = soql.select(
            ("Id", *PREFIXES.values()),
            "CampaignMember",
            where=soql.every(*conditions),
            order_by=("Id",),
            limit=size,
        )
        _, rows, done = await query(self._client, statement, deleted=True)
        people = (full_id(str(row.get(field))) for row in rows for field in PREFIXES.values() if row.get(field))
        last = full_id(str(rows[-1].get("Id"))) or "" if rows else after
        return Followed(tuple(dict.fromkeys(p for p in people if p)), last, more=len(rows) == size or not done)

    async def save(self, wanted: Mapping[str, Sequence[str]], *, new: Container[str] = ()) -> Mapping[str, CRMError]:
        """Make people members of the campaigns of exactly these tags; what went wrong, by person.

        Those who are ``new`` were made just now: they are looked up nowhere.

        :raises ProviderError: the calls failed as a whole.
        """
        held = await self.of(person for person in wanted if person not in new)
        joining: list[tuple[str, Operation]] = []
        leaving: list[tuple[str, Operation]] = []
        for person, tags in wanted.items():
            campaigns = {self.campaigns.by_tag[tag] for tag in tags if tag in self.campaigns.by_tag}
            present = held.get(person, {})
            joining += [(person, self._join(person, campaign)) for campaign in sorted(campaigns - present.keys())]
            leaving += [
                (person, Operation(member, OperationKind.DELETE, member))
                for campaign, member in present.items()
                if campaign not in campaigns
            ]
        errors: dict[str, CRMError] = {}
        joining = await self._with_status(joining, errors)
        for asked in (joining, leaving):
            for (person, _), outcome in zip(asked, await self._write([op for _, op in asked]), strict=True):
                if outcome.error is not None and not _is_member(outcome.error):
                    errors.setdefault(person, outcome.error)
        return errors

    def statuses_of(self, campaigns: Iterable[str]) -> Sequence[Wanted]:
        """The status that new members get, in each of these campaigns; none without such a setting."""
        return [(campaign, self._status) for campaign in campaigns if self._status]

    async def _with_status(
        self, joining: Sequence[tuple[str, Operation]], errors: dict[str, CRMError]
    ) -> list[tuple[str, Operation]]:
        """Those who join a campaign that has the status now; of the others the error is noted."""
        refused = await self.statuses.provide(self.statuses_of(_campaign(operation) for _, operation in joining))
        why = {campaign: error for (campaign, _), error in refused.items()}
        errors.update((person, why[_campaign(op)]) for person, op in joining if _campaign(op) in why)
        return [each for each in joining if _campaign(each[1]) not in why]

    def estimate(self, use: StoreUse) -> CallEstimate:
        """What a use of a store of people takes besides: one person for each value, any number of tags changed."""
        room = soql.MAX_ENCODED - soql.encoded_length(self._of_campaigns()) - _AROUND
        queries = math.ceil(use.items / max(1, room // _ID_ENCODED))
        if use.verb is not StoreVerb.WRITE:
            return CallEstimate(queries, queries)
        rows = use.items * len(self.campaigns.by_tag)
        looks = int(bool(self._status))
        making = _MAKING if looks and self.statuses.creates else 0
        return CallEstimate(queries + rows + looks + making, queries + math.ceil(use.items / MAX_ROWS) + looks)

    def _join(self, person: str, campaign: str) -> Operation:
        fields: dict[str, object] = {"CampaignId": campaign, PREFIXES[person[:3]]: person}
        if self._status:
            fields["Status"] = self._status
        return Operation(f"{campaign} {person}", OperationKind.CREATE, None, fields=fields)

    async def _write(self, operations: Sequence[Operation]) -> list[Outcome]:
        plan = plan_writes(operations, self.sobject, None)
        outcomes = dict(plan.outcomes)
        for verb, rows in (pair for each in plan.rounds for pair in each.items()):
            sent = await self._channel.send(verb, rows)
            sent.raise_if_nothing_arrived()
            outcomes |= sent.outcomes
        return [outcomes[position] for position in range(len(operations))]

    def _of_campaigns(self) -> soql.Soql:
        return soql.contained("CampaignId", self.campaigns.by_tag.values())


def open_members(
    statuses: CampaignStatuses,
    sobject: SObject,
    campaigns: TagCampaigns,
    user_id: Callable[[], Awaitable[str | None]],
    limiter: anyio.CapacityLimiter,
) -> Members:
    """The members of a connection; ``sobject`` is CampaignMember."""
    client = statuses.client
    channel = CollectionsChannel(client, MEMBER, None, limiter, Reconciler(client, sobject, user_id))
    return Members(sobject, campaigns, channel, statuses)


async def tag_warnings(settings: SalesforceSettings, look_up: Callable[[], Awaitable[Members]]) -> list[str]:
    """What a test of the connection says about tags."""
    if not settings.campaigns.tags:
        return []
    try:
        members = await look_up()
    except (AccessDeniedError, ConfigurationError) as error:
        return [error.message]
    by_id = members.campaigns.by_id
    statuses = members.statuses
    refused = await statuses.impossible(await statuses.lacking(members.statuses_of(by_id)))
    why = {campaign: error.message for (campaign, _), error in refused.items()}
    wanted = settings.campaigns.member_status
    return [f"campaigns.tags.{tag}: nobody joins as {wanted!r}: {why[key]}" for key, tag in by_id.items() if key in why]


def _campaign(operation: Operation) -> str:
    return str(operation.fields["CampaignId"])


def _is_member(error: CRMError) -> bool:
    """Whether somebody else was a moment faster."""
    return isinstance(error, DuplicateError) and error.code == _ALREADY


def unwritten(error: CRMError) -> RecordError:
    """The error of a membership as one of the person's field."""
    code = error.code if isinstance(error, RecordError) else "unavailable"
    return RejectedError(f"the campaign: {error.message}", code=code, field=FIELD)


def outcome_of(operation: Operation, error: CRMError | None) -> Outcome:
    """The outcome of an operation that asks for nothing but memberships."""
    if error is None:
        return Outcome(operation.op_id, OutcomeStatus.UPDATED, operation.id)
    # A passing error stays one, so that the row is sent again.
    return Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, error if _passes(error) else unwritten(error))


def _passes(error: Any) -> bool:
    return not isinstance(error, RecordError)
