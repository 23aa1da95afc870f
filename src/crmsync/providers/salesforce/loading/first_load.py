"""A pass over everything there is: the way it goes, and its pages on that way."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from crmsync.models.records import Record
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.cursor import Cursor, IdRange, JobPlace
from crmsync.providers.salesforce.loading.by_job import JobLoad
from crmsync.providers.salesforce.loading.by_ranges import RangeLoad
from crmsync.providers.salesforce.loading.choice import LANES, ReadChoice, choose_read
from crmsync.providers.salesforce.loading.cutting import shares
from crmsync.providers.salesforce.loading.results import LoadLostError
from crmsync.providers.salesforce.rows import RowReader

_LOG = logging.getLogger(__name__)


class FirstLoad:
    """Large passes of one object. The cursor says which way a pass goes; what is fetched ahead is only a help."""

    def __init__(self, client: SalesforceClient, jobs: JobLoad) -> None:
        self._client = client
        self._jobs = jobs
        self._ranges = RangeLoad(client)

    async def begin(self, cursor: Cursor, reader: RowReader, fields: Sequence[str], size: int) -> Cursor:
        """The cursor of a pass that was counted, with the way it goes: jobs, ranges, or neither if it is small."""
        records = cursor.expected or 0
        choice = await self.choice(records, reader, fields)
        way = f"{choice.ranges} query job(s)" if choice.bulk else "REST"
        _LOG.info("%d records of %s are read by %s: %s", records, reader.sobject.schema.name, way, choice.reason)
        if choice.bulk:
            cursor = attrs.evolve(cursor, jobs=await self._parts(reader, records, choice.ranges))
            return await self.ask(cursor, reader, fields, size)
        return await self._by_rest(cursor, reader, (IdRange(),), size)

    async def ask(self, cursor: Cursor, reader: RowReader, fields: Sequence[str], size: int) -> Cursor:
        """The cursor with a job for each of the next ranges; the same one if they have theirs. A range whose job is
        refused is left to REST.
        """
        following = cursor.jobs[:LANES]
        if all(place.job_id is not None for place in following):
            return cursor
        places = await self._jobs.ask(following, reader, fields)
        made = tuple(place for place in places if place.job_id is not None)
        refused = tuple(place.part for place in places if place.job_id is None)
        cursor = attrs.evolve(cursor, jobs=(*made, *cursor.jobs[LANES:]))
        return await self._by_rest(cursor, reader, refused, size) if refused else cursor

    async def recover(self, cursor: Cursor, reader: RowReader, size: int, lost: LoadLostError) -> Cursor:
        """The cursor once the first job cannot give the rest: its range begins again, with another job or by REST.

        Nothing says which of its records came already, but they are the same: their sync hash drops them.
        """
        place, *others = cursor.jobs
        cursor = attrs.evolve(cursor, seen=cursor.seen - place.seen)
        if lost.again:
            return attrs.evolve(cursor, jobs=(place.anew, *others))
        return await self._by_rest(attrs.evolve(cursor, jobs=tuple(others)), reader, (place.part,), size)

    async def _by_rest(self, cursor: Cursor, reader: RowReader, parts: tuple[IdRange, ...], size: int) -> Cursor:
        if parts == (IdRange(),):
            parts = await self._ranges.begin(reader.sobject.schema.name, cursor.expected or 0, size)
        return attrs.evolve(cursor, ranges=(*cursor.ranges, *parts))

    async def _parts(self, reader: RowReader, records: int, count: int) -> tuple[JobPlace, ...]:
        name = reader.sobject.schema.name
        found = await shares(self._client, name, reader.living, count, records) if count > 1 else ()
        return tuple(JobPlace(part=each.part, records=each.records) for each in found) or (JobPlace(records=records),)

    async def choice(self, records: int, reader: RowReader, fields: Sequence[str]) -> ReadChoice:
        """Whether jobs read so many records, and why."""
        client = self._client
        hindrance = await self._jobs.hindrance(reader, fields)
        return choose_read(records, client.pace, client.calls_left, settings=client.settings, hindrance=hindrance)

    async def take(
        self, cursor: Cursor, reader: RowReader, fields: Sequence[str], size: int
    ) -> tuple[Sequence[Record], Cursor]:
        """The next records of a pass with jobs or ranges, and the cursor after them, without either at the end.

        :raises LoadLostError: the first job cannot give the rest: see `recover`.
        """
        assert cursor.started is not None
        if not cursor.jobs:
            rows, ranges = await self._ranges.take(cursor, reader, fields, size)
            read = reader.records(rows, fields)
            return read, attrs.evolve(cursor, ranges=ranges, seen=cursor.seen + unchanged(read, cursor.started))
        others = cursor.jobs[1:]
        records, reached = await self._jobs.take(cursor.jobs[:LANES], cursor.started, reader, fields, size)
        seen = unchanged(records, cursor.started)
        jobs = (attrs.evolve(reached, seen=reached.seen + seen), *others) if reached else others
        return records, attrs.evolve(cursor, jobs=jobs, seen=cursor.seen + seen)

    async def forget(self) -> None:
        """Drop what was fetched ahead: before a run, which may write to the org before it reads on."""
        self._ranges.forget()
        await self._jobs.forget()


def unchanged(records: Iterable[Record], since: datetime) -> int:
    """How many of the records did not change since."""
    return sum(record.modified_at is not None and record.modified_at <= since for record in records)
