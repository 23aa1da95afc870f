"""One Salesforce object as a `RecordStore`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import anyio
import attrs

from crmsync.errors import CRMError, RejectedError, SchemaChangedError
from crmsync.models.calls import CallEstimate, StoreUse, StoreVerb
from crmsync.models.problems import Problem
from crmsync.models.records import ChangePage, Operation, OperationKind, Outcome, OutcomeStatus, Record, StoreLimits
from crmsync.models.schema import ObjectSchema
from crmsync.providers.salesforce import merges, retrieving
from crmsync.providers.salesforce.accounts.directory import Accounts
from crmsync.providers.salesforce.accounts.names import COMPANY
from crmsync.providers.salesforce.accounts.persons import Persons, PersonWriter
from crmsync.providers.salesforce.accounts.writer import AccountWriter
from crmsync.providers.salesforce.bulk.following import settle
from crmsync.providers.salesforce.changes import ChangeReader
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.cursor import Cursor
from crmsync.providers.salesforce.estimating import company_calls, estimate, person_calls, status_calls
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.loading.by_job import JobLoad
from crmsync.providers.salesforce.loading.first_load import FirstLoad
from crmsync.providers.salesforce.objects.campaign_statuses import MEMBER, STATUS, CampaignStatuses
from crmsync.providers.salesforce.objects.member_status import StatusWriter, replaced_status
from crmsync.providers.salesforce.objects.status_advice import status_advice
from crmsync.providers.salesforce.replication import ChangedIds, not_replicated
from crmsync.providers.salesforce.rows import CONVERTED_INTO, RowReader
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.settings import ChangeFeed
from crmsync.providers.salesforce.writing import Writer
from crmsync.providers.salesforce.writing.bulk import BulkChannel
from crmsync.providers.salesforce.writing.collections import CollectionsChannel
from crmsync.providers.salesforce.writing.reconciling import Reconciler
from crmsync.providers.salesforce.writing.rows import Writes
from crmsync.providers.salesforce.writing.writer import LARGE

_LOG = logging.getLogger(__name__)
MAX_PAGE = 2000
"""The largest batch of a query ("Change the Batch Size in Queries", SOQL and SOSL Reference)."""


class SalesforceRecordStore:
    """The records of one object.

    `write` takes 10,000 operations, sends them in pages of 200 or through a bulk job, and reads back what was stored,
    up to 10,000 records a call. Its limits say how many make a good batch at present. Fields that the user cannot see
    are left out of records. ``needs`` is what a record may need made before it: with accounts a contact's
    ``Account.Name`` can be written too, with statuses no member's status is replaced by a campaign's default.
    ``persons`` is for the accounts of those contacts that are person accounts', where the org may have any.
    """

    def __init__(
        self,
        client: SalesforceClient,
        sobject: SObject,
        user_id: Callable[[], Awaitable[str | None]],
        limiter: anyio.CapacityLimiter,
        jobs: JobLoad,
        needs: Accounts | CampaignStatuses | None = None,
        *,
        persons: Persons | None = None,
    ) -> None:
        self._client = client
        self._sobject = sobject
        self._user_id = user_id
        self._load = FirstLoad(client, jobs)
        self._changed = ChangedIds(client, sobject.schema.name)
        if client.settings.changes is ChangeFeed.GET_UPDATED and not sobject.replicateable:
            _LOG.warning("%s", not_replicated(sobject))
        field = client.settings.external_id_field
        self._key_field = field if sobject.external_key(field) else None
        reconciler = Reconciler(client, sobject, user_id)
        collections = CollectionsChannel(client, sobject.schema.name, self._key_field, limiter, reconciler)
        bulk = BulkChannel(client, sobject.schema.name, self._key_field)
        self._rows = Writer(client, sobject, self._key_field, collections, bulk)
        self._writer: Writes = self._rows
        self._accounts = needs if isinstance(needs, Accounts) else None
        if isinstance(needs, Accounts):
            self._writer = AccountWriter(self._rows, client, sobject, self._key_field, needs)
        self._statuses: StatusWriter | None = None
        if isinstance(needs, CampaignStatuses):
            self._writer = self._statuses = StatusWriter(self._rows, client, self._reader, needs)
        self._persons = persons
        if persons is not None:
            self._writer = PersonWriter(self._writer, client, self._reader, persons)

    def __repr__(self) -> str:
        return f"<SalesforceRecordStore {self.name!r}>"

    @property
    def name(self) -> str:
        return self._sobject.schema.name

    @property
    def key_prefix(self) -> str:
        """What the ids of its records begin with."""
        return self._sobject.key_prefix

    @property
    def limits(self) -> StoreLimits:
        return StoreLimits(
            write_batch=self._writer.batch,
            concurrent_writes=2,
            read_page=MAX_PAGE,
            find_batch=10_000,
            external_key=self._key_field is not None,
            look_back=self._client.settings.look_back,
            time_precision=timedelta(seconds=1),
        )

    async def describe(self) -> ObjectSchema:
        return self._sobject.schema

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        if limit is not None and limit < 1:
            raise ValueError("a page has at least one record")
        position = Cursor() if cursor is None else Cursor.decode(cursor)
        reader = ChangeReader(self._client, await self._reader(), self._load, self._changed)
        return await reader.page(position, fields, min(limit or MAX_PAGE, MAX_PAGE))

    def known_until(self, cursor: str) -> datetime | None:
        """Until when the changes before a position are all known; None in the middle of a pass over everything."""
        return Cursor.decode(cursor).since

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        asked = {given: found for given in ids if (found := full_id(given))}
        wanted = list(dict.fromkeys(asked.values()))
        if not wanted:
            return {}
        records = await retrieving.retrieve(self._client, await self._reader(), wanted, fields)
        return {given: records[found] for given, found in asked.items() if found in records}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        if field not in self._sobject.fields:
            raise SchemaChangedError(f"{self.name} has no field {field!r}, or hides it")
        found = await retrieving.find(self._client, await self._reader(), field, values, fields)
        return [record for record in found if not record.deleted]

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        return [record for record in await self.keyed(keys, fields) if not record.deleted]

    async def keyed(self, keys: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        """As `find_by_key`, but for leads whose conversion is followed: with converted ones, as deleted."""
        if self._key_field is None:
            return []
        return await retrieving.find(self._client, await self._reader(), self._key_field, keys, fields)

    async def merged_into(self, survivors: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `SupportsMerges`: as long as the losers are in the recycle bin, 15 days."""
        asked = [found for given in survivors if (found := full_id(given))]
        return await merges.merged_into(self._client, await self._reader(), asked, fields)

    async def merged_away(self, ids: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `SupportsMerges`: as long as they are in the recycle bin, 15 days."""
        asked = [found for given in ids if (found := full_id(given))]
        return await merges.merged_away(self._client, await self._reader(), asked, fields)

    async def converted_into(self, contacts: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The tombstones of the leads, whose conversion is followed, that became these contacts."""
        asked = [found for given in contacts if (found := full_id(given))]
        return await merges.folded(self._client, await self._reader(), CONVERTED_INTO, asked, fields)

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        if len(operations) > LARGE:
            raise ValueError(f"{len(operations)} operations in one write; this store takes {LARGE}")
        outcomes = await self._writer.write(operations)
        if self._sobject.follows_conversion:
            outcomes = [self._followed(outcome) for outcome in outcomes]
        return await self._with_stored(operations, outcomes) if self._client.settings.read_back else outcomes

    def _followed(self, outcome: Outcome) -> Outcome:
        """A lead that was converted on the way to it is no more: it is its contact, as `merged_away` tells."""
        converted = isinstance(outcome.error, RejectedError) and outcome.error.code == "CANNOT_UPDATE_CONVERTED_LEAD"
        return Outcome(outcome.op_id, OutcomeStatus.MISSING, outcome.id) if converted and outcome.id else outcome

    def estimate(self, use: StoreUse) -> CallEstimate:
        """See `SupportsCallEstimates`. Not counted: more batches of a query whose rows are wide, or whose values are in
        thousands of records; more than 100 MB in a job; thousands of accounts of one name.
        """
        choice = self._rows.choice(use.items)
        told = estimate(use, self._sobject, self._key_field, choice, self._client.settings)
        if use.verb is StoreVerb.WRITE and self._accounts is not None and COMPANY in use.fields:
            told += company_calls(use.items, self._accounts.sobject, self._accounts.key_field, self._client.settings)
        if use.verb is StoreVerb.WRITE and self._persons is not None:
            told += person_calls(use, self._client.settings)
        if use.verb is StoreVerb.WRITE and self.name == MEMBER and STATUS in use.fields:
            told += status_calls(use.items, self._client.settings)
        return told

    async def foresee(self, operations: Sequence[Operation]) -> Sequence[Problem]:
        """See `SupportsForesight`: of members, the statuses that their campaigns lack."""
        if self._statuses is None:
            return ()
        return await status_advice(self._statuses.statuses, (await self._statuses.wanted(operations)).values())

    async def settle_jobs(self) -> None:
        await settle(self._client)
        await self._load.forget()
        self._changed.forget()

    async def _with_stored(self, operations: Sequence[Operation], outcomes: list[Outcome]) -> list[Outcome]:
        """Add what was stored, where nobody else wrote since.

        Of an updated record only the fields just written: another one may hold an edit that nobody has read yet.
        """
        ids = [outcome.id for outcome in outcomes if outcome.id and outcome.status in _WRITTEN]
        fields = list(dict.fromkeys(name for operation in operations for name in operation.fields))
        try:
            reader = await self._reader()
            if not ids or reader.user_id is None:
                return outcomes
            stored = await retrieving.retrieve(self._client, reader, list(dict.fromkeys(ids)), fields)
        except CRMError:
            # The writes took effect; without the read-back the next pass reads them like anyone's change.
            return outcomes
        return [
            self._completed(operation, outcome, stored.get(outcome.id or ""))
            for operation, outcome in zip(operations, outcomes, strict=True)
        ]

    def _completed(self, operation: Operation, outcome: Outcome, record: Record | None) -> Outcome:
        if record is None or outcome.status not in _WRITTEN or record.modified_by_self is not True:
            return outcome
        if outcome.status is OutcomeStatus.UPDATED or operation.kind is OperationKind.UPDATE:
            kept = {name: value for name, value in record.fields.items() if name in operation.fields}
            record = attrs.evolve(record, fields=kept)
        replaced = () if outcome.unwritten else replaced_status(self.name, operation, record)
        return attrs.evolve(outcome, stored=record, unwritten=(*outcome.unwritten, *replaced))

    async def _reader(self) -> RowReader:
        return RowReader(self._sobject, self._key_field, await self._user_id())


_WRITTEN = (OutcomeStatus.CREATED, OutcomeStatus.UPDATED)
