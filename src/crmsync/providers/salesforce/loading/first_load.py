"""A pass over everything there is: the way it goes, and its pages on that way."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from crmsync.models.records import Record
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.cursor import Cursor
from crmsync.providers.salesforce.loading.by_job import JobLoad
from crmsync.providers.salesforce.loading.by_ranges import RangeLoad
from crmsync.providers.salesforce.loading.choice import ReadChoice, choose_read
from crmsync.providers.salesforce.rows import RowReader


class FirstLoad:
    """Large passes of one object. The cursor says which way a pass goes; what is fetched ahead is only a help."""

    def __init__(self, client: SalesforceClient, jobs: JobLoad) -> None:
        self._client = client
        self._jobs = jobs
        self._ranges = RangeLoad(client)

    async def begin(self, cursor: Cursor, reader: RowReader, fields: Sequence[str], size: int) -> Cursor:
        """The cursor of a pass that was counted, with the way it goes: a job, ranges, or neither if it is small."""
        records = cursor.expected or 0
        if (await self.choice(records, reader, fields)).bulk and (job := await self._jobs.begin(reader, fields)):
            return attrs.evolve(cursor, job=job)
        return attrs.evolve(cursor, ranges=await self._ranges.begin(reader.sobject.schema.name, records, size))

    async def choice(self, records: int, reader: RowReader, fields: Sequence[str]) -> ReadChoice:
        """Whether a job reads so many records, and why."""
        client, settings = self._client, self._client.settings
        return choose_read(
            records,
            client.pace,
            client.calls_left,
            wanted=settings.first_read,
            bulk_from=settings.bulk_read_from,
            hindrance=await self._jobs.hindrance(reader, fields),
        )

    async def take(
        self, cursor: Cursor, reader: RowReader, fields: Sequence[str], size: int
    ) -> tuple[Sequence[Record], Cursor]:
        """The next records of a pass with a job or ranges, and the cursor after them, without either at the end.

        :raises LoadLostError: the job cannot give the rest; the pass has to begin again.
        """
        if cursor.job is not None:
            records, place = await self._jobs.take(cursor, reader, fields, size)
            return records, attrs.evolve(cursor, job=place)
        rows, ranges = await self._ranges.take(cursor, reader, fields, size)
        return reader.records(rows, fields), attrs.evolve(cursor, ranges=ranges)

    async def forget(self) -> None:
        """Drop what was fetched ahead: before a run, which may write to the org before it reads on."""
        self._ranges.forget()
        await self._jobs.forget()
