"""An org's jobs as JSON values, for the state file."""

from __future__ import annotations

import base64
import zlib
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from crmsync.testing.salesforce.bulk.csv_text import Dialect
from crmsync.testing.salesforce.bulk.faults import BulkFault
from crmsync.testing.salesforce.bulk.jobs import IngestJob, Job, Jobs, QueryJob

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOMENTS: Final = ("created_at", "modified_at", "closed_at", "finished_at")
_J = TypeVar("_J", bound=Job)


def dump(bulk: Jobs) -> dict[str, Any]:
    """Return the jobs and the allocations used. The options are the constructor's, and not part of it."""
    return {
        "serial": bulk.serial,
        "batches": [[moment.isoformat(), count] for moment, count in bulk.batches],
        "query_jobs": [[moment.isoformat(), count] for moment, count in bulk.query_jobs],
        "ingest": [_dump_job(job) for job in bulk.ingest.values()],
        "query": [_dump_job(job) for job in bulk.query.values()],
    }


def load(bulk: Jobs, state: Mapping[str, Any], known_objects: Iterable[str]) -> None:
    """Replace the jobs by dumped ones. Jobs on objects that the org has not are left out.

    :raises ValueError: the document is not such a state. The jobs are then as before.
    """
    try:
        known = set(known_objects)
        ingest = [_load_job(IngestJob, saved) for saved in state["ingest"] if saved["object_name"] in known]
        query = [_load_job(QueryJob, saved) for saved in state["query"] if saved["object_name"] in known]
        batches, query_jobs = _load_log(state["batches"]), _load_log(state["query_jobs"])
        serial = int(state["serial"])
    except (KeyError, TypeError, zlib.error) as error:
        raise ValueError("the bulk jobs are not a state of this emulator") from error
    bulk.serial, bulk.batches, bulk.query_jobs = serial, batches, query_jobs
    bulk.ingest = {job.id: job for job in ingest}
    bulk.query = {job.id: job for job in query}
    jobs: list[Job] = [*ingest, *query]
    bulk.waiting = [job.id for job in jobs if job.closed_at is not None and not job.is_final]


def _dump_job(job: Job) -> dict[str, Any]:
    values = {entry.name: getattr(job, entry.name) for entry in attrs.fields(type(job)) if entry.name != "reading"}
    for name in _MOMENTS:
        values[name] = None if values[name] is None else values[name].isoformat()
    values["dialect"] = attrs.asdict(job.dialect)
    values["fault"] = None if job.fault is None else attrs.asdict(job.fault)
    if isinstance(job, IngestJob) and job.data is not None:
        values["data"] = base64.b64encode(zlib.compress(job.data, 1)).decode("ascii")
    return values


def _load_job(kind: type[_J], saved: Mapping[str, Any]) -> _J:
    values = dict(saved)
    for name in _MOMENTS:
        values[name] = None if values[name] is None else datetime.fromisoformat(values[name])
    values["dialect"] = Dialect(**values["dialect"])
    values["fault"] = None if values["fault"] is None else BulkFault(**values["fault"])
    if values.get("data") is not None:
        values["data"] = zlib.decompress(base64.b64decode(values["data"]))
    return kind(**values)


def _load_log(saved: Iterable[Any]) -> list[tuple[datetime, int]]:
    return [(datetime.fromisoformat(moment), int(count)) for moment, count in saved]
