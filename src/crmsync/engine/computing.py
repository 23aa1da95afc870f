"""A side whose records have computed fields, which the store behind it knows nothing of."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import attrs

from crmsync.engine.metering import MeteredStore
from crmsync.engine.tally import SideTally
from crmsync.errors import RecordError, RejectedError
from crmsync.models.records import ChangePage, Operation, OperationKind, Outcome, Record
from crmsync.protocols.conversion import ComputedRule, Expansion
from crmsync.protocols.records import RecordStore


class ComputingStore(MeteredStore):
    """A `MeteredStore` that adds computed fields to what is read, and takes them apart in what is written.

    It asks its store for the fields that they are made of only if it is asked for those.
    """

    def __init__(self, store: RecordStore, tally: SideTally, rule: ComputedRule) -> None:
        super().__init__(store, tally)
        self._rule = rule

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        """The wrapped store's."""
        page = await super().changes(cursor, fields=fields, limit=limit)
        return attrs.evolve(page, records=tuple(map(self._attached, page.records)))

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        """The wrapped store's."""
        found = await super().get(ids, fields=fields)
        return {name: self._attached(record) for name, record in found.items()}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The wrapped store's."""
        return [self._attached(record) for record in await super().find(field, values, fields=fields)]

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The wrapped store's."""
        return [self._attached(record) for record in await super().find_by_key(keys, fields=fields)]

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """The wrapped store's; a computed field that cannot be taken apart is left unwritten."""
        expansions = [self._expanded(operation) for operation in operations]
        plain = [
            attrs.evolve(operation, fields=expansion.fields)
            for operation, expansion in zip(operations, expansions, strict=True)
        ]
        outcomes = await super().write(plain)
        if [outcome.op_id for outcome in outcomes] != [operation.op_id for operation in operations]:
            return outcomes  # the caller finds fault with it
        return [self._answered(*pair) for pair in zip(outcomes, expansions, strict=True)]

    def _attached(self, record: Record) -> Record:
        return attrs.evolve(record, fields=self._rule.attach(record.fields))

    def _expanded(self, operation: Operation) -> Expansion:
        held = None if operation.kind is OperationKind.CREATE else operation.held
        return self._rule.expand(operation.fields, held)

    def _answered(self, outcome: Outcome, expansion: Expansion) -> Outcome:
        stored = self._attached(outcome.stored) if outcome.stored is not None else None
        named = tuple(_renamed(error, expansion.origins) for error in outcome.unwritten)
        refused = tuple(
            RejectedError(message, code="not_invertible", field=name) for name, message in expansion.refused.items()
        )
        if outcome.ok:
            return attrs.evolve(outcome, stored=stored, unwritten=(*named, *refused))
        return outcome


def open_side(store: RecordStore, tally: SideTally, rule: ComputedRule | None) -> MeteredStore:
    """A side as a run sees it."""
    return MeteredStore(store, tally) if rule is None else ComputingStore(store, tally, rule)


def _renamed(error: RecordError, origins: Mapping[str, str]) -> RecordError:
    """An error of a field with the name of the computed field that it was written for."""
    name = origins.get(error.field or "")
    if name is None:
        return error
    renamed = copy.copy(error)
    renamed.field = name
    return renamed
