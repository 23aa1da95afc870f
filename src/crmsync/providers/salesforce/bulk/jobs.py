"""The requests of Bulk API 2.0 jobs: create, upload, close or abort, ask, read results.

"Create a Job" and the pages beside it, Bulk API 2.0 and Bulk API Developer Guide. A request whose answer is lost may be
sent again: a second create leaves a job that is never closed and so never works; the others say that it was done.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from crmsync.errors import SchemaChangedError, UnexpectedResponseError
from crmsync.providers.salesforce.bulk.csv_text import CsvReader
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id

INGEST: Final = "ingest"
QUERY: Final = "query"

OPEN: Final = "Open"
UPLOAD_COMPLETE: Final = "UploadComplete"
ABORTED: Final = "Aborted"
JOB_COMPLETE: Final = "JobComplete"
FINAL: Final = frozenset({JOB_COMPLETE, ABORTED, "Failed"})

SUCCESSFUL: Final = "successfulResults"
FAILED: Final = "failedResults"
UNPROCESSED: Final = "unprocessedrecords"

_COUNTS: Final = ("numberRecordsProcessed", "numberRecordsFailed", "apiActiveProcessingTime", "totalProcessingTime")
"""The times in milliseconds ("Get Information About an Ingest Job")."""


@attrs.frozen(slots=True)
class JobInfo:
    """What a job says of itself: its records processed, those of them that failed ("Failed rows are processed but
    encounter an error during processing", page "Get Job Unprocessed Record Results"), the seconds of work on them, and
    the seconds that all of it took. A query job has no ``failed`` and no ``active``.
    """

    id: str
    state: str
    processed: int = 0
    failed: int = 0
    active: float = 0.0
    took: float = 0.0

    @property
    def is_final(self) -> bool:
        """Whether it will not change any more."""
        return self.state in FINAL


class Jobs:
    """The jobs of one kind: `INGEST` or `QUERY`."""

    def __init__(self, client: SalesforceClient, kind: str) -> None:
        self.kind = kind
        self._client = client
        self._base = f"/jobs/{kind}"

    async def create(self, request: Mapping[str, str], *, prepaid: bool = False) -> JobInfo:
        """Create a job from what the documentation's table of the request holds."""
        content = json.dumps(dict(request)).encode()
        return _info((await self._client.call("POST", self._base, content=content, prepaid=prepaid)).body)

    async def upload(self, job_id: str, body: Callable[[], AsyncIterator[bytes]], *, prepaid: bool = False) -> None:
        """Give an ingest job its CSV, once ("Upload Job Data"): a second time is refused, so a lost answer raises."""
        await self._client.call(
            "PUT",
            f"{self._base}/{job_id}/batches",
            content=body,
            content_type="text/csv",
            repeatable=False,
            prepaid=prepaid,
        )

    async def close(self, job_id: str, *, prepaid: bool = False) -> None:
        """Let Salesforce begin."""
        await self._move(job_id, UPLOAD_COMPLETE, prepaid=prepaid)

    async def abort(self, job_id: str) -> None:
        """Stop a job; what it has done stays done. One that is over already stays as it is."""
        await self._move(job_id, ABORTED)

    async def _move(self, job_id: str, state: str, *, prepaid: bool = False) -> None:
        content = json.dumps({"state": state}).encode()
        try:
            await self._client.call("PATCH", f"{self._base}/{job_id}", content=content, prepaid=prepaid)
        except (SchemaChangedError, UnexpectedResponseError) as error:
            # An earlier attempt may have moved it although its answer was lost: then the state says so.
            found = await self.info(job_id)
            if found is None or found.state == OPEN:
                raise error from None

    async def info(self, job_id: str) -> JobInfo | None:
        """How far a job is; None if there is none (any more)."""
        try:
            return _info((await self._client.call("GET", f"{self._base}/{job_id}")).body)
        except SchemaChangedError:
            return None

    async def results(
        self, job_id: str, name: str, columns: Sequence[str], take: Callable[[Sequence[Sequence[str]]], None]
    ) -> None:
        """Stream these columns of one of an ingest job's files of results; empty where it has no such column.

        When the connection breaks, rows are handed over again.
        """

        async def consume(_headers: Mapping[str, str], pieces: AsyncIterator[bytes]) -> None:
            reader = CsvReader()
            async for piece in pieces:
                take(reader.picked(reader.feed(piece), columns))
            take(reader.picked(reader.close(), columns))

        await self._client.download(f"{self._base}/{job_id}/{name}", consume)


def _info(body: Any) -> JobInfo:
    try:
        job_id = full_id(body["id"])
        if job_id is None:
            raise ValueError("id")
        # Numbers come as numbers or, in older versions, as text.
        done, failed, active, took = (int(body.get(name) or 0) for name in _COUNTS)
        return JobInfo(job_id, str(body["state"]), done, failed, active / 1000, took / 1000)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnexpectedResponseError("Salesforce's answer about a bulk job is not as documented") from error
