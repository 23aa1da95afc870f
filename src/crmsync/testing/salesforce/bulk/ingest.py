"""What an ingest job does to the org, chunk by chunk of 200 rows, as far as time allows."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Final

from attrs import evolve

from crmsync.testing.salesforce.bulk import jobs
from crmsync.testing.salesforce.bulk.columns import read_header, values_of
from crmsync.testing.salesforce.bulk.csv_text import UnreadableCsvError
from crmsync.testing.salesforce.bulk.faults import BulkFault
from crmsync.testing.salesforce.bulk.jobs import Reading
from crmsync.testing.salesforce.bulk.row_saving import saver_for
from crmsync.testing.salesforce.errors import CallError, RowError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from crmsync.testing.salesforce.bulk.jobs import IngestJob
    from crmsync.testing.salesforce.bulk.row_saving import RowSaver
    from crmsync.testing.salesforce.org import SalesforceOrg

#: A batch of up to 10,000 records is saved 200 at a time ("How Requests Are Processed").
BATCH_RECORDS: Final = 10_000
CHUNK_RECORDS: Final = 200
#: "Get Job Failed Record Results": sf__Id is filled from this version on.
FIRST_VERSION_WITH_FAILED_IDS: Final = 53.0
NO_DATA: Final = "ClientInputError : Unable to find any data to create batch"
OVER_QUOTA: Final = "ExceededQuota : ApiBatchItems Limit exceeded."


def advance(org: SalesforceOrg, job: IngestJob, now: datetime) -> None:
    """Do the part of a closed job that is due by ``now``."""
    try:
        if job.state == jobs.UPLOAD_COMPLETE and job.is_started(now, org.bulk.options):
            _begin(org, job, now)
        if job.state == jobs.IN_PROGRESS:
            _go_on(org, job, now)
    except UnreadableCsvError as error:
        job.move(jobs.FAILED, now, error_message=str(error))


def _begin(org: SalesforceOrg, job: IngestJob, now: datetime) -> None:
    reading = _open(org, job)
    job.header, job.result_columns = reading.header, [reading.header[place] for place in reading.kept]
    job.total = sum(1 for _ in reading.rows)
    job.move(jobs.IN_PROGRESS, now)
    _claim_batches(org, job, now)


def _go_on(org: SalesforceOrg, job: IngestJob, now: datetime) -> None:
    due, last = job.due_records(now, org.bulk.options), job.last_record(job.total)
    _work(org, job, last, due)
    if due < last:
        return
    job.end(job.total, now)
    if job.processed == job.total:
        job.data = None


def _claim_batches(org: SalesforceOrg, job: IngestJob, now: datetime) -> None:
    """Use up the day's batches. Over the allocation the rest of the job is not processed, and it failed.

    ("Understanding Bulk API 2.0 Ingest".)
    """
    needed = math.ceil(job.total / BATCH_RECORDS)
    granted = min(needed, org.bulk.options.batches_a_day - org.bulk.batches_used(now))
    org.bulk.batches.append((now, granted))
    if granted < needed:
        job.fault = evolve(job.fault or BulkFault(), stop_after=granted * BATCH_RECORDS, message=OVER_QUOTA)


def _open(org: SalesforceOrg, job: IngestJob) -> Reading:
    """Return a reading of the job's data from its first record on.

    :raises UnreadableCsvError: the data, or its header, is not what the job can take.
    """
    dialect = job.dialect
    if job.data is None:
        raise UnreadableCsvError(NO_DATA)
    dialect.require_line_ending(job.data)
    rows = dialect.rows(job.data)
    header = next(rows, None)
    if header is None:
        raise UnreadableCsvError(NO_DATA)
    if job.operation in ("delete", "hardDelete") and [cell.lower() for cell in header] != ["id"]:
        raise UnreadableCsvError(f"InvalidBatch : The '{job.operation}' batch must contain only ids")
    tables = org.permissions.tables_of(job.created_by)
    columns = read_header(header, tables[job.object_name].definition, tables)
    return Reading(header=header, columns=columns, rows=rows)


def _work(org: SalesforceOrg, job: IngestJob, last: int, due: float) -> None:
    if job.processed >= last:
        return
    if job.reading is None:
        job.reading = _open(org, job)
        next(islice(job.reading.rows, job.processed, job.processed), None)
    saver = saver_for(org, job)
    while job.processed < last:
        end = min(job.processed + CHUNK_RECORDS, last)
        if end > due:
            return
        chunk = list(islice(job.reading.rows, end - job.processed))
        _save_chunk(org, job, job.reading, chunk, saver)
        job.processed = end


def _save_chunk(
    org: SalesforceOrg, job: IngestJob, reading: Reading, chunk: Sequence[Sequence[str]], saver: RowSaver
) -> None:
    dialect = job.dialect
    kept = reading.kept
    locked = lock_error(len(chunk)) if org.faults.bulk.take_lock() else None
    saver.begin_chunk()
    for row in chunk:
        shown = [row[place] if place < len(row) else "" for place in kept]
        try:
            if locked is not None:
                raise locked
            values = values_of(reading.columns, row)
            record_id, created = saver.save(values)
        except (RowError, CallError) as error:
            job.failed += 1
            job.failures.append(dialect.quoted([_id_of_failed(job, saver, reading, row), _text_of(error), *shown]))
        else:
            job.successes.append(dialect.quoted([record_id, "true" if created else "false", *shown]))


def lock_error(records: int) -> RowError:
    """Return the refusal of every row of a chunk that cannot be locked."""
    message = f"unable to obtain exclusive access to this record or {records} records"
    return RowError("UNABLE_TO_LOCK_ROW", message)


def _text_of(error: RowError | CallError) -> str:
    """Return an error as a row's sf__Error: code, message and fields, with two hyphens at the end."""
    fields = error.fields if isinstance(error, RowError) else ()
    return f"{error.code}:{error.message}:{','.join(fields)}{' ' if fields else ''}--"


def _id_of_failed(job: IngestJob, saver: RowSaver, reading: Reading, row: Sequence[str]) -> str:
    if float(job.version) < FIRST_VERSION_WITH_FAILED_IDS:
        return ""
    try:
        return saver.known_id(values_of(reading.columns, row))
    except RowError:
        return ""
