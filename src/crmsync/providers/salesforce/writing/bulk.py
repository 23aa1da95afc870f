"""Rows through jobs of Bulk API 2.0, several side by side where the CSV is too large for one.

A job is noted before it is given its rows, so that whoever comes after a crash knows of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Final, TypeAlias

import anyio

from crmsync.errors import CRMError, SafetyStopError, TransientError
from crmsync.models.state import RemoteJob
from crmsync.providers.salesforce.bulk import jobs as bulk_jobs
from crmsync.providers.salesforce.bulk.csv_text import columns_of, encode, gathered, most_bytes
from crmsync.providers.salesforce.bulk.following import follow
from crmsync.providers.salesforce.bulk.jobs import JobInfo, Jobs
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.writing.job_results import JobResults
from crmsync.providers.salesforce.writing.outcomes import Sent
from crmsync.providers.salesforce.writing.rows import Row, Verb

MAX_BYTES: Final = 100_000_000
"""Of CSV in a job: Salesforce takes 150 MB after base64, which adds half ("Prepare CSV Files")."""
_PREPAID: Final = 3
"""Create, upload, close."""

Begun: TypeAlias = JobInfo | CRMError
"""A job that was created, or why it was not."""


class BulkChannel:
    """A `Channel` for upserts by external key, updates and deletes. ``works`` turns False once a job was refused."""

    def __init__(
        self, client: SalesforceClient, object_name: str, key_field: str | None, *, max_bytes: int = MAX_BYTES
    ) -> None:
        self.works = True
        self._client = client
        self._object = object_name
        self._key_field = key_field
        self._max_bytes = max_bytes
        self._jobs = Jobs(client, bulk_jobs.INGEST)

    async def prepay(self) -> None:
        """Take the calls of one job from the budget, before `begin`.

        :raises BudgetExceededError: nothing was sent.
        """
        await self._client.spend(_PREPAID)

    async def begin(self, verb: Verb) -> Begun:
        """Create a job that is paid, for `send`."""
        try:
            return await self._jobs.create(self._request(verb), prepaid=True)
        except CRMError as error:
            self.works = self.works and isinstance(error, TransientError | SafetyStopError)
            return error

    async def send(self, verb: Verb, rows: Sequence[Row], begun: Begun | None = None) -> Sent:
        """See `Channel`. Rows that a job lost sight of have no outcome; they may be sent again another way.

        ``begun`` is a job to begin with.
        """
        assert verb.repeatable, "a result could not be told from another"
        sent = Sent()
        unknown: list[CRMError] = []
        parts = list(self._parts(verb, rows))
        await self._client.spend(_PREPAID * (len(parts) - (begun is not None)))
        async with anyio.create_task_group() as group:
            for part in parts:
                group.start_soon(self._part, verb, part, begun, sent, unknown)
                begun = None
        if unknown:
            raise unknown[0]
        return sent

    async def _part(
        self, verb: Verb, rows: Sequence[Row], begun: Begun | None, sent: Sent, unknown: list[CRMError]
    ) -> None:
        try:
            info = begun or await self.begin(verb)
            if isinstance(info, CRMError):
                sent.fail(rows, info)
            else:
                await self._job(info.id, verb, rows, sent)
        except CRMError as error:
            # The job may still be at work. The other jobs are seen through before this is told.
            unknown.append(error)

    async def _job(self, job_id: str, verb: Verb, rows: Sequence[Row], sent: Sent) -> None:
        job = RemoteJob(job_id, self._object, verb.value, len(rows), self._client.clock.now())
        await self._client.jobs.add(job)
        results = JobResults(self._jobs, verb, self._key(verb), rows, sent)
        if await self._uploaded(job, verb, rows, sent, results):
            ended = partial(results.all_succeeded, job_id)
            info = await follow(self._client, self._jobs, job, abort_late=True, ended=ended)
            self.works = self.works and info.state == bulk_jobs.JOB_COMPLETE
            await results.collect(info)
        await self._client.jobs.remove(job_id)

    async def _uploaded(self, job: RemoteJob, verb: Verb, rows: Sequence[Row], sent: Sent, results: JobResults) -> bool:
        """Give the job its rows and close it; if that fails, abort it and say that nothing was done.

        :raises ProviderError: nor could it be aborted, and it may be closed.
        """
        values = [row.values for row in rows]
        columns = columns_of(values, self._key(verb))

        async def body() -> AsyncIterator[bytes]:
            for piece in gathered(encode(values, columns)):
                yield piece

        try:
            await self._jobs.upload(job.job_id, body, prepaid=True)
            await self._jobs.close(job.job_id, prepaid=True)
        except CRMError as error:
            await self._jobs.abort(job.job_id)
            info = await self._jobs.info(job.job_id)
            if info is not None and info.state != bulk_jobs.ABORTED:
                return True
            if info is not None and info.processed:
                await results.collect(info)
            else:
                sent.fail(rows, error)
            return False
        return True

    def _request(self, verb: Verb) -> dict[str, str]:
        request = {"object": self._object, "contentType": "CSV", "operation": verb.value, "lineEnding": "LF"}
        if verb is Verb.UPSERT:
            request = {"externalIdFieldName": self._key(verb), **request}
        return request

    def _key(self, verb: Verb) -> str:
        return (self._key_field or "") if verb is Verb.UPSERT else "Id"

    def _parts(self, verb: Verb, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """Rows whose CSV fits into a job."""
        values = [row.values for row in rows]
        columns = columns_of(values, self._key(verb))
        if most_bytes(values, columns) <= self._max_bytes:
            yield rows
            return
        lines = encode(values, columns)
        head = len(next(lines))
        start, size = 0, head
        for place, line in enumerate(lines):
            if place > start and size + len(line) > self._max_bytes:
                yield rows[start:place]
                start, size = place, head
            size += len(line)
        yield rows[start:]
