"""The status of a campaign's member, which Salesforce may replace without a word.

A status that the campaign lacks becomes the campaign's default, and the save succeeds ("CampaignMember", Object
Reference). So the campaigns' statuses are read before one is written, and what is read back tells of one that was taken
away meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

from crmsync.errors import RecordError
from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus, Record
from crmsync.providers.salesforce import retrieving
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.objects.campaign_statuses import (
    CAMPAIGN,
    MEMBER,
    REPLACED,
    STATUS,
    CampaignStatuses,
    Wanted,
    unknown_status,
)
from crmsync.providers.salesforce.rows import RowReader
from crmsync.providers.salesforce.writing.writer import Writer


def replaced_status(object_name: str, operation: Operation, stored: Record) -> tuple[RecordError, ...]:
    """What is to be said of a status that was written and is not the one that is stored. Case does not count."""
    wanted, held = _status(operation), stored.fields.get(STATUS)
    if object_name != MEMBER or wanted is None or not isinstance(held, str) or wanted.casefold() == held.casefold():
        return ()
    return (unknown_status(REPLACED),)


class StatusWriter:
    """Writes campaign members like a `Writer`, once their campaigns have the statuses.

    A status that its campaign lacks, and that is not to be made or cannot be, stays unwritten.
    """

    def __init__(
        self,
        inner: Writer,
        client: SalesforceClient,
        reader: Callable[[], Awaitable[RowReader]],
        statuses: CampaignStatuses,
    ) -> None:
        self._inner = inner
        self._client = client
        self._reader = reader
        self.statuses = statuses

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
        for position, error in refused.items():
            operation = operations[position]
            rest = {name: value for name, value in operation.fields.items() if name != STATUS}
            if rest or operation.kind is OperationKind.CREATE:
                due[position] = attrs.evolve(operation, fields=rest)
            else:
                outcomes[position] = Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, error)
        for position, outcome in zip(due, await self._inner.write(list(due.values())) if due else (), strict=True):
            told = refused.get(position) if outcome.ok else None
            outcomes[position] = attrs.evolve(outcome, unwritten=(*outcome.unwritten, told)) if told else outcome
        return [outcomes[position] for position in range(len(operations))]

    async def wanted(self, operations: Sequence[Operation]) -> Mapping[int, Wanted]:
        """By position: the campaign and the status that an operation asks for."""
        statuses = {position: status for position, operation in enumerate(operations) if (status := _status(operation))}
        campaigns = await self._campaigns({position: operations[position] for position in statuses})
        return {position: (campaign, statuses[position]) for position, campaign in campaigns.items()}

    async def _refused(self, operations: Sequence[Operation]) -> Mapping[int, RecordError]:
        """By position: why the status that is asked for cannot be written."""
        wanted = await self.wanted(operations)
        errors = await self.statuses.provide(wanted.values())
        return {position: errors[pair] for position, pair in wanted.items() if pair in errors}

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
            found = await retrieving.retrieve(self._client, await self._reader(), ids, (CAMPAIGN,))
        campaigns: dict[int, str] = {}
        for position, operation in operations.items():
            held = found.get(members.get(position, ""))
            fields = operation.fields if held is None else held.fields
            if campaign := full_id(str(fields.get(CAMPAIGN) or "")):
                campaigns[position] = campaign
        return campaigns


def _status(operation: Operation) -> str | None:
    """The status that is to be written, if one is."""
    status = operation.fields.get(STATUS)
    return status.strip() or None if isinstance(status, str) else None
