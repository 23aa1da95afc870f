"""What the API tells of a job: a short form when it changes, a long one when it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crmsync.testing.salesforce.bulk.jobs import OPEN, IngestJob
from crmsync.testing.salesforce.times import stamp

if TYPE_CHECKING:
    from crmsync.testing.salesforce.bulk.jobs import BulkOptions, Job


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


def full_info(job: Job, options: BulkOptions) -> dict[str, Any]:
    """Return the form in which a single job is read."""
    info = listed_info(job)
    # Milliseconds; the emulator has no triggers in Apex. Recorded jobs at work have no total yet, but the active time.
    took = 0
    if job.closed_at is not None and job.finished_at is not None:
        took = int((job.finished_at - job.closed_at).total_seconds() * 1000)
    info |= {"numberRecordsProcessed": job.processed}
    if isinstance(job, IngestJob):
        info |= {"numberRecordsFailed": 0 if job.fault and job.fault.miscounts else job.failed}
    info |= {"retries": 0, "totalProcessingTime": took}
    if isinstance(job, IngestJob):
        active = round(job.processed * options.seconds_per_record * 1000)
        info |= {"apiActiveProcessingTime": active, "apexProcessingTime": 0}
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
