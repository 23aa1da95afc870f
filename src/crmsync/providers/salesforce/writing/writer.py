"""Writing a batch of operations: plan, choose a channel for each part, send, and put the outcomes in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import anyio

from crmsync.errors import CRMError
from crmsync.models.records import Operation, Outcome
from crmsync.providers.salesforce.bulk.csv_text import carries
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.settings import ChannelName
from crmsync.providers.salesforce.writing.bulk import BulkChannel
from crmsync.providers.salesforce.writing.choice import NO_DUPLICATE_HEADER, Choice, choose
from crmsync.providers.salesforce.writing.collections import CollectionsChannel
from crmsync.providers.salesforce.writing.outcomes import Channel, Sent
from crmsync.providers.salesforce.writing.rows import Row, Verb, plan_writes

LARGE: Final = 10_000
"""Operations of the largest write: as many as Salesforce puts into one batch of a bulk job."""
MODERATE: Final = 2_000


class Writer:
    """Writes the records of one object."""

    def __init__(
        self,
        client: SalesforceClient,
        sobject: SObject,
        key_field: str | None,
        collections: CollectionsChannel,
        bulk: BulkChannel,
    ) -> None:
        self._client = client
        self._sobject = sobject
        self._key_field = key_field
        self._collections = collections
        self._bulk = bulk

    @property
    def batch(self) -> int:
        """Operations that make a good write at present: many where they would go through a bulk job.

        Of an org whose pace is not known the first ones are few and go as collections, if there are calls for that:
        what these take decides about the others.
        """
        if self.choice(LARGE).channel is not ChannelName.BULK:
            return MODERATE
        guessed = self._choosing and self._client.pace.collection is None
        return MODERATE if guessed and self.choice(MODERATE).channel is ChannelName.COLLECTIONS else LARGE

    def choice(self, rows: int, verb: Verb = Verb.UPSERT) -> Choice:
        """The channel for so many rows at present."""
        client = self._client
        no_bulk = "" if self._bulk.works else "the org refused a bulk job"
        if client.settings.allow_duplicates and verb is not Verb.DELETE:
            no_bulk = NO_DUPLICATE_HEADER
        wanted, most = client.settings.channel, client.settings.collections_per_call
        return choose(rows, client.pace, client.calls_left, wanted=wanted, no_bulk=no_bulk, most=most)

    async def write(self, operations: Sequence[Operation]) -> list[Outcome]:
        """One outcome for each operation, in order.

        :raises BudgetExceededError: before anything was sent.
        :raises ProviderError: every call failed as a whole, or a bulk job cannot be followed.
        """
        plan = plan_writes(operations, self._sobject, self._key_field)
        sent = Sent()
        for by_verb in plan.rounds:
            await self._round(by_verb, sent)
        sent.raise_if_nothing_arrived()
        outcomes = {**plan.outcomes, **sent.outcomes}
        return [outcomes[position] for position in range(len(operations))]

    async def _round(self, by_verb: Mapping[Verb, Sequence[Row]], sent: Sent) -> None:
        errors: list[CRMError] = []
        async with anyio.create_task_group() as group:
            for verb, rows in by_verb.items():
                for channel, part in self._routes(verb, rows):
                    group.start_soon(self._send, channel, verb, part, sent, errors)
        if errors:
            raise errors[0]

    def _routes(self, verb: Verb, rows: Sequence[Row]) -> list[tuple[Channel, Sequence[Row]]]:
        """The rows by channel. An insert has no key that its result could be told by: it never goes through a job."""
        if not verb.repeatable or self.choice(len(rows), verb).channel is ChannelName.COLLECTIONS:
            return [(self._collections, rows)]
        fit, unfit = list[Row](), list[Row]()
        for row in rows:
            (fit if carries(row.values) else unfit).append(row)
        routes: list[tuple[Channel, Sequence[Row]]] = [(self._bulk, fit), (self._collections, unfit)]
        return [(channel, part) for channel, part in routes if part]

    async def _send(
        self, channel: Channel, verb: Verb, rows: Sequence[Row], sent: Sent, errors: list[CRMError]
    ) -> None:
        try:
            answer = await channel.send(verb, rows)
            sent.add(answer)
            if channel is self._bulk and (left := self._left(rows, answer)):
                sent.add(await self._collections.send(verb, left))
        except CRMError as error:
            errors.append(error)

    def _left(self, rows: Sequence[Row], answer: Sent) -> list[Row]:
        """Rows to send another way: those that a job lost sight of, and, unless it must be bulk, those it never got."""
        refused = set(answer.failures) if not self._bulk.works and self._choosing else set[int]()
        return [row for row in rows if row.position not in answer.outcomes or row.position in refused]

    @property
    def _choosing(self) -> bool:
        return self._client.settings.channel is ChannelName.AUTO
