"""What the batches of jobs do to the org, as far as time allows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.bulk.columns import read_header, values_of
from crmsync.testing.salesforce.bulk.csv_text import Dialect, UnreadableCsvError
from crmsync.testing.salesforce.bulk.ingest import BATCH_RECORDS, CHUNK_RECORDS, lock_error
from crmsync.testing.salesforce.bulk.query import parse_bulk_soql, text_columns
from crmsync.testing.salesforce.bulk.row_saving import saver_for
from crmsync.testing.salesforce.dataload.content import UnreadableBatchError, read_rows
from crmsync.testing.salesforce.dataload.jobs import COMPLETED, FAILED, IN_PROGRESS, QUEUED
from crmsync.testing.salesforce.errors import CallError, RowError
from crmsync.testing.salesforce.soql.evaluation import run
from crmsync.testing.salesforce.soql.resolving import Resolver
from crmsync.testing.salesforce.soql.selection import table_of
from crmsync.testing.salesforce.times import parse_datetime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from crmsync.testing.salesforce.bulk.query import TextColumn
    from crmsync.testing.salesforce.dataload.jobs import Batch, LoadJob
    from crmsync.testing.salesforce.org import SalesforceOrg

NO_RECORDS: Final = "Records not found for this query"
_CSV: Final = Dialect("COMMA", "LF")


def advance(org: SalesforceOrg, job: LoadJob, batch: Batch, now: datetime) -> None:
    """Do the part of a batch that is due by ``now``."""
    if batch.state == QUEUED and batch.is_started(now, org.bulk.options):
        batch.move(IN_PROGRESS, now)
    if batch.state != IN_PROGRESS:
        return
    try:
        if batch.values is None:
            batch.values = _query(org, job, batch, now) if job.reads else _rows(org, job, batch)
    except UnreadableBatchError as error:
        batch.move(FAILED, now, str(error))
        return
    _go_on(org, job, batch, now)


def _go_on(org: SalesforceOrg, job: LoadJob, batch: Batch, now: datetime) -> None:
    assert batch.values is not None
    total = len(batch.values)
    due, last = batch.due_records(now, org.bulk.options), batch.last_record(total)
    while batch.processed < last and (end := min(batch.processed + CHUNK_RECORDS, last)) <= due:
        if not job.reads:
            _save_chunk(org, job, batch, batch.values[batch.processed : end])
        batch.processed = end
    if due >= last and batch.processed == last:
        fault = batch.fault
        stopped = fault is not None and fault.stop_after is not None and fault.stop_after <= total
        batch.move(FAILED if stopped else COMPLETED, now, fault.message if fault and stopped else None)


def _rows(org: SalesforceOrg, job: LoadJob, batch: Batch) -> list[Mapping[str, str]]:
    rows = read_rows(job.content_type, batch.data)
    if len(rows) > BATCH_RECORDS:
        raise UnreadableBatchError(f"InvalidBatch : A batch holds at most {BATCH_RECORDS} records")
    names = dict.fromkeys(name for row in rows for name in row)
    if job.operation in ("delete", "hardDelete") and {name.lower() for name in names} != {"id"}:
        raise UnreadableBatchError(f"InvalidBatch : The '{job.operation}' batch must contain only ids")
    _columns(org, job, names)
    return list(rows)


def _columns(org: SalesforceOrg, job: LoadJob, names: Mapping[str, object]) -> Any:
    tables = org.permissions.tables_of(job.created_by)
    try:
        return read_header(list(names), tables[job.object_name].definition, tables)
    except UnreadableCsvError as error:
        raise UnreadableBatchError(str(error)) from error


def _save_chunk(org: SalesforceOrg, job: LoadJob, batch: Batch, chunk: Sequence[Mapping[str, str]]) -> None:
    saver = saver_for(org, job)
    locked = lock_error(len(chunk)) if org.faults.bulk.take_lock() else None
    for row in chunk:
        result: dict[str, Any] = {"success": True, "created": False, "id": None, "errors": []}
        try:
            if locked is not None:
                raise locked
            values = values_of(_columns(org, job, row), list(row.values()))
            result["id"], result["created"] = saver.save(values)
        except (RowError, CallError) as error:
            batch.failed += 1
            fields = list(error.fields) if isinstance(error, RowError) else []
            problem = {
                "message": error.message,
                "fields": fields,
                "statusCode": error.code,
                "extendedErrorDetails": None,
            }
            result |= {"success": False, "errors": [problem]}
        batch.results.append(result)


def _query(org: SalesforceOrg, job: LoadJob, batch: Batch, now: datetime) -> Sequence[object]:
    """Run a batch's query and keep its result.

    :raises UnreadableBatchError: it is refused.
    """
    text, tables = batch.data.decode("utf-8", "replace"), org.permissions.tables_of(job.created_by)
    try:
        query = parse_bulk_soql(text)
        result = run(text, tables, version=job.version, now=now, include_deleted=job.operation == "queryAll")
        columns = text_columns(Resolver(query, table_of(query, tables), tables))
    except (CallError, RowError) as error:
        raise UnreadableBatchError(f"InvalidBatch : Failed to process query: {error.code}: {error.message}") from None
    if job.content_type == "JSON":
        records = [_with_epochs(result.show(row), columns) for row in result.rows]
        batch.result = json.dumps(records, ensure_ascii=False)
    elif not result.rows:
        batch.result = f"{NO_RECORDS}\n"
    else:
        texts = ([column.read(row) for column in columns] for row in result.rows)
        batch.result = "".join(f"{_CSV.quoted(line)}\n" for line in [[column.name for column in columns], *texts])
    batch.result_id = org.loads.next_id("752")
    return result.rows


def _with_epochs(record: dict[str, Any], columns: Sequence[TextColumn]) -> dict[str, Any]:
    """Return a record with its dates as the numbers that JSON results have (simple-salesforce, issue 290)."""
    for column in columns:
        *parents, name = column.name.split(".")
        holder: Any = record
        for parent in parents:
            holder = holder and holder.get(parent)
        if column.type in ("date", "datetime") and holder and holder.get(name):
            text = str(holder[name])
            moment = parse_datetime(text) or parse_datetime(f"{text}T00:00:00Z")
            holder[name] = None if moment is None else int(moment.timestamp() * 1000)
    return record
