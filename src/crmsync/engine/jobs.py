"""The log of jobs at the CRM, in the bookkeeping."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from crmsync.models.events import JobProgressed
from crmsync.models.state import RemoteJob
from crmsync.protocols.observers import Observer
from crmsync.protocols.repository import SyncRepository


@attrs.frozen(slots=True)
class RunJobs:
    """A `JobLog` for the runs of one object of one integration. Only a run may use it: it holds the object's lease."""

    repository: SyncRepository
    integration_id: str
    entity_type: str
    observers: Sequence[Observer] = ()

    async def add(self, job: RemoteJob) -> None:
        await self.repository.add_remote_job(self.integration_id, self.entity_type, job)

    async def remove(self, job_id: str) -> None:
        await self.repository.remove_remote_job(self.integration_id, self.entity_type, job_id)

    async def unfinished(self) -> Sequence[RemoteJob]:
        return await self.repository.list_remote_jobs(self.integration_id, self.entity_type)

    def progressed(self, job: RemoteJob, processed: int) -> None:
        event = JobProgressed(self.integration_id, self.entity_type, job.job_id, processed, job.records)
        for observer in self.observers:
            observer.notify(event)
