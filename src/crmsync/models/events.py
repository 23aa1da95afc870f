"""What an observer hears. Named in the past tense; without record values."""

from __future__ import annotations

import attrs

from crmsync.models.problems import Problem
from crmsync.models.records import Side
from crmsync.models.runs import RunReport


@attrs.frozen(slots=True)
class RunStarted:
    """A run began."""

    run_id: str
    integration_id: str
    entity_type: str
    dry_run: bool


@attrs.frozen(slots=True)
class PageRead:
    """A page of changes arrived. ``total`` is the size of the pass when the side knows it."""

    run_id: str
    side: Side
    records: int
    total: int | None


@attrs.frozen(slots=True)
class BatchWritten:
    """A batch of operations was answered."""

    run_id: str
    side: Side
    succeeded: int
    failed: int


@attrs.frozen(slots=True)
class JobProgressed:
    """A job at the CRM was looked at: so many of its records are done."""

    integration_id: str
    entity_type: str
    job_id: str
    processed: int
    records: int


@attrs.frozen(slots=True)
class PageAcknowledged:
    """A page's writes, shadows and cursor were stored in one transaction; ``records`` of it are dealt with."""

    run_id: str
    side: Side
    records: int


@attrs.frozen(slots=True)
class RecordRejected:
    """A record, or a field of it, could not be synced and will be tried again."""

    run_id: str
    markmail_id: str | None
    crm_id: str | None
    problem: Problem


@attrs.frozen(slots=True)
class RetryScheduled:
    """A call failed for a passing reason and is tried again after ``seconds``."""

    run_id: str
    side: Side
    attempt: int
    seconds: float
    reason: str


@attrs.frozen(slots=True)
class RunFinished:
    """A run ended, well or not."""

    report: RunReport


SyncEvent = (
    RunStarted
    | PageRead
    | BatchWritten
    | JobProgressed
    | PageAcknowledged
    | RecordRejected
    | RetryScheduled
    | RunFinished
)
