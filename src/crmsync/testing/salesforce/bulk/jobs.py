"""The jobs of an org: their states, their numbers, and what the API tells of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, define, field, frozen

from crmsync.testing.salesforce.bulk.csv_text import Dialect
from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.ids import canonical_id, make_id
from crmsync.testing.salesforce.times import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from crmsync.testing.salesforce.bulk.columns import Column
    from crmsync.testing.salesforce.bulk.faults import BulkFault

OPEN: Final = "Open"
UPLOAD_COMPLETE: Final = "UploadComplete"
IN_PROGRESS: Final = "InProgress"
JOB_COMPLETE: Final = "JobComplete"
FAILED: Final = "Failed"
ABORTED: Final = "Aborted"
#: The states as some messages spell them.
UPPER_STATES: Final = {
    OPEN: "OPEN",
    UPLOAD_COMPLETE: "UPLOAD_COMPLETE",
    IN_PROGRESS: "IN_PROGRESS",
    JOB_COMPLETE: "JOB_COMPLETE",
    FAILED: "FAILED",
    ABORTED: "ABORTED",
}
#: States that a job does not leave.
FINAL_STATES: Final = frozenset({JOB_COMPLETE, FAILED, ABORTED})

INGEST_OPERATIONS: Final = ("insert", "update", "upsert", "delete", "hardDelete")
QUERY_OPERATIONS: Final = ("query", "queryAll")

#: "Bulk API and Bulk API 2.0 Limits and Allocations": jobs in a final state are deleted after seven days.
JOB_LIFE: Final = timedelta(days=7)
DAY: Final = timedelta(days=1)
#: The locator of a list of jobs, to which the place is added.
LIST_LOCATOR: Final = make_id("01g", 750)


@frozen(kw_only=True)
class BulkOptions:
    """How the org treats bulk jobs.

    A job is done ``seconds`` plus ``seconds_per_record`` for each of its records after its upload was complete; with
    both at 0 the first poll finds it done. The sizes and allocations are Salesforce's ("Bulk API and Bulk API 2.0
    Limits and Allocations"); a test makes them small.

    ``max_upload_bytes`` counts the data in base64, as Salesforce does. ``page_records`` is the number of records on a
    page of query results for which the client sets no ``maxRecords``.
    """

    seconds: float = 0.0
    seconds_per_record: float = 0.0
    hard_delete: bool = False
    max_upload_bytes: int = 150_000_000
    batches_a_day: int = 15_000
    query_jobs_a_day: int = 10_000
    page_records: int = 50_000


@define(kw_only=True)
class Job:
    """What ingest and query jobs have in common. ``version`` is as in the URL that created it, ``"68.0"``.

    ``dialect`` is the form of its data and of its results. ``closed_at`` is the moment from which Salesforce works on
    the job. ``fault`` is the trouble the job runs into.
    """

    id: str
    operation: str
    object_name: str
    version: str
    created_by: str
    created_at: datetime
    dialect: Dialect
    state: str
    modified_at: datetime
    closed_at: datetime | None = None
    finished_at: datetime | None = None
    processed: int = 0
    failed: int = 0
    error_message: str | None = None
    fault: BulkFault | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen to the job any more."""
        return self.state in FINAL_STATES

    def move(self, state: str, now: datetime, *, error_message: str | None = None) -> None:
        """Put the job into a state."""
        self.state = state
        self.modified_at = now
        self.error_message = error_message or self.error_message
        if self.is_final:
            self.finished_at = now

    def last_record(self, total: int) -> int:
        """Return the number of records after which the job ends: all, or those before its fault."""
        stop = self.fault.stop_after if self.fault else None
        return total if stop is None else min(stop, total)

    def end(self, total: int, now: datetime) -> None:
        """Put the job, its last record done, into its final state."""
        stop = self.fault.stop_after if self.fault else None
        if self.fault is not None and stop is not None and stop <= total:
            self.move(self.fault.stop_state, now, error_message=self.fault.message)
        else:
            self.move(JOB_COMPLETE, now)

    def queue_seconds(self, options: BulkOptions) -> float:
        """Return for how long the job waits in the queue: the first half of its fixed time."""
        return self._fixed_seconds(options) / 2

    def due_records(self, now: datetime, options: BulkOptions) -> float:
        """Return how many records of the job can be done by ``now``: infinitely many if a record takes no time."""
        if self.closed_at is None:
            return 0
        spare = (now - self.closed_at).total_seconds() - self._fixed_seconds(options)
        if spare < 0:
            return 0
        return spare / options.seconds_per_record if options.seconds_per_record else float("inf")

    def is_started(self, now: datetime, options: BulkOptions) -> bool:
        """Whether the job has left the queue."""
        return self.closed_at is not None and (now - self.closed_at).total_seconds() >= self.queue_seconds(options)

    def _fixed_seconds(self, options: BulkOptions) -> float:
        return options.seconds + (self.fault.seconds if self.fault else 0.0)


