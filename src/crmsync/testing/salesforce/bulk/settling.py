"""Letting the jobs catch up with the org's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmsync.testing.salesforce.bulk import ingest, query

if TYPE_CHECKING:
    from crmsync.testing.salesforce.org import SalesforceOrg


def settle(org: SalesforceOrg) -> None:
    """Do what the org's jobs have done by now. Every request calls this first, so nothing runs in the background."""
    bulk = org.bulk
    if not bulk.waiting:
        return
    now = org.now()
    for job_id in list(bulk.waiting):
        if (job := bulk.ingest.get(job_id)) is not None:
            ingest.advance(org, job, now)
            is_over = job.is_final
        elif (other := bulk.query.get(job_id)) is not None:
            query.advance(org, other, now)
            is_over = other.is_final
        else:
            is_over = True
        if is_over:
            bulk.waiting.remove(job_id)
