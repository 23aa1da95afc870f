"""Repositories that break a promise about remote jobs."""

from __future__ import annotations

from crmsync.models.state import (
    Lease,
    RemoteJob,
)
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract
from tests.contract.breaches.promise import Breaches, current


class ListsEveryJob(MemoryRepository):
    """Whatever the object."""

    async def list_remote_jobs(self, integration_id: str, entity_type: str) -> list[RemoteJob]:
        objects = self._integrations[integration_id].objects if integration_id in self._integrations else {}
        return [job for state in objects.values() for job in state.jobs.values()]


class ForgetsEveryJobWithOne(MemoryRepository):
    async def remove_remote_job(self, lease: Lease, job_id: str) -> None:
        self._object(lease.integration_id, lease.entity_type).jobs.clear()


class IgnoresTheFenceOfJobs(MemoryRepository):
    async def add_remote_job(self, lease: Lease, job: RemoteJob) -> None:
        await super().add_remote_job(await current(self, lease), job)


class ForgetsJobsWithoutALease(MemoryRepository):
    async def remove_remote_job(self, lease: Lease, job_id: str) -> None:
        await super().remove_remote_job(await current(self, lease), job_id)


class SortsJobs(MemoryRepository):
    """By id, and not in the order in which they began."""

    async def list_remote_jobs(self, integration_id: str, entity_type: str) -> list[RemoteJob]:
        return sorted(await super().list_remote_jobs(integration_id, entity_type), key=lambda job: job.job_id)


BREACHES: Breaches = [
    (ListsEveryJob, RepositoryContract.test_the_jobs_of_other_scopes_are_neither_seen_nor_touched),
    (
        ForgetsEveryJobWithOne,
        RepositoryContract.test_a_job_that_is_over_is_gone_and_one_that_is_not_there_does_not_matter,
    ),
    (IgnoresTheFenceOfJobs, RepositoryContract.test_a_lost_lease_neither_notes_nor_forgets_a_job),
    (ForgetsJobsWithoutALease, RepositoryContract.test_a_lost_lease_neither_notes_nor_forgets_a_job),
    (SortsJobs, RepositoryContract.test_jobs_are_listed_as_they_were_added_in_order),
]
