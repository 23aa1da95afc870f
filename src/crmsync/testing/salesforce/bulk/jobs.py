"""The jobs of an org: what they are, how far they have come, and the options and allocations they share."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, define, evolve, field, frozen

from crmsync.testing.salesforce.bulk.csv_text import Dialect
from crmsync.testing.salesforce.errors import not_found
from crmsync.testing.salesforce.ids import canonical_id, make_id

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

    def takes(self, data: bytes) -> bool:
        """Whether the data of an upload is small enough."""
        return 4 * math.ceil(len(data) / 3) <= self.max_upload_bytes


@define(kw_only=True)
class Timed:
    """What Salesforce works on from ``closed_at`` on, as time goes. ``fault`` is the trouble that it runs into."""

    closed_at: datetime | None = None
    fault: BulkFault | None = None

    def last_record(self, total: int) -> int:
        """Return the number of records after which it ends: all, or those before its fault."""
        stop = self.fault.stop_after if self.fault else None
        return total if stop is None else min(stop, total)

    def is_started(self, now: datetime, options: BulkOptions) -> bool:
        """Whether it has left the queue: it waits there for the first half of its fixed time."""
        return self._elapsed(now) >= self._fixed_seconds(options) / 2

    def due_records(self, now: datetime, options: BulkOptions) -> float:
        """Return how many of its records can be done by ``now``: infinitely many if a record takes no time."""
        spare = self._elapsed(now) - self._fixed_seconds(options)
        if spare < 0:
            return 0
        # Rounded, lest a record's last microsecond is lost in the division.
        return round(spare / options.seconds_per_record, 6) if options.seconds_per_record else math.inf

    def _elapsed(self, now: datetime) -> float:
        return -math.inf if self.closed_at is None else (now - self.closed_at).total_seconds()

    def _fixed_seconds(self, options: BulkOptions) -> float:
        return options.seconds + (self.fault.seconds if self.fault else 0.0)


@define(kw_only=True)
class Job(Timed):
    """What ingest and query jobs have in common. ``version`` is as in the URL that created it, ``"68.0"``.

    ``dialect`` is the form of its data and of its results.
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
    finished_at: datetime | None = None
    processed: int = 0
    error_message: str | None = None

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

    def end(self, total: int, now: datetime) -> None:
        """Put the job, its last record done, into its final state."""
        stop = self.fault.stop_after if self.fault else None
        if self.fault is not None and stop is not None and stop <= total:
            self.move(self.fault.stop_state, now, error_message=self.fault.message)
        else:
            self.move(JOB_COMPLETE, now)


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
    failed: int = 0
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

    def set_options(self, **changes: Any) -> None:
        """Change some of the options.

        :raises TypeError: there is no such option.
        """
        self.options = evolve(self.options, **changes)

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
            raise not_found()
        return job

    def find_query(self, text: str) -> QueryJob:
        """Return a query job by an id of 15 or 18 characters.

        :raises CallError: 404.
        """
        job = self.query.get(canonical_id(text) or "")
        if job is None:
            raise not_found()
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
