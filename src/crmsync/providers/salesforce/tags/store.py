"""A store of people whose tags are campaigns.

Membership is kept in records of its own, whose changes do not move the people's SystemModstamp. So a pass reads the
people's own changes first, and then the people whose memberships changed, as it follows changes of parents.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import attrs

from crmsync.errors import CRMError, CursorExpiredError, ProviderError, SchemaChangedError
from crmsync.models.calls import CallEstimate, StoreUse
from crmsync.models.problems import Problem
from crmsync.models.records import (
    MISSING,
    ChangePage,
    Operation,
    OperationKind,
    Outcome,
    OutcomeStatus,
    Record,
    StoreLimits,
)
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.records import (
    RecordStore,
    SupportsCallEstimates,
    SupportsJobs,
    SupportsMerges,
    SupportsPrecedence,
)
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.objects.status_advice import status_advice
from crmsync.providers.salesforce.tags.members import FIELD, Members, outcome_of, unwritten
from crmsync.providers.salesforce.values import format_datetime, parse_datetime

MAX_PAGE: Final = 2000


@attrs.frozen(slots=True)
class Position:
    """``inner`` is the position in the people's own changes; ``started`` the server's time when this pass began.

    ``since`` is when the pass before began, None in a first one. ``after`` is set once the own changes are read: the
    id of the last membership followed.
    """

    inner: str | None = None
    since: datetime | None = None
    started: datetime | None = None
    after: str | None = None

    def encode(self) -> str:
        """The opaque form."""
        state = {
            "people": self.inner,
            "since": format_datetime(self.since) if self.since else None,
            "started": format_datetime(self.started) if self.started else None,
            "after": self.after,
        }
        return json.dumps({name: value for name, value in state.items() if value is not None}, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Position:
        """Read the opaque form.

        :raises CursorExpiredError: it was not made here: the setting is new, say.
        """
        try:
            state = json.loads(text)
            times = {name: parse_datetime(state[name]) for name in ("since", "started") if name in state}
            return cls(inner=str(state["people"]), after=state.get("after"), **times)
        except (ValueError, TypeError, KeyError):
            raise CursorExpiredError("the position knows nothing of campaigns; read from the start") from None


class TaggedPeople(RecordStore, Protocol):
    """A store of contacts, leads, or both."""

    def known_until(self, cursor: str) -> datetime | None:
        """Until when the changes before a position are all known, if it says so."""
        ...


class CampaignTagStore:
    """Passes everything on to another store, and adds the field ``CampaignTags``."""

    def __init__(self, people: TaggedPeople, members: Members, client: SalesforceClient) -> None:
        self._people = people
        self._members = members
        self._client = client

    def __repr__(self) -> str:
        return f"<CampaignTagStore {self.name!r}>"

    @property
    def name(self) -> str:
        return self._people.name

    @property
    def limits(self) -> StoreLimits:
        return self._people.limits

    async def describe(self) -> ObjectSchema:
        schema = await self._people.describe()
        writable = self._members.sobject.createable
        field = FieldSchema(
            name=FIELD,
            label="Tags as campaigns",
            type=FieldType.MULTI_PICKLIST,
            options=tuple(self._members.campaigns.by_tag),
            restricted=True,
            createable=writable,
            updateable=writable,
        )
        return schema.model_copy(update={"fields": (*schema.fields, field)})

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        place = Position() if cursor is None else Position.decode(cursor)
        if place.started is None:
            place = attrs.evolve(place, started=self._client.server_now())
        if place.after is not None:
            return await self._followed(place, fields, min(limit or MAX_PAGE, MAX_PAGE))
        page = await self._people.changes(place.inner, fields=_own(fields), limit=limit)
        place = attrs.evolve(place, inner=page.cursor)
        if page.has_more:
            cursor, more = place.encode(), True
        elif place.since is not None and FIELD in fields:
            cursor, more = attrs.evolve(place, after="").encode(), True
        else:
            cursor, more = self._next(place), False
        records = tuple(await self._tagged(page.records, fields))
        complete = page.complete_scan and not more
        return attrs.evolve(page, records=records, cursor=cursor, has_more=more, complete_scan=complete)

    async def _followed(self, place: Position, fields: Sequence[str], size: int) -> ChangePage:
        """The people whose memberships changed, as they are now."""
        assert place.since is not None
        since = place.since - self._client.settings.look_back
        found = await self._members.changed(since, place.after or "", size)
        records = await self._people.get(found.people, fields=_own(fields))
        cursor = attrs.evolve(place, after=found.last).encode() if found.more else self._next(place)
        return ChangePage(tuple(await self._tagged(records.values(), fields)), cursor, has_more=found.more)

    def _next(self, place: Position) -> str:
        """Where the next pass begins: before a transaction that the people's own position waits for."""
        assert place.started is not None
        since = place.started - timedelta(seconds=self._client.settings.safety_seconds)
        known = self._people.known_until(place.inner) if place.inner is not None else None
        return Position(inner=place.inner, since=min(since, known or since)).encode()

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        found = await self._people.get(ids, fields=_own(fields))
        tagged = {record.id: record for record in await self._tagged(found.values(), fields)}
        return {asked: tagged[record.id] for asked, record in found.items()}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        if field == FIELD:
            raise SchemaChangedError(f"nobody can be looked up by {FIELD}")
        return await self._tagged(await self._people.find(field, values, fields=_own(fields)), fields)

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        return await self._tagged(await self._people.find_by_key(keys, fields=_own(fields)), fields)

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Write the people, and then the memberships of those who took effect."""
        sent = {place: bare for place, op in enumerate(operations) if (bare := _bare(op)) is not None}
        outcomes = dict(zip(sent, await self._people.write(list(sent.values())), strict=True)) if sent else {}
        wanted: dict[str, Sequence[str]] = {}
        persons: dict[int, str] = {}
        for place, operation in enumerate(operations):
            tags, outcome = _tags(operation), outcomes.get(place)
            person = operation.id if outcome is None else outcome.id if outcome.ok else None
            if tags is not None and person:
                # The later of two operations on one person says how it ends.
                wanted[person], persons[place] = tags, person
        errors = await self._saved(wanted, outcomes.values())
        for place, operation in enumerate(operations):
            error = errors.get(persons.get(place, ""))
            known = outcomes.get(place)
            if known is None:
                outcomes[place] = outcome_of(operation, error)
            elif error is not None:
                outcomes[place] = attrs.evolve(known, unwritten=(*known.unwritten, unwritten(error)))
        return [outcomes[place] for place in range(len(operations))]

    async def _saved(self, wanted: Mapping[str, Sequence[str]], people: Collection[Outcome]) -> Mapping[str, CRMError]:
        if not wanted:
            return {}
        new = {outcome.id or "" for outcome in people if outcome.status is OutcomeStatus.CREATED}
        try:
            return await self._members.save(wanted, new=new)
        except ProviderError as error:
            if not any(outcome.ok for outcome in people):
                raise
            return dict.fromkeys(wanted, error)

    def estimate(self, use: StoreUse) -> CallEstimate | None:
        """See `SupportsCallEstimates`."""
        own = attrs.evolve(use, fields=tuple(_own(use.fields)))
        told = self._people.estimate(own) if isinstance(self._people, SupportsCallEstimates) else None
        if told is None or FIELD not in use.fields or not use.items:
            return told
        return told + self._members.estimate(use)

    async def foresee(self, operations: Sequence[Operation]) -> Sequence[Problem]:
        """See `SupportsForesight`: the status of new members, where a tag's campaign lacks it."""
        by_tag = self._members.campaigns.by_tag
        asked = {by_tag[tag] for each in operations for tag in _tags(each) or () if tag in by_tag}
        return await status_advice(self._members.statuses, self._members.statuses_of(sorted(asked)))

    async def settle_jobs(self) -> None:
        """See `SupportsJobs`."""
        if isinstance(self._people, SupportsJobs):
            await self._people.settle_jobs()

    async def merged_away(self, ids: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `SupportsMerges`."""
        people = self._people
        return await people.merged_away(ids, fields=_own(fields)) if isinstance(people, SupportsMerges) else ()

    async def merged_into(self, survivors: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `SupportsMerges`."""
        people = self._people
        return await people.merged_into(survivors, fields=_own(fields)) if isinstance(people, SupportsMerges) else ()

    def foremost(self, records: Sequence[Record]) -> Sequence[Record]:
        """See `SupportsPrecedence`."""
        return self._people.foremost(records) if isinstance(self._people, SupportsPrecedence) else records

    async def _tagged(self, records: Iterable[Record], fields: Sequence[str]) -> list[Record]:
        records = list(records)
        if FIELD not in fields:
            return records
        held = await self._members.of(record.id for record in records if not record.deleted)
        return [
            record
            if record.deleted
            else attrs.evolve(
                record, fields={**record.fields, FIELD: self._members.tags(held.get(record.id, {})) or None}
            )
            for record in records
        ]


def _own(fields: Sequence[str]) -> list[str]:
    return [name for name in fields if name != FIELD]


def _tags(operation: Operation) -> Sequence[str] | None:
    """The tags that an operation asks for; None if it asks for none in particular."""
    value = operation.fields.get(FIELD, MISSING)
    if operation.kind is OperationKind.DELETE or value is MISSING:
        return None
    if isinstance(value, str):
        return [part for part in value.split(";") if part]
    return [str(each) for each in value] if isinstance(value, tuple | list) else []


def _bare(operation: Operation) -> Operation | None:
    """The operation without its tags; None if nothing else is asked for."""
    if FIELD not in operation.fields:
        return operation
    fields = {name: value for name, value in operation.fields.items() if name != FIELD}
    if not fields and operation.kind is OperationKind.UPDATE and operation.key is None:
        return None
    return attrs.evolve(operation, fields=fields)
