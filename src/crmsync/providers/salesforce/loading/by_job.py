"""Everything there is of an object, by query jobs of Bulk API 2.0: one, or one for each of several ranges of ids.

Salesforce splits a query by ranges of ids itself, as long as it has no ORDER BY and no LIMIT ("Understanding Bulk API
2.0 Query"); jobs of their own make sure that ranges are worked on side by side, and a range whose job fails is all that
has to be read again. A record keeps its id, so it is in one range only, whichever job is made first. Its place in the
results does not change while the job exists, which is seven days, so a position in them outlives the process.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

import attrs

from crmsync.errors import (
    AccessDeniedError,
    CRMError,
    CursorExpiredError,
    RateLimitedError,
    SchemaChangedError,
    UnexpectedResponseError,
)
from crmsync.models.records import Record
from crmsync.models.state import RemoteJob
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.bulk.following import follow
from crmsync.providers.salesforce.bulk.jobs import JOB_COMPLETE, QUERY, Jobs
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.cursor import JobPlace
from crmsync.providers.salesforce.loading.choice import LANES
from crmsync.providers.salesforce.loading.cutting import within
from crmsync.providers.salesforce.loading.results import JobResults, LoadLostError
from crmsync.providers.salesforce.retrieving import changed_ids, retrieve
from crmsync.providers.salesforce.rows import RowReader
from crmsync.providers.salesforce.settings import TransportName
from crmsync.providers.salesforce.together import together

_LOG = logging.getLogger(__name__)
_FIRST_VERSION: Final = 58
""" "Get Parallel Results for a Query Job" is there from this version on."""
_LONGEST: Final = 131_072
"""Characters of a field that Python's reader of CSV takes."""
_REFUSED = (AccessDeniedError, RateLimitedError, SchemaChangedError, UnexpectedResponseError)
"""What creating a job may answer where a query would not: no permission, the day's jobs are used up, no such object."""
_KEPT: Final = LANES
"""Jobs whose lists of pages are kept at once."""


