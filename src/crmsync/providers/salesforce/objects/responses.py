"""E-mail events as memberships of their campaign: whoever opens or clicks has responded."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from crmsync.models.campaigns import EmailActivity, EmailActivityType
from crmsync.models.records import Operation, OperationKind, Outcome
from crmsync.models.results import CRMSyncResult, SyncAction
from crmsync.providers.salesforce import retrieving, soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.objects.consent import PersonChanges
from crmsync.providers.salesforce.objects.finding import Found, OpenStore
from crmsync.providers.salesforce.objects.results import failure, result_of, write_all

Event = tuple[int, EmailActivity, Found]
"""An event with its position among the inputs and its person."""

_RESPONSES: Final = (EmailActivityType.OPENED, EmailActivityType.CLICKED)


@attrs.frozen(slots=True)
class _Member:
    id: str
    responded: bool


@attrs.frozen(slots=True)
class Responses:
    """Records events on campaign members."""

    client: SalesforceClient
    open_store: OpenStore

    async def record(self, events: Sequence[Event]) -> dict[int, CRMSyncResult]:
        """The results by position; ``crm_id`` is the member's. An event without a campaign fails alone."""
        results: dict[int, CRMSyncResult] = {}
        known: list[Event] = []
        for event in events:
            if event[1].campaign_id and full_id(event[1].campaign_id):
                known.append(event)
            else:
                results[event[0]] = failure("no_campaign", "the event names no campaign of Salesforce")
        by_person: dict[str, tuple[Found, list[EmailActivity]]] = {}
        for _, activity, found in known:
            by_person.setdefault(found.id, (found, []))[1].append(activity)
        failures = await PersonChanges(self.open_store).apply(list(by_person.values()))
        results |= {position: failures[found.id] for position, _, found in known if found.id in failures}
        await self._save([event for event in known if event[2].id not in failures], results)
        return results

    async def _save(self, events: Sequence[Event], results: dict[int, CRMSyncResult]) -> None:
        if not events:
            return
        members = await self._members(events)
        responded = await self._responded({_campaign(activity) for _, activity, _ in events})
        together: dict[tuple[str, str], list[Event]] = {}
        for event in events:
            together.setdefault((_campaign(event[1]), event[2].id), []).append(event)
        operations: dict[tuple[str, str], Operation] = {}
        for pair, group in together.items():
            operation = _operation(pair, group, members.get(pair), responded.get(pair[0]))
            if operation is not None:
                operations[pair] = operation
        store = await self.open_store("CampaignMember")
        outcomes = dict(zip(operations, await write_all(store, list(operations.values())), strict=True))
        for pair, group in together.items():
            results.update(_results(group, members.get(pair), outcomes.get(pair)))

    async def _members(self, events: Sequence[Event]) -> Mapping[tuple[str, str], _Member]:
        """Memberships of these people, by campaign and person."""
        members: dict[tuple[str, str], _Member] = {}
        for kind in ("Contact", "Lead"):
            ids = dict.fromkeys(found.id for _, _, found in events if found.object_name == kind)
            columns = ("Id", "CampaignId", f"{kind}Id", "HasResponded")
            for statement in soql.select_in(columns, "CampaignMember", f"{kind}Id", ids):
                for row in await retrieving.query_all(self.client, statement):
                    pair = (full_id(str(row.get("CampaignId"))) or "", full_id(str(row.get(f"{kind}Id"))) or "")
                    members[pair] = _Member(str(row.get("Id")), row.get("HasResponded") is True)
        return members

    async def _responded(self, campaigns: Iterable[str]) -> Mapping[str, str]:
        """The first status of each campaign that counts as a response."""
        columns = ("CampaignId", "Label", "HasResponded", "SortOrder")
        statuses: list[Any] = []
        for statement in soql.select_in(columns, "CampaignMemberStatus", "CampaignId", sorted(campaigns)):
            statuses += await retrieving.query_all(self.client, statement)
        statuses.sort(key=lambda row: row.get("SortOrder") or 0, reverse=True)
        return {
            full_id(str(row.get("CampaignId"))) or "": str(row.get("Label"))
            for row in statuses
            if row.get("HasResponded") is True
        }


def _campaign(activity: EmailActivity) -> str:
    return full_id(activity.campaign_id or "") or ""


def _operation(
    pair: tuple[str, str], group: Sequence[Event], member: _Member | None, responded: str | None
) -> Operation | None:
    responds = any(activity.type in _RESPONSES for _, activity, _ in group)
    status: dict[str, object] = {"Status": responded} if responds and responded else {}
    if member is None:
        campaign, person = pair
        fields = {"CampaignId": campaign, f"{group[0][2].object_name}Id": person, **status}
        return Operation(uuid.uuid4().hex, OperationKind.CREATE, None, fields=fields)
    if status and not member.responded:
        return Operation(uuid.uuid4().hex, OperationKind.UPDATE, member.id, fields=status)
    return None


def _results(group: Sequence[Event], member: _Member | None, outcome: Outcome | None) -> dict[int, CRMSyncResult]:
    positions = [position for position, _, _ in group]
    if outcome is None:
        same = CRMSyncResult(action=SyncAction.UNCHANGED, crm_id=member.id if member else None)
        return dict.fromkeys(positions, same)
    result = result_of(outcome)
    again = result.model_copy(update={"action": SyncAction.UNCHANGED}) if result.success else result
    return {**dict.fromkeys(positions, again), positions[0]: result}
