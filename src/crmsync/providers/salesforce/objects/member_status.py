"""The status of a campaign's member, which Salesforce may replace without a word.

A status that the campaign lacks becomes the campaign's default, and the save succeeds ("CampaignMember", Object
Reference). So the campaigns' statuses are read before one is written, and what is read back tells of one that was taken
away meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs

from crmsync.errors import AccessDeniedError, RecordError, RejectedError, SchemaChangedError
from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus, Record
from crmsync.providers.salesforce import retrieving, soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.rows import RowReader
from crmsync.providers.salesforce.writing.writer import Writer

MEMBER: Final = "CampaignMember"
STATUS: Final = "Status"
_CAMPAIGN: Final = "CampaignId"
_SAID: Final = "the campaign has no such member status, and Salesforce would give the member its default: add it there"
_REPLACED: Final = "the campaign has no such member status, and Salesforce gave the member its default: add it there"


def replaced_status(object_name: str, operation: Operation, stored: Record) -> tuple[RecordError, ...]:
    """What is to be said of a status that was written and is not the one that is stored. Case does not count."""
    wanted, held = _status(operation), stored.fields.get(STATUS)
    if object_name != MEMBER or wanted is None or not isinstance(held, str) or wanted.casefold() == held.casefold():
        return ()
    return (unknown_status(_REPLACED, STATUS),)


def unknown_status(message: str, field: str | None = None) -> RejectedError:
    """The error of a status that a campaign lacks."""
    return RejectedError(message, code="unknown_status", field=field)


class CampaignStatuses:
    """Which statuses the members of campaigns can have.

    What a campaign has is remembered; what it lacks is asked for again, since it can be added at any time.
    """

    def __init__(self, client: SalesforceClient) -> None:
        self._client = client
        self._known: dict[str, frozenset[str]] = {}

    async def lacking(self, wanted: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Those pairs of a campaign's 18-character id and a status of which the campaign is known to lack the status.

        A campaign that shows no status at all, or statuses that are hidden from this user, tell nothing.
        """
        asked = dict.fromkeys(wanted)
        await self._look_up(dict.fromkeys(campaign for campaign, status in asked if not self._has(campaign, status)))
        return frozenset(pair for pair in asked if self._known.get(pair[0]) and not self._has(*pair))

    def _has(self, campaign: str, status: str) -> bool:
        return status.strip().casefold() in self._known.get(campaign, ())

    async def _look_up(self, campaigns: Iterable[str]) -> None:
        found: dict[str, set[str]] = {}
        try:
            for statement in soql.select_in((_CAMPAIGN, "Label"), "CampaignMemberStatus", _CAMPAIGN, campaigns):
                for row in await retrieving.query_all(self._client, statement):
                    label = str(row.get("Label") or "").strip().casefold()
                    found.setdefault(full_id(str(row.get(_CAMPAIGN))) or "", set()).add(label)
        except (AccessDeniedError, SchemaChangedError):
            return
        self._known.update((campaign, frozenset(labels)) for campaign, labels in found.items())


class StatusWriter:
    """Writes campaign members like a `Writer`, but for statuses that their campaigns lack: those stay unwritten."""

    def __init__(self, inner: Writer, client: SalesforceClient, reader: Callable[[], Awaitable[RowReader]]) -> None:
        self._inner = inner
        self._client = client
        self._reader = reader
        self._statuses = CampaignStatuses(client)

    @property
    def batch(self) -> int:
        """See `Writer.batch`."""
        return self._inner.batch

    async def write(self, operations: Sequence[Operation]) -> list[Outcome]:
        """See `Writer.write`."""
        refused = await self._refused(operations)
        if not refused:
            return await self._inner.write(operations)
        due = {position: operation for position, operation in enumerate(operations) if position not in refused}
        outcomes: dict[int, Outcome] = {}
        error = unknown_status(_SAID, STATUS)
        for position in refused:
            operation = operations[position]
            rest = {name: value for name, value in operation.fields.items() if name != STATUS}
            if rest or operation.kind is OperationKind.CREATE:
                due[position] = attrs.evolve(operation, fields=rest)
            else:
                outcomes[position] = Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, error)
        for position, outcome in zip(due, await self._inner.write(list(due.values())) if due else (), strict=True):
            told = attrs.evolve(outcome, unwritten=(*outcome.unwritten, error))
            outcomes[position] = told if position in refused and outcome.ok else outcome
        return [outcomes[position] for position in range(len(operations))]

    async def _refused(self, operations: Sequence[Operation]) -> frozenset[int]:
        """The positions of those whose campaign lacks the status that they ask for."""
        wanted = {position: status for position, operation in enumerate(operations) if (status := _status(operation))}
        campaigns = await self._campaigns({position: operations[position] for position in wanted})
        pairs = {position: (campaigns[position], wanted[position]) for position in wanted if position in campaigns}
        lacking = await self._statuses.lacking(pairs.values())
        return frozenset(position for position, pair in pairs.items() if pair in lacking)

    async def _campaigns(self, operations: Mapping[int, Operation]) -> Mapping[int, str]:
        """The campaign of each, as far as it can be told: a member that is there has its own."""
        members = {
            position: member
            for position, operation in operations.items()
            if operation.kind is OperationKind.UPDATE and (member := full_id(operation.id or ""))
        }
        found: Mapping[str, Record] = {}
        if members:
            ids = list(dict.fromkeys(members.values()))
            found = await retrieving.retrieve(self._client, await self._reader(), ids, (_CAMPAIGN,))
        campaigns: dict[int, str] = {}
        for position, operation in operations.items():
            held = found.get(members.get(position, ""))
            fields = operation.fields if held is None else held.fields
            if campaign := full_id(str(fields.get(_CAMPAIGN) or "")):
                campaigns[position] = campaign
        return campaigns


def _status(operation: Operation) -> str | None:
    """The status that is to be written, if one is."""
    status = operation.fields.get(STATUS)
    return status.strip() or None if isinstance(status, str) else None
