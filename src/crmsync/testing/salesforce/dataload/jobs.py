"""Jobs and their batches: what they are, and how far they have come."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, define, field

from crmsync.testing.salesforce.bulk.jobs import JOB_LIFE, Timed
from crmsync.testing.salesforce.ids import canonical_id, make_id

if TYPE_CHECKING:
    from collections.abc import Sequence

OPEN: Final = "Open"
CLOSED: Final = "Closed"
ABORTED: Final = "Aborted"
QUEUED: Final = "Queued"
IN_PROGRESS: Final = "InProgress"
COMPLETED: Final = "Completed"
FAILED: Final = "Failed"
NOT_PROCESSED: Final = "NotProcessed"
FINAL_STATES: Final = frozenset({COMPLETED, FAILED, NOT_PROCESSED})

SAVING: Final = ("insert", "update", "upsert", "delete", "hardDelete")
READING: Final = ("query", "queryAll")
CONTENT_TYPES: Final = ("CSV", "JSON", "XML")


@define(kw_only=True)
class Batch(Timed):
    """One batch of a job.

    ``data`` is what was sent. ``results`` are the rows' results in the order of the rows; ``result`` is the file of a
    query, ``result_id`` its id. ``values`` are the rows as far as they are read, and not saved yet.
    """

    id: str
    job_id: str
    data: bytes = field(repr=False)
    created_at: datetime
    modified_at: datetime
    state: str = QUEUED
    message: str | None = None
    processed: int = 0
    failed: int = 0
    finished_at: datetime | None = None
    results: list[dict[str, Any]] = field(factory=list, repr=False)
    result: str = field(default="", repr=False)
    result_id: str = ""
    values: Sequence[Any] | None = field(default=None, repr=False, eq=False)

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in FINAL_STATES

    def move(self, state: str, now: datetime, message: str | None = None) -> None:
        """Put it into a state."""
        self.state, self.modified_at = state, now
        self.message = message or self.message
        if self.is_final:
            self.finished_at = now
            self.values = None

    @property
    def took(self) -> int:
        """Milliseconds from its coming to its end; 0 before."""
        return 0 if self.finished_at is None else int((self.finished_at - self.created_at).total_seconds() * 1000)


@define(kw_only=True)
class LoadJob:
    """A job of the first Bulk API. ``version`` is as in the URL that created it."""

    id: str
    operation: str
    object_name: str
    content_type: str
    version: str
    created_by: str
    created_at: datetime
    modified_at: datetime
    concurrency: str = "Parallel"
    external_id_field: str | None = None
    state: str = OPEN
    batches: list[Batch] = Factory(list)

    @property
    def reads(self) -> bool:
        """Whether its batches are queries."""
        return self.operation in READING

    def count(self, *states: str) -> int:
        """Return how many of its batches are in one of the states."""
        return sum(batch.state in states for batch in self.batches)

    def find(self, text: str) -> Batch | None:
        """Return a batch by an id of 15 or 18 characters."""
        wanted = canonical_id(text)
        return next((batch for batch in self.batches if batch.id == wanted), None)

    def is_over(self, now: datetime) -> bool:
        """Whether all of it ended seven days ago, when Salesforce forgets it."""
        ends = [batch.finished_at or now for batch in self.batches]
        return now - max([self.modified_at, *ends]) >= JOB_LIFE


@define
class LoadJobs:
    """The jobs of an org by their ids, oldest first."""

    by_id: dict[str, LoadJob] = Factory(dict)
    serial: int = 0

    def next_id(self, prefix: str) -> str:
        """Return the id of a new batch (751) or result (752)."""
        self.serial += 1
        return make_id(prefix, self.serial)

    def busy(self) -> list[tuple[LoadJob, Batch]]:
        """Return the batches that time moves on."""
        return [(job, batch) for job in self.by_id.values() for batch in job.batches if not batch.is_final]

    def find(self, text: str, now: datetime) -> LoadJob | None:
        """Return a job by an id of 15 or 18 characters."""
        for job_id in [job_id for job_id, job in self.by_id.items() if job.is_over(now)]:
            del self.by_id[job_id]
        return self.by_id.get(canonical_id(text) or "")
