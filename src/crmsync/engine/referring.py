"""A side whose references lead to records of another synced object: what is written there as its own id is read as the
id of the record that this one is linked to.

Between the two sides a reference is the CRM's id. The local side holds the local id of the same record, so it is put in
the CRM's place as it is read, and back as it is written. A record that is linked to none yet is `Unlinked`: the field
waits, and is tried again in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from crmsync.engine.context import ASIDE
from crmsync.engine.metering import MeteredStore
from crmsync.engine.tally import SideTally
from crmsync.errors import RejectedError
from crmsync.mapping import normal_id
from crmsync.models.calls import CallEstimate, StoreUse
from crmsync.models.records import ChangePage, Fields, Operation, Outcome, Record, Side, Unlinked
from crmsync.models.state import Link
from crmsync.protocols.conversion import RecordRule
from crmsync.protocols.records import RecordStore, SupportsCallEstimates
from crmsync.protocols.repository import SyncRepository


@attrs.frozen(slots=True)
class References:
    """One side's reference fields, each with the CRM's object that it leads to, and where links are looked up."""

    repository: SyncRepository
    integration_id: str
    side: Side
    objects: Mapping[str, str]

    async def read(self, records: Sequence[Record]) -> list[Record]:
        """The records with references as the CRM's ids."""
        known = await self._crm_ids(record.fields for record in records)
        return [attrs.evolve(record, fields=self._replaced(record.fields, known)) for record in records]

    async def local_ids(self, fields: Iterable[Fields]) -> Mapping[tuple[str, str], str]:
        """The local ids of the records that these fields lead to, by object and the CRM's id."""
        return {
            (name, crm_id): link.markmail_id
            for name, ids in self._named(fields).items()
            for crm_id, link in (await self._links(Side.REMOTE, name, ids)).items()
        }

    async def _crm_ids(self, fields: Iterable[Fields]) -> Mapping[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        for name, ids in self._named(fields).items():
            for own_id, link in (await self._links(self.side, name, ids)).items():
                if link.crm_id:
                    found[name, own_id] = link.crm_id
        return found

    async def _links(self, side: Side, object_name: str, ids: set[str]) -> dict[str, Link]:
        find = self.repository.links_by_local if side is Side.LOCAL else self.repository.links_by_remote
        links = await find(self.integration_id, object_name, sorted(ids))
        return {found: link for found, link in links.items() if link.status not in ASIDE}

    def _named(self, fields: Iterable[Fields]) -> dict[str, set[str]]:
        named: dict[str, set[str]] = {}
        for each in fields:
            for field, object_name in self.objects.items():
                if (found := self.spelt(each.get(field))) is not None:
                    named.setdefault(object_name, set()).add(found)
        return named

    def spelt(self, value: object) -> str | None:
        """A reference as links spell it; None for what is none."""
        if not isinstance(value, str) or not value.strip():
            return None
        return value.strip() if self.side is Side.LOCAL else normal_id(value.strip())

    def _replaced(self, fields: Fields, known: Mapping[tuple[str, str], str]) -> Fields:
        replaced = dict(fields)
        for field, object_name in self.objects.items():
            if (own := self.spelt(fields.get(field))) is not None:
                replaced[field] = known.get((object_name, own)) or Unlinked(own)
        return replaced


class ReferringStore(MeteredStore):
    """A `RecordStore` whose references are the CRM's ids on either side. Its time is measured by whoever wraps it."""

    def __init__(self, store: RecordStore, references: References) -> None:
        super().__init__(store, SideTally())
        self._references = references

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        """The wrapped store's."""
        page = await super().changes(cursor, fields=fields, limit=limit)
        return attrs.evolve(page, records=tuple(await self._references.read(page.records)))

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        """The wrapped store's."""
        found = await super().get(ids, fields=fields)
        return dict(zip(found, await self._references.read(list(found.values())), strict=True))

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The wrapped store's, by its own values."""
        return await self._references.read(await super().find(field, values, fields=fields))

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The wrapped store's."""
        return await self._references.read(await super().find_by_key(keys, fields=fields))

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """The wrapped store's; a reference to a record that is linked to none stays unwritten."""
        if self._references.side is Side.REMOTE:
            return await self._answered(await super().write(operations))
        return await self._write_own_ids(operations)

    def estimate(self, use: StoreUse) -> CallEstimate | None:
        """The wrapped store's, if it can say."""
        return self._store.estimate(use) if isinstance(self._store, SupportsCallEstimates) else None

    async def _write_own_ids(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        objects = self._references.objects
        known = await self._references.local_ids(operation.fields for operation in operations)
        writes: list[Operation] = []
        waiting: list[tuple[str, ...]] = []
        for operation in operations:
            ids = {name: value for name, value in operation.fields.items() if name in objects and value}
            own = {name: known.get((objects[name], str(value))) for name, value in ids.items()}
            lacking = tuple(name for name, found in own.items() if found is None)
            kept = {name: own.get(name) or value for name, value in operation.fields.items() if name not in lacking}
            writes.append(attrs.evolve(operation, fields=kept))
            waiting.append(lacking)
        outcomes = await self._answered(await super().write(writes))
        if len(outcomes) != len(waiting):
            return outcomes  # the caller finds fault with it
        return [
            attrs.evolve(outcome, unwritten=(*outcome.unwritten, *map(_not_linked, lacking))) if outcome.ok else outcome
            for outcome, lacking in zip(outcomes, waiting, strict=True)
        ]

    async def _answered(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        stored = await self._references.read([each.stored for each in outcomes if each.stored is not None])
        read = iter(stored)
        return [each if each.stored is None else attrs.evolve(each, stored=next(read)) for each in outcomes]


def referring(
    store: RecordStore, side: Side, rule: RecordRule, repository: SyncRepository, integration_id: str
) -> RecordStore:
    """The store of a side, with references to other objects looked up if the mapping has any."""
    objects = {
        (each.local if side is Side.LOCAL else each.remote): each.references for each in rule.rules if each.references
    }
    return ReferringStore(store, References(repository, integration_id, side, objects)) if objects else store


def _not_linked(field: str) -> RejectedError:
    return RejectedError("the record that it leads to is not linked yet", code="reference_not_linked", field=field)
