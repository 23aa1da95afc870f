"""Rows through jobs of Bulk API 2.0, several side by side where the CSV is too large for one.

A job is noted before it is given its rows, so that whoever comes after a crash knows of it. Results come in any order
and are matched by our key column: the external key of an upsert, the id of an update or a delete.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final

import anyio

from crmsync.errors import CRMError, SafetyStopError, TransientError, UnavailableError
from crmsync.models.state import RemoteJob
from crmsync.providers.salesforce.bulk import jobs as bulk_jobs
from crmsync.providers.salesforce.bulk.csv_text import columns_of, encode, gathered
from crmsync.providers.salesforce.bulk.following import follow
from crmsync.providers.salesforce.bulk.jobs import JobInfo, Jobs
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.writing.outcomes import Sent, failed, refused, saved
from crmsync.providers.salesforce.writing.rows import Row, Verb

MAX_BYTES: Final = 100_000_000
"""Of CSV in a job: Salesforce takes 150 MB after base64, which adds half ("Prepare CSV Files")."""
_PREPAID: Final = 3
"""Create, upload, close."""


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

    async def send(self, verb: Verb, rows: Sequence[Row]) -> Sent:
        """See `Channel`. Rows that a job lost sight of have no outcome; they may be sent again another way."""
        assert verb.repeatable, "a result could not be told from another"
        sent = Sent()
        unknown: list[CRMError] = []
        parts = list(self._parts(verb, rows))
        await self._client.spend(_PREPAID * len(parts))
        async with anyio.create_task_group() as group:
            for part in parts:
                group.start_soon(self._part, verb, part, sent, unknown)
        if unknown:
            raise unknown[0]
        return sent

    async def _part(self, verb: Verb, rows: Sequence[Row], sent: Sent, unknown: list[CRMError]) -> None:
        try:
            await self._job(verb, rows, sent)
        except CRMError as error:
            # The job may still be at work. The other jobs are seen through before this is told.
            unknown.append(error)

    async def _job(self, verb: Verb, rows: Sequence[Row], sent: Sent) -> None:
        try:
            info = await self._jobs.create(self._request(verb), prepaid=True)
        except CRMError as error:
            self.works = self.works and isinstance(error, TransientError | SafetyStopError)
            sent.fail(rows, error)
            return
        job = RemoteJob(info.id, self._object, verb.value, len(rows), self._client.clock.now())
        await self._client.jobs.add(job)
        if await self._uploaded(job, verb, rows, sent):
            info = await follow(self._client, self._jobs, job, abort_late=True)
            self.works = self.works and info.state == bulk_jobs.JOB_COMPLETE
            await self._collect(info, verb, rows, sent)
        await self._client.jobs.remove(job.job_id)

    async def _uploaded(self, job: RemoteJob, verb: Verb, rows: Sequence[Row], sent: Sent) -> bool:
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
                await self._collect(info, verb, rows, sent)
            else:
                sent.fail(rows, error)
            return False
        return True

    async def _collect(self, info: JobInfo, verb: Verb, rows: Sequence[Row], sent: Sent) -> None:
        """Read what became of each row, file by file of the results until nothing is left to learn.

        Those that hold nothing by the job's own counts come last, to be asked only where the counts are wrong.
        """
        waiting = {row.target: row for row in rows}

        def of(result: Mapping[str, str]) -> Row | None:
            return waiting.pop(self._target(verb, result), None)

        def succeeded(result: Mapping[str, str]) -> None:
            if row := of(result):
                sent.answer(row, saved(row, result.get("sf__Id"), created=result.get("sf__Created") == "true"))

        def refuse(result: Mapping[str, str]) -> None:
            if row := of(result):
                sent.answer(row, refused(row, [parse_error(result.get("sf__Error", ""))]))

        def skipped(result: Mapping[str, str]) -> None:
            if row := of(result):
                sent.answer(row, failed(row, UnavailableError("the bulk job ended before it came to the record")))

        files = ((bulk_jobs.SUCCESSFUL, succeeded), (bulk_jobs.FAILED, refuse), (bulk_jobs.UNPROCESSED, skipped))
        empty = _proven_empty(info, len(rows))
        for name, take in sorted(files, key=lambda file: file[0] in empty):
            if waiting:
                await self._jobs.results(info.id, name, take)

    def _request(self, verb: Verb) -> dict[str, str]:
        request = {"object": self._object, "contentType": "CSV", "operation": verb.value, "lineEnding": "LF"}
        if verb is Verb.UPSERT:
            request = {"externalIdFieldName": self._key(verb), **request}
        return request

    def _key(self, verb: Verb) -> str:
        return (self._key_field or "") if verb is Verb.UPSERT else "Id"

    def _target(self, verb: Verb, result: Mapping[str, str]) -> str:
        if verb is Verb.UPSERT:
            return f"key {result.get(self._key(verb), '')}"
        return full_id(result.get("Id") or result.get("sf__Id") or "") or ""

    def _parts(self, verb: Verb, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """Rows whose CSV fits into a job."""
        columns = columns_of((row.values for row in rows), self._key(verb))
        lines = encode((row.values for row in rows), columns)
        head = len(next(lines))
        start, size = 0, head
        for place, line in enumerate(lines):
            if place > start and size + len(line) > self._max_bytes:
                yield rows[start:place]
                start, size = place, head
            size += len(line)
        yield rows[start:]


def _proven_empty(info: JobInfo, rows: int) -> set[str]:
    """The files of results that hold nothing, by a job's own counts.

    They prove something only of a job that came to every row: where a whole batch fails on the server they are not
    brought up to date (forcedotcom/dataloader, pull request 1033).
    """
    if info.state != bulk_jobs.JOB_COMPLETE or info.processed != rows:
        return set()
    empty = {bulk_jobs.UNPROCESSED}
    if info.failed == 0:
        empty.add(bulk_jobs.FAILED)
    elif info.failed == rows:
        empty.add(bulk_jobs.SUCCESSFUL)
    return empty


def parse_error(text: str) -> dict[str, object]:
    """``CODE:message:field1,field2 --`` in the shape of sObject Collections; the fields may be missing."""
    code, _, rest = text.partition(":")
    message, _, names = rest.rpartition(":")
    fields = [name.strip() for name in names.removesuffix("--").split(",") if name.strip()]
    return {"statusCode": code.strip(), "message": message or rest, "fields": fields}