class JobLoad:
    """Query jobs of one connection, and what of their results was fetched ahead. ``works`` False: one was refused."""

    def __init__(self, client: SalesforceClient) -> None:
        self.works = True
        self._client = client
        self._jobs = Jobs(client, QUERY)
        self._results: dict[str, JobResults] = {}
        self._made: dict[str, datetime] = {}
        self._lost = 0
        self._changed: dict[str, set[str]] = {}

    async def hindrance(self, reader: RowReader, fields: Sequence[str]) -> str | None:
        """Why no query job can read these fields; None if one can. Compound and binary fields are no fields of ours."""
        if not self.works:
            return "the org refused a query job"
        if self._client.settings.transport is TransportName.SF:
            return "the Salesforce CLI keeps a whole page of results in memory"
        version = await self._client.version()
        if float(version) < _FIRST_VERSION:
            return f"API version {version} has no pages of results"
        known = reader.sobject.fields
        if any((known[name].length or 0) > _LONGEST for name in reader.columns(fields)):
            return "a field is too long for CSV"
        return None

    async def ask(self, places: Sequence[JobPlace], reader: RowReader, fields: Sequence[str]) -> tuple[JobPlace, ...]:
        """The places, each with a job; one without is left as it is if the org refuses it one."""
        if await self.hindrance(reader, fields) is not None:
            return tuple(places)
        waiting = [place for place in places if place.job_id is None]
        made = iter(await together([partial(self._begin, place, reader, fields) for place in waiting]))
        return tuple(next(made) if place.job_id is None else place for place in places)

    async def _begin(self, place: JobPlace, reader: RowReader, fields: Sequence[str]) -> JobPlace:
        statement = soql.select(
            reader.columns(fields), reader.sobject.schema.name, where=within(place.part, reader.living)
        )
        version = await self._client.version()
        try:
            info = await self._jobs.create({"operation": "query", "query": statement})
        except _REFUSED as error:
            self._refuse(reader, error.message)
            return place
        self._made[info.id] = self._client.clock.now()
        return attrs.evolve(place, job_id=info.id, version=version)

    async def take(
        self, places: Sequence[JobPlace], started: datetime, reader: RowReader, fields: Sequence[str], size: int
    ) -> tuple[Sequence[Record], JobPlace | None]:
        """The next records of a pass that started then, and the place after them; None if there are no more. Waits for
        the first place's job to be complete; results of the others that are are fetched beside its own.

        :raises LoadLostError: the job failed or is gone, or its results cannot be read.
        """
        place = places[0]
        job_id = place.job_id
        assert job_id is not None
        try:
            results = await self._complete(places, started, reader)
            self._lost = 0
            following = [self._results[each.job_id] for each in places[1:] if each.job_id in self._results]
            taken = await results.take(place.locator, place.skip, size, following)
            if taken.rows and not set(reader.columns(fields)) <= set(taken.header):
                # One that was made just now would not ask for them either.
                raise LoadLostError("the job did not ask for all the fields", again=job_id not in self._made)
            records = reader.csv_records(taken.header, taken.rows, fields)
        except (SchemaChangedError, CursorExpiredError, UnexpectedResponseError) as error:
            # Nothing is taken from results that are not as documented.
            self._refuse(reader, error.message)
            await self._drop(job_id)
            raise LoadLostError(error.message) from error
        except LoadLostError as error:
            if not error.again:
                self._note_lost(reader, str(error))
            await self._drop(job_id)
            raise
        records = await self._as_they_are(records, self._changed.get(job_id, set()), reader, fields)
        if taken.done:
            await self._drop(job_id)
            return records, None
        return records, attrs.evolve(place, locator=taken.locator, skip=taken.skip)

    async def forget(self) -> None:
        """Drop what was fetched ahead. A load that goes on later looks for what has changed since its job was made."""
        self._made.clear()
        await self.aclose()

    async def aclose(self) -> None:
        """Drop what was fetched ahead."""
        for job_id in list(self._results):
            await self._drop(job_id)

    async def _complete(self, places: Sequence[JobPlace], started: datetime, reader: RowReader) -> JobResults:
        """The results of the first place's job, once it is complete. Then the jobs after it are looked at, too."""
        place, *others = places
        job_id = place.job_id
        assert job_id is not None
        if job_id in self._results:
            return self._results[job_id]
        if place.version != await self._client.version():
            # "Get Results for a Query Job": another version than the job's answers 409.
            raise LoadLostError("the job was made with another API version", again=True)
        info, made = await self._jobs.info(job_id), self._made.get(job_id)
        if info is None:
            # One that was gone at once would be so again and again.
            raise LoadLostError("the job is gone", again=made is None)
        if not info.is_final:
            now, name = self._client.clock.now(), reader.sobject.schema.name
            job = RemoteJob(job_id, name, "query", place.records, made or now)
            learn = made is not None
            info = await follow(self._client, self._jobs, job, abort_late=True, learn=learn, since=made)
        if info.state != JOB_COMPLETE:
            raise LoadLostError(f"the job ended as {info.state}")
        for other in list(self._results)[: 1 - _KEPT]:
            await self._drop(other)
        unknown = [other for other in others if other.job_id not in self._results][: _KEPT - len(self._results) - 1]
        opening = partial(self._open, job_id, place.version, started, reader)
        await together([opening, *(partial(self._look_ahead, other, started, reader) for other in unknown)])
        return self._results[job_id]

    async def _look_ahead(self, place: JobPlace, started: datetime, reader: RowReader) -> None:
        """Open the results of a job that is complete. Whatever is in the way is met again in its turn."""
        if place.job_id is None or place.version != await self._client.version():
            return
        try:
            info = await self._jobs.info(place.job_id)
            if info is not None and info.state == JOB_COMPLETE:
                await self._open(place.job_id, place.version, started, reader)
        except CRMError:
            return

    async def _open(self, job_id: str, version: str, started: datetime, reader: RowReader) -> None:
        """List the pages of a job that is complete, and what changed since it was made by an earlier run."""
        results = JobResults(self._client, job_id, version)
        await results.list_pages()
        if job_id not in self._made:
            since = started - self._client.settings.look_back
            self._changed[job_id] = await changed_ids(self._client, reader.sobject.schema.name, since)
        self._results[job_id] = results

    async def _as_they_are(
        self, records: list[Record], changed: set[str], reader: RowReader, fields: Sequence[str]
    ) -> list[Record]:
        """The records, but those that changed since the job was made as they are now.

        Whoever goes on with an old job may have written to the org in between: what the job saw before that would look
        like somebody's edit.
        """
        old = [record.id for record in records if record.id in changed]
        current = await retrieve(self._client, reader, old, fields) if old else {}
        return [current.get(record.id, record) for record in records]

    async def _drop(self, job_id: str) -> None:
        self._changed.pop(job_id, None)
        results = self._results.pop(job_id, None)
        if results is not None:
            await results.aclose()

    def _note_lost(self, reader: RowReader, reason: str) -> None:
        """One job may fail by chance, and takes no other range along; of two in a row it is to be feared of all."""
        self._lost += 1
        if self._lost > 1:
            self._refuse(reader, reason)
        else:
            _LOG.warning("some of %s is read by REST, as its query job is lost: %s", reader.sobject.schema.name, reason)

    def _refuse(self, reader: RowReader, reason: str) -> None:
        if self.works:
            _LOG.warning("%s is read by REST, a query job cannot read it: %s", reader.sobject.schema.name, reason)
        self.works = False
