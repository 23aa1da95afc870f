"""The promises on the jobs at the CRM that outlive the process."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crmsync.errors import LeaseLostError
from crmsync.models.state import RemoteJob
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.repository_subject import (
    ABROAD,
    CONTACT,
    NEIGHBOURS,
    NOW,
    OURS,
    TTL,
    RepositorySubject,
    assert_utc,
    integration,
    lease_of,
)


class JobPromises(RepositorySubject):
    """A job is known from before it is given anything to do until it is over."""

    async def test_jobs_are_listed_as_they_were_added_in_order(self, repository: SyncRepository) -> None:
        first = RemoteJob("750Z", "Account", "upsert", 10_000, NOW.astimezone(ABROAD))
        second = RemoteJob("750A", CONTACT, "delete", 1, NOW - timedelta(days=1))
        lease = await lease_of(repository)
        await repository.add_remote_job(lease, first)
        await repository.add_remote_job(lease, second)
        listed = await repository.list_remote_jobs(OURS, CONTACT)
        assert listed == [first, second]
        assert_utc(*(found.started_at for found in listed))

    async def test_a_job_added_twice_is_listed_once(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        for added in (job("1"), job("2"), job("1", records=7)):
            await repository.add_remote_job(lease, added)
        assert await repository.list_remote_jobs(OURS, CONTACT) == [job("1", records=7), job("2")]

    async def test_a_job_that_is_over_is_gone_and_one_that_is_not_there_does_not_matter(
        self, repository: SyncRepository
    ) -> None:
        lease = await lease_of(repository)
        await repository.add_remote_job(lease, job("1"))
        await repository.add_remote_job(lease, job("2"))
        await repository.remove_remote_job(lease, "1")
        await repository.remove_remote_job(lease, "unknown")
        assert await repository.list_remote_jobs(OURS, CONTACT) == [job("2")]

    async def test_the_jobs_of_other_scopes_are_neither_seen_nor_touched(self, repository: SyncRepository) -> None:
        for scope in NEIGHBOURS:
            await repository.add_remote_job(await lease_of(repository, scope), job("1"))
        assert await repository.list_remote_jobs(OURS, CONTACT) == []
        lease = await lease_of(repository)
        await repository.add_remote_job(lease, job("1", records=7))
        await repository.remove_remote_job(lease, "1")
        for scope in NEIGHBOURS:
            assert await repository.list_remote_jobs(*scope) == [job("1")]

    async def test_a_job_belongs_to_an_integration_and_goes_with_it(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        await repository.add_remote_job(lease, job("1"))
        await repository.delete_integration(OURS)
        with pytest.raises(LeaseLostError):
            await repository.add_remote_job(lease, job("1"))
        await repository.save_integration(integration())
        assert await repository.list_remote_jobs(OURS, CONTACT) == []

    async def test_jobs_are_still_there_when_it_is_opened_again(self, repository: SyncRepository) -> None:
        """For a repository that outlives its process (``persistent``)."""
        if not self.persistent:
            return
        await repository.add_remote_job(await lease_of(repository), job("1"))
        async with self.open() as reopened:
            assert await reopened.list_remote_jobs(OURS, CONTACT) == [job("1")]

    async def test_a_lost_lease_neither_notes_nor_forgets_a_job(self, repository: SyncRepository) -> None:
        """Its new holder ends the jobs that are noted: one added later would be ended by nobody."""
        lost = await lease_of(repository)
        await repository.add_remote_job(lost, job("1"))
        await repository.acquire_lease(OURS, CONTACT, "worker-2", now=NOW + TTL, ttl=TTL)
        with pytest.raises(LeaseLostError):
            await repository.add_remote_job(lost, job("2"))
        with pytest.raises(LeaseLostError):
            await repository.remove_remote_job(lost, "1")
        assert await repository.list_remote_jobs(OURS, CONTACT) == [job("1")]


def job(job_id: str, *, records: int = 3) -> RemoteJob:
    """A job."""
    return RemoteJob(job_id, CONTACT, "upsert", records, NOW)
