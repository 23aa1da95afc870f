"""Writing a batch of operations: plan, choose a channel for each part, send, and put the outcomes in order."""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.models.records import Operation, Outcome
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.writing.collections import CollectionsChannel
from crmsync.providers.salesforce.writing.outcomes import Sent
from crmsync.providers.salesforce.writing.rows import plan_writes


class Writer:
    """Writes the records of one object."""

    def __init__(self, sobject: SObject, key_field: str | None, collections: CollectionsChannel) -> None:
        self._sobject = sobject
        self._key_field = key_field
        self._collections = collections

    async def write(self, operations: Sequence[Operation]) -> list[Outcome]:
        """One outcome for each operation, in order.

        :raises BudgetExceededError: before anything was sent.
        :raises ProviderError: every call failed as a whole.
        """
        plan = plan_writes(operations, self._sobject, self._key_field)
        sent = Sent()
        for by_verb in plan.rounds:
            for verb, rows in by_verb.items():
                sent.add(await self._collections.send(verb, rows))
        sent.raise_if_nothing_arrived()
        outcomes = {**plan.outcomes, **sent.outcomes}
        return [outcomes[position] for position in range(len(operations))]
