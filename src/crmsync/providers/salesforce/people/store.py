"""Contacts and leads as one `RecordStore`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import anyio
import attrs

from crmsync.errors import CRMError, SafetyStopError, SchemaChangedError, TransientError
from crmsync.models.calls import CallEstimate, StoreUse, StoreVerb
from crmsync.models.records import ChangePage, Operation, OperationKind, Outcome, OutcomeStatus, Record, StoreLimits
from crmsync.models.schema import ObjectSchema
from crmsync.providers.salesforce.people.births import COMPANY, Births
from crmsync.providers.salesforce.people.cursor import PeopleCursor, Turn
from crmsync.providers.salesforce.people.options import PERSON
from crmsync.providers.salesforce.records import SalesforceRecordStore
from crmsync.providers.salesforce.writing.writer import LARGE


@attrs.frozen(slots=True)
class _Home:
    """Where a new person's key is held already; ``record_id`` None: a create there finds it by itself."""

    store: SalesforceRecordStore
    record_id: str | None = None


class PeopleStore:
    """The people of an org, each a contact or a lead.

    A new person becomes a lead, unless ``births`` says otherwise; an id tells which object a record is of. Of a person
    who is both, the contact stands before the lead, and a key that both carry is the contact's. A converted lead is
    gone, merged into its contact; its key still finds the contact. ``leads`` is a store that follows conversion.
    """

    def __init__(
        self, contacts: SalesforceRecordStore, leads: SalesforceRecordStore, schema: ObjectSchema, births: Births
    ) -> None:
        self._contacts = contacts
        self._leads = leads
        self._schema = schema
        self._births = births
        self._by_prefix = {store.key_prefix: store for store in (contacts, leads)}

    def __repr__(self) -> str:
        return f"<PeopleStore {self.name!r}>"

    @property
    def name(self) -> str:
        return PERSON

    @property
    def limits(self) -> StoreLimits:
        both = (self._contacts.limits, self._leads.limits)
        return attrs.evolve(
            both[0],
            write_batch=min(limits.write_batch for limits in both),
            external_key=all(limits.external_key for limits in both),
        )

    async def describe(self) -> ObjectSchema:
        return self._schema

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        at = PeopleCursor() if cursor is None else PeopleCursor.decode(cursor)
        if at.turn is Turn.LEADS:
            page = await self._leads.changes(at.leads, fields=fields, limit=limit)
            turn = Turn.LEADS if page.has_more else Turn.CONTACTS
            at = attrs.evolve(at, leads=page.cursor, turn=turn, scanned=page.complete_scan)
            return ChangePage(self._read(page.records), at.encode(), has_more=True)
        page = await self._contacts.changes(at.contacts, fields=self._asked(fields), limit=limit)
        page = attrs.evolve(page, records=self._read(page.records))
        if page.has_more:
            return attrs.evolve(page, cursor=attrs.evolve(at, contacts=page.cursor).encode(), total=None)
        following = PeopleCursor(at.leads, page.cursor)
        complete = at.scanned and page.complete_scan
        return attrs.evolve(page, cursor=following.encode(), complete_scan=complete, total=None)

    def known_until(self, cursor: str) -> datetime | None:
        """Until when the changes before a position are all known, of both objects."""
        at = PeopleCursor.decode(cursor)
        told = [
            store.known_until(place)
            for store, place in ((self._leads, at.leads), (self._contacts, at.contacts))
            if place is not None
        ]
        return min((moment for moment in told if moment is not None), default=None)

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        found: dict[str, Record] = {}
        for store, asked in ((self._contacts, self._asked(fields)), (self._leads, fields)):
            records = await store.get([each for each in ids if self._store_of(each) is store], fields=asked)
            found |= {asked: self._births.read(record) for asked, record in records.items()}
        return found

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        described = self._schema.field(field)
        if described is None or not described.readable:
            raise SchemaChangedError(f"{self.name} has no field {field!r}, or hides it")
        leads = self._read(await self._leads.find(field, values, fields=fields))
        theirs = self._births.of_contact(field)
        if theirs == COMPANY:
            return leads
        return [*self._read(await self._contacts.find(theirs, values, fields=self._asked(fields))), *leads]

    def foremost(self, records: Sequence[Record]) -> Sequence[Record]:
        """See `SupportsPrecedence`: the contacts, if there are any."""
        return [record for record in records if self._store_of(record.id) is self._contacts] or records

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        contacts = self._read(await self._contacts.find_by_key(keys, fields=self._asked(fields)))
        held = {record.key for record in contacts}
        leads = await self._leads.keyed([key for key in keys if key not in held], fields)
        converted = [record for record in leads if record.deleted]
        heirs = await self._heirs(converted, fields)
        return [
            *contacts,
            *self._read(record for record in leads if not record.deleted),
            *(attrs.evolve(heirs[lead.id], key=lead.key) for lead in converted if lead.id in heirs),
        ]

    async def _heirs(self, converted: Sequence[Record], fields: Sequence[str]) -> dict[str, Record]:
        """The contacts that leads became, by the lead's id; a contact that is gone is left out."""
        heirs = {lead.id: lead.merged_into for lead in converted if lead.merged_into}
        contacts = await self._contacts.get(list(heirs.values()), fields=self._asked(fields))
        return {lead: self._births.read(contacts[heir]) for lead, heir in heirs.items() if heir in contacts}

    async def merged_into(self, survivors: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `SupportsMerges`: merged contacts, leads that became one of them, and leads merged into these."""
        contacts = [each for each in survivors if self._store_of(each) is self._contacts]
        losers = self._read(await self._contacts.merged_into(contacts, fields=self._asked(fields)))
        became = [*contacts, *(loser.id for loser in losers)]
        converted = self._read(await self._leads.converted_into(became, fields=fields))
        leads = [each for each in survivors if self._store_of(each) is self._leads]
        merged = self._read(await self._leads.merged_into([*leads, *(lead.id for lead in converted)], fields=fields))
        return list({record.id: record for record in (*losers, *converted, *merged)}.values())

    async def merged_away(self, ids: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `SupportsMerges`."""
        ours = [each for each in ids if self._store_of(each) is self._leads]
        leads = self._read(await self._leads.merged_away(ours, fields=fields))
        heirs = [lead.merged_into for lead in leads if lead.merged_into]
        contacts = [each for each in (*ids, *heirs) if self._store_of(each) is self._contacts]
        return [*leads, *self._read(await self._contacts.merged_away(contacts, fields=self._asked(fields)))]

    def estimate(self, use: StoreUse) -> CallEstimate:
        """See `SupportsCallEstimates`: as if every item were of both objects, at the most."""
        if use.verb is StoreVerb.WRITE:
            looks = (StoreVerb.FIND_BY_KEY, StoreVerb.GET) if self.limits.external_key else ()
            return self._estimate(use, StoreVerb.WRITE, *looks)
        heirs = (StoreVerb.GET,) if use.verb is StoreVerb.FIND_BY_KEY else ()
        return self._estimate(use, use.verb, *heirs)

    def _estimate(self, use: StoreUse, *verbs: StoreVerb) -> CallEstimate:
        """What each of these takes on both objects; what is likely is that of the first, on leads."""
        theirs = attrs.evolve(use, fields=tuple(self._asked(use.fields)), field=self._births.of_contact(use.field))
        uses = ((self._leads, use), (self._contacts, theirs))
        told = [store.estimate(attrs.evolve(each, verb=verb)) for verb in verbs for store, each in uses]
        return CallEstimate(sum(each.most for each in told), told[0].likely)

    async def settle_jobs(self) -> None:
        await self._contacts.settle_jobs()

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        if len(operations) > LARGE:
            raise ValueError(f"{len(operations)} operations in one write; this store takes {LARGE}")
        outcomes: dict[int, Outcome] = {}
        parts: dict[SalesforceRecordStore, dict[int, Operation]] = {}
        homes = await self._homes(operations)
        for position, operation in enumerate(operations):
            store, routed = self._routed(operation, homes)
            if store is None:
                outcomes[position] = Outcome(operation.op_id, OutcomeStatus.MISSING, operation.id)
            else:
                parts.setdefault(store, {})[position] = routed
        outcomes |= await self._sent(parts)
        return [outcomes[position] for position in range(len(operations))]

    async def _homes(self, operations: Sequence[Operation]) -> dict[str, _Home]:
        """By key, the new people who are there already, but not as what they would become."""
        creates = {op.key: op for op in operations if op.kind is OperationKind.CREATE and op.key is not None}
        if not creates or not self.limits.external_key:
            return {}
        contacts = [key for key, op in creates.items() if self._births.is_contact(op.fields)]
        leads = [key for key in creates if key not in set(contacts)]
        homes = {
            record.key: _Home(self._contacts, record.id)
            for record in (await self._contacts.find_by_key(leads, fields=()) if leads else ())
            if record.key
        }
        held = await self._leads.keyed(contacts, ()) if contacts else ()
        heirs = await self._heirs([record for record in held if record.deleted], ())
        for record in held:
            if record.key and not record.deleted:
                homes[record.key] = _Home(self._leads)
            elif record.key and record.id in heirs:
                homes[record.key] = _Home(self._contacts, heirs[record.id].id)
        return homes

    def _routed(
        self, operation: Operation, homes: Mapping[str, _Home]
    ) -> tuple[SalesforceRecordStore | None, Operation]:
        """The operation as the store takes it that it belongs to; None where its record cannot exist."""
        births, creates = self._births, operation.kind is OperationKind.CREATE
        if not creates:
            store = self._store_of(operation.id or "")
        elif home := homes.get(operation.key or ""):
            store = home.store
            if home.record_id:
                operation = attrs.evolve(operation, kind=OperationKind.UPDATE, id=home.record_id)
        else:
            store = self._contacts if births.is_contact(operation.fields) else self._leads
        if store is self._leads and operation.kind is not OperationKind.DELETE:
            operation = attrs.evolve(operation, fields=births.as_lead(operation.fields, creates=creates))
        elif store is self._contacts:
            operation = attrs.evolve(operation, fields=births.as_contact(operation.fields, creates=creates))
        return store, operation

    async def _sent(self, parts: Mapping[SalesforceRecordStore, Mapping[int, Operation]]) -> dict[int, Outcome]:
        """Each object's operations written. Where only one object's failed as a whole, its rows say so.

        :raises CRMError: those of all of them did. :raises BudgetExceededError: there were too few calls left.
        """
        outcomes: dict[int, Outcome] = {}
        errors: list[CRMError] = []

        async def send(store: SalesforceRecordStore, part: Mapping[int, Operation]) -> None:
            try:
                answers = await store.write(list(part.values()))
            except CRMError as error:
                errors.append(error)
                answers = [Outcome(op.op_id, OutcomeStatus.FAILED, op.id, error) for op in part.values()]
            outcomes.update(zip(part, map(self._births.answered, answers), strict=True))

        async with anyio.create_task_group() as group:
            for store, part in parts.items():
                group.start_soon(send, store, part)
        # What stops the run comes first, and what waiting may mend last.
        errors.sort(key=lambda error: (not isinstance(error, SafetyStopError), isinstance(error, TransientError)))
        if errors and (len(errors) == len(parts) or isinstance(errors[0], SafetyStopError)):
            raise errors[0]
        return outcomes

    def _asked(self, fields: Sequence[str]) -> Sequence[str]:
        """Fields of people as contacts call them."""
        return [self._births.of_contact(name) for name in fields]

    def _store_of(self, record_id: str) -> SalesforceRecordStore | None:
        return self._by_prefix.get(record_id[:3])

    def _read(self, records: Iterable[Record]) -> tuple[Record, ...]:
        return tuple(self._births.read(record) for record in records)
