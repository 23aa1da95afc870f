"""Letting the jobs catch up with the org's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmsync.testing.salesforce.bulk import ingest, query
from crmsync.testing.salesforce.bulk.jobs import IngestJob
from crmsync.testing.salesforce.dataload import work

if TYPE_CHECKING:
    from crmsync.testing.salesforce.org import SalesforceOrg


def settle(org: SalesforceOrg) -> None:
    """Do what the org's jobs have done by now. Every request calls this first, and a server ten times a second."""
    bulk, now = org.bulk, org.now()
    for load, batch in org.loads.busy():
        work.advance(org, load, batch, now)
    for job_id in list(bulk.waiting):
        job = bulk.ingest.get(job_id) or bulk.query.get(job_id)
        if isinstance(job, IngestJob):
            ingest.advance(org, job, now)
        elif job is not None:
            query.advance(org, job, now)
        if job is None or job.is_final:
            bulk.waiting.remove(job_id)
        if isinstance(job, IngestJob) and job.is_final:
            job.reading = None
