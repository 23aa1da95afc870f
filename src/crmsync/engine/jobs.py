"""The log of jobs at the CRM, in the bookkeeping."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from crmsync.engine.lease import RunLease
from crmsync.models.events import JobProgressed
from crmsync.models.state import RemoteJob
from crmsync.protocols.observers import Observer


@attrs.frozen(slots=True)
class RunJobs:
    """A `JobLog` for the runs of one object of one integration, fenced by the run's lease."""

    lease: RunLease
    observers: Sequence[Observer] = ()

    async def add(self, job: RemoteJob) -> None:
        await self.lease.repository.add_remote_job(self.lease.current, job)

    async def remove(self, job_id: str) -> None:
        await self.lease.repository.remove_remote_job(self.lease.current, job_id)

    async def unfinished(self) -> Sequence[RemoteJob]:
        lease = self.lease
        return await lease.repository.list_remote_jobs(lease.integration_id, lease.entity_type)

    def progressed(self, job: RemoteJob, processed: int) -> None:
        lease = self.lease
        event = JobProgressed(lease.integration_id, lease.entity_type, job.job_id, processed, job.records)
        for observer in self.observers:
            observer.notify(event)
