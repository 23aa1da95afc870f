"""An org's jobs of the first Bulk API as JSON values, for the state file."""

from __future__ import annotations

import base64
import zlib
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from crmsync.testing.salesforce.bulk.faults import BulkFault
from crmsync.testing.salesforce.dataload.jobs import Batch, LoadJob, LoadJobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOMENTS: Final = ("created_at", "modified_at", "closed_at", "finished_at")


def dump(loads: LoadJobs) -> dict[str, Any]:
    """Return the jobs with their batches."""
    return {"serial": loads.serial, "jobs": [_dumped(job) for job in loads.by_id.values()]}


def load(loads: LoadJobs, state: Mapping[str, Any], known_objects: Iterable[str]) -> None:
    """Replace the jobs by dumped ones. Jobs on objects that the org has not are left out.

    :raises ValueError: the document is not such a state. The jobs are then as before.
    """
    try:
        known = set(known_objects)
        jobs = [_loaded(saved) for saved in state["jobs"] if saved["object_name"] in known]
        serial = int(state["serial"])
    except (KeyError, TypeError, zlib.error) as error:
        raise ValueError("the jobs of batches are not a state of this emulator") from error
    loads.serial, loads.by_id = serial, {job.id: job for job in jobs}


def _dumped(job: LoadJob) -> dict[str, Any]:
    values = _texts({entry.name: getattr(job, entry.name) for entry in attrs.fields(LoadJob)})
    values["batches"] = [_dumped_batch(batch) for batch in job.batches]
    return values


def _dumped_batch(batch: Batch) -> dict[str, Any]:
    values = _texts({e.name: getattr(batch, e.name) for e in attrs.fields(Batch) if e.name != "values"})
    values["data"] = base64.b64encode(zlib.compress(batch.data, 1)).decode("ascii")
    values["fault"] = None if batch.fault is None else attrs.asdict(batch.fault)
    return values


def _loaded(saved: Mapping[str, Any]) -> LoadJob:
    return LoadJob(**{**_moments(saved), "batches": [_loaded_batch(batch) for batch in saved["batches"]]})


def _loaded_batch(saved: Mapping[str, Any]) -> Batch:
    values = _moments(saved)
    values["data"] = zlib.decompress(base64.b64decode(values["data"]))
    values["fault"] = None if values["fault"] is None else BulkFault(**values["fault"])
    return Batch(**values)


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if k in _MOMENTS and v is not None else v for k, v in values.items()}


def _moments(saved: Mapping[str, Any]) -> dict[str, Any]:
    return {k: datetime.fromisoformat(v) if k in _MOMENTS and v is not None else v for k, v in saved.items()}
