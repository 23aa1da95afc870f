"""Writing a batch of operations: plan, choose a channel for each part, send, and put the outcomes in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

import anyio
from anyio import to_thread

from crmsync.errors import CRMError
from crmsync.models.records import Operation, Outcome
from crmsync.providers.salesforce.bulk.csv_text import carries
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.settings import ChannelName
from crmsync.providers.salesforce.writing.bulk import Begun, BulkChannel
from crmsync.providers.salesforce.writing.choice import NO_DUPLICATE_HEADER, Choice, choose
from crmsync.providers.salesforce.writing.collections import CollectionsChannel
from crmsync.providers.salesforce.writing.outcomes import Sent
from crmsync.providers.salesforce.writing.rows import Row, Verb, WritePlan, plan_writes

_Send: TypeAlias = Callable[[Verb, Sequence[Row]], Awaitable[Sent]]
"""As `Channel.send`."""

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
        plan, begun = await self._planned(operations)
        sent = Sent()
        for by_verb in plan.rounds:
            await self._round(by_verb, begun, sent)
            begun = {}
        sent.raise_if_nothing_arrived()
        outcomes = {**plan.outcomes, **sent.outcomes}
        return [outcomes[position] for position in range(len(operations))]

    async def _planned(self, operations: Sequence[Operation]) -> tuple[WritePlan, dict[Verb, Begun]]:
        """The plan, and the jobs that were created while it was made: one, where it is certain that there must be one.

        :raises BudgetExceededError: nothing was sent.
        """
        verb = self._certain_job(operations)
        if verb is None:
            return plan_writes(operations, self._sobject, self._key_field), {}
        await self._bulk.prepay()
        begun: dict[Verb, Begun] = {}

        async def begin() -> None:
            begun[verb] = await self._bulk.begin(verb)

        async with anyio.create_task_group() as group:
            group.start_soon(begin)
            # In a thread: on its own, the call would not leave before all of the rows are planned.
            plan = await to_thread.run_sync(plan_writes, operations, self._sobject, self._key_field)
        return plan, begun

    def _certain_job(self, operations: Sequence[Operation]) -> Verb | None:
        """What a job will do that is needed whatever becomes of the others: the one of the first operation's row."""
        first = plan_writes(operations[:1], self._sobject, self._key_field).rounds
        for verb, (row,) in first[0].items() if first else ():
            kind, keyed = operations[0].kind, verb is Verb.UPSERT
            alike = sum(each.kind is kind and not (keyed and each.key is None) for each in operations)
            bulk = verb.repeatable and self.choice(alike, verb).channel is ChannelName.BULK
            return verb if bulk and carries(row.values) else None
        return None

    async def _round(self, by_verb: Mapping[Verb, Sequence[Row]], begun: Mapping[Verb, Begun], sent: Sent) -> None:
        errors: list[CRMError] = []
        async with anyio.create_task_group() as group:
            for verb, rows in by_verb.items():
                for send, part in self._routes(verb, rows, begun.get(verb)):
                    group.start_soon(self._send, send, verb, part, sent, errors)
        if errors:
            raise errors[0]

    def _routes(self, verb: Verb, rows: Sequence[Row], begun: Begun | None) -> list[tuple[_Send, Sequence[Row]]]:
        """The rows by channel. An insert has no key that its result could be told by: it never goes through a job."""
        bulk = begun is not None or self.choice(len(rows), verb).channel is ChannelName.BULK
        if not verb.repeatable or not bulk:
            return [(self._collections.send, rows)]
        fit, unfit = list[Row](), list[Row]()
        for row in rows:
            (fit if carries(row.values) else unfit).append(row)
        routes: list[tuple[_Send, Sequence[Row]]] = [
            (partial(self._by_job, begun), fit),
            (self._collections.send, unfit),
        ]
        return [(send, part) for send, part in routes if part]

    async def _by_job(self, begun: Begun | None, verb: Verb, rows: Sequence[Row]) -> Sent:
        """Rows through jobs, and what these leave through collections."""
        answer = await self._bulk.send(verb, rows, begun)
        if left := self._left(rows, answer):
            answer.add(await self._collections.send(verb, left))
        return answer

    @staticmethod
    async def _send(send: _Send, verb: Verb, rows: Sequence[Row], sent: Sent, errors: list[CRMError]) -> None:
        try:
            sent.add(await send(verb, rows))
        except CRMError as error:
            errors.append(error)

    def _left(self, rows: Sequence[Row], answer: Sent) -> list[Row]:
        """Rows to send another way: those that a job lost sight of, and, unless it must be bulk, those it never got."""
        refused = set(answer.failures) if not self._bulk.works and self._choosing else set[int]()
        return [row for row in rows if row.position not in answer.outcomes or row.position in refused]

    @property
    def _choosing(self) -> bool:
        return self._client.settings.channel is ChannelName.AUTO