@frozen(kw_only=True)
class Reading:
    """How far the data of a job is read: ``rows`` yields the records that are not yet processed."""

    header: list[str]
    columns: Sequence[Column]
    rows: Iterator[list[str]]

    @property
    def kept(self) -> list[int]:
        """The places of the columns that results repeat."""
        return [column.place for column in self.columns if column.exact]


@define(kw_only=True)
class IngestJob(Job):
    """A job that saves records.

    ``data`` is what was uploaded, gone once all of it is processed; ``header`` its first row and ``total`` the number
    of the others, both known once the job is in progress; ``result_columns`` are the cells of the header that results
    repeat. ``successes`` and ``failures`` are rows of CSV without their line ending, in the order of their happening.
    """

    external_id_field: str | None = None
    assignment_rule_id: str | None = None
    data: bytes | None = field(default=None, repr=False)
    header: list[str] = Factory(list)
    result_columns: list[str] = Factory(list)
    total: int = 0
    successes: list[str] = field(factory=list, repr=False)
    failures: list[str] = field(factory=list, repr=False)
    reading: Reading | None = field(default=None, repr=False, eq=False)


@define(kw_only=True)
class QueryJob(Job):
    """A job that reads records. ``rows`` are lines of CSV under ``header``, taken when the job was created."""

    query: str = field(repr=False)
    header: str = ""
    rows: list[str] = field(factory=list, repr=False)


@define
class Jobs:
    """The jobs of an org by their ids, oldest first, and what of the day's allocations is used."""

    options: BulkOptions = Factory(BulkOptions)
    serial: int = 0
    ingest: dict[str, IngestJob] = Factory(dict)
    query: dict[str, QueryJob] = Factory(dict)
    batches: list[tuple[datetime, int]] = Factory(list)
    query_jobs: list[tuple[datetime, int]] = Factory(list)
    #: Ids of jobs that time moves on.
    waiting: list[str] = Factory(list)

    def next_id(self) -> str:
        """Return the id of a new job."""
        self.serial += 1
        return make_id("750", self.serial)

    def find_ingest(self, text: str) -> IngestJob:
        """Return an ingest job by an id of 15 or 18 characters.

        :raises CallError: 404.
        """
        job = self.ingest.get(canonical_id(text) or "")
        if job is None:
            raise unknown_job()
        return job

    def find_query(self, text: str) -> QueryJob:
        """Return a query job by an id of 15 or 18 characters.

        :raises CallError: 404.
        """
        job = self.query.get(canonical_id(text) or "")
        if job is None:
            raise unknown_job()
        return job

    def close(self, job: Job, now: datetime, fault: BulkFault | None) -> None:
        """Let time begin for a job, and with it the trouble it will run into."""
        job.fault = fault
        job.closed_at = now
        job.move(UPLOAD_COMPLETE, now)
        self.waiting.append(job.id)

    def forget_old(self, now: datetime) -> None:
        """Delete the jobs that ended seven days ago."""
        jobs: dict[str, Any]
        for jobs in (self.ingest, self.query):
            for job_id, job in list(jobs.items()):
                if job.finished_at is not None and now - job.finished_at >= JOB_LIFE:
                    del jobs[job_id]

    def batches_used(self, now: datetime) -> int:
        """Return how many batches were processed in the last 24 hours."""
        return _used(self.batches, now)

    def query_jobs_used(self, now: datetime) -> int:
        """Return how many query jobs were created in the last 24 hours."""
        return _used(self.query_jobs, now)


def _used(log: list[tuple[datetime, int]], now: datetime) -> int:
    while log and now - log[0][0] >= DAY:
        log.pop(0)
    return sum(count for _, count in log)


def unknown_job() -> CallError:
    """The answer for the id of no job."""
    return CallError(404, "NOT_FOUND", "The requested resource does not exist", code_first=True)


def invalid_state(message: str) -> CallError:
    """The refusal of what a job's state does not allow. 400: "Abort a Query Job" shows it."""
    return CallError(400, "INVALIDJOBSTATE", message, code_first=True)


def invalid_job(message: str) -> CallError:
    """The refusal of a job that cannot be: its message repeats the code in its old form, as recorded."""
    return CallError(400, "INVALIDJOB", f"InvalidJob : {message}", code_first=True)


def bad_property(name: str, value: object) -> CallError:
    """The refusal of a request's property."""
    shown = "" if value is None else value
    return CallError(400, "API_ERROR", f"Invalid value: '{shown}' supplied for property: '{name}'", code_first=True)


def within_upload_limit(options: BulkOptions, data: bytes) -> bytes:
    """Return the data of an upload.

    :raises CallError: 413, it is too large once Salesforce has put it into base64 ("Upload Job Data" gives the limit,
        no answer).
    """
    if 4 * ceil(len(data) / 3) > options.max_upload_bytes:
        message = f"Job data is limited to {options.max_upload_bytes} bytes of base64 encoded content"
        raise CallError(413, "EXCEEDEDQUOTA", f"ExceededQuota : {message}", code_first=True)
    return data


def short_info(job: Job) -> dict[str, Any]:
    """Return the form in which creating, closing and aborting a job answer."""
    info: dict[str, Any] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object_name,
        "createdById": job.created_by,
        "createdDate": stamp(job.created_at),
        "systemModstamp": stamp(job.modified_at),
        "state": job.state,
    }
    if isinstance(job, IngestJob):
        if job.external_id_field is not None:
            info["externalIdFieldName"] = job.external_id_field
        if job.assignment_rule_id is not None:
            info["assignmentRuleId"] = job.assignment_rule_id
    # apiVersion is a JSON number with its fraction, 47.0, in recorded answers, though the documentation says string.
    return {**info, "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(job.version)}


def created_info(job: Job) -> dict[str, Any]:
    """Return the form in which creating a job answers: the short one and how to upload."""
    return {**short_info(job), **_upload_info(job)}


def listed_info(job: Job) -> dict[str, Any]:
    """Return the form in a list of jobs."""
    kind = "V2Ingest" if isinstance(job, IngestJob) else "V2Query"
    return {**short_info(job), "jobType": kind, **_upload_info(job)}


def full_info(job: Job) -> dict[str, Any]:
    """Return the form in which a single job is read."""
    info = listed_info(job)
    # Milliseconds; the emulator has no triggers in Apex.
    worked = 0
    if job.closed_at is not None:
        worked = int(((job.finished_at or job.modified_at) - job.closed_at).total_seconds() * 1000)
    info |= {"numberRecordsProcessed": job.processed}
    if isinstance(job, IngestJob):
        info |= {"numberRecordsFailed": job.failed}
    info |= {"retries": 0, "totalProcessingTime": worked}
    if isinstance(job, IngestJob):
        info |= {"apiActiveProcessingTime": worked, "apexProcessingTime": 0}
    else:
        info["isPkChunkingSupported"] = True
    if job.error_message is not None:
        info["errorMessage"] = job.error_message
    return info


def _upload_info(job: Job) -> dict[str, Any]:
    dialect = job.dialect
    info: dict[str, Any] = {"lineEnding": dialect.line_ending, "columnDelimiter": dialect.column_delimiter}
    if isinstance(job, IngestJob) and job.state == OPEN:
        # Without a slash in front, as recorded; clients join it to the instance's URL.
        return {"contentUrl": f"services/data/v{job.version}/jobs/ingest/{job.id}/batches", **info}
    return info
