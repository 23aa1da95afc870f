"""The promises of a repository about leases, and about what is fenced by them."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from crmsync.errors import ConcurrentUpdateError, LeaseLostError, NotFoundError
from crmsync.models.state import Acknowledgement, Cursors, Lease
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
    conflict,
    entry,
    ids_in,
    lease_of,
    link,
)


class LeasePromises(RepositorySubject):
    """One holder at a time, and a late one stores nothing."""

    async def test_a_free_lease_is_given_for_the_time_asked(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        assert lease == Lease(OURS, CONTACT, "worker-1", lease.fence, NOW + TTL)

    async def test_a_held_lease_is_refused_to_another_owner(self, repository: SyncRepository) -> None:
        await lease_of(repository)
        with pytest.raises(ConcurrentUpdateError, match="worker-1"):
            await repository.acquire_lease(OURS, CONTACT, "worker-2", now=NOW + TTL / 2, ttl=TTL)

    async def test_an_expired_lease_is_given_to_another_owner(self, repository: SyncRepository) -> None:
        """It ends at ``expires_at`` itself."""
        first = await lease_of(repository)
        second = await repository.acquire_lease(OURS, CONTACT, "worker-2", now=first.expires_at, ttl=TTL)
        assert (second.owner, second.fence) == ("worker-2", first.fence + 1)

    async def test_the_owner_may_take_its_lease_again_and_the_fence_grows(self, repository: SyncRepository) -> None:
        first = await lease_of(repository)
        second = await lease_of(repository)
        assert second.fence == first.fence + 1
        with pytest.raises(LeaseLostError):
            await repository.acknowledge(first, Acknowledgement(links=(link(1),)))

    async def test_the_fence_grows_over_a_release(self, repository: SyncRepository) -> None:
        first = await lease_of(repository)
        await repository.release_lease(first)
        second = await lease_of(repository, owner="worker-2")
        assert second.fence == first.fence + 1

    async def test_times_with_another_offset_are_the_same_moments(self, repository: SyncRepository) -> None:
        first = await repository.acquire_lease(OURS, CONTACT, "worker-1", now=NOW.astimezone(ABROAD), ttl=TTL)
        assert first.expires_at == NOW + TTL
        assert_utc(first.expires_at)
        with pytest.raises(ConcurrentUpdateError):
            await repository.acquire_lease(OURS, CONTACT, "worker-2", now=(NOW + TTL / 2).astimezone(ABROAD), ttl=TTL)

    async def test_a_renewed_lease_lasts_longer_under_the_same_fence(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        later = NOW + TTL - timedelta(seconds=1)
        renewed = await repository.renew_lease(lease, now=later, ttl=TTL)
        assert renewed == Lease(OURS, CONTACT, "worker-1", lease.fence, later + TTL)
        with pytest.raises(ConcurrentUpdateError):
            await repository.acquire_lease(OURS, CONTACT, "worker-2", now=NOW + TTL, ttl=TTL)
        await repository.acknowledge(lease, Acknowledgement(links=(link(1),)))
        assert await ids_in(repository) == ["m1"]

    async def test_an_expired_lease_that_nobody_took_still_serves(self, repository: SyncRepository) -> None:
        """A holder that was slow, but alone, does not lose its work."""
        lease = await lease_of(repository)
        await repository.acknowledge(lease, Acknowledgement(links=(link(1),)))
        renewed = await repository.renew_lease(lease, now=NOW + 10 * TTL, ttl=TTL)
        assert renewed.expires_at == NOW + 11 * TTL

    async def test_a_lost_lease_cannot_be_renewed(self, repository: SyncRepository) -> None:
        lost = await lease_of(repository)
        await repository.acquire_lease(OURS, CONTACT, "worker-2", now=NOW + TTL, ttl=TTL)
        with pytest.raises(LeaseLostError):
            await repository.renew_lease(lost, now=NOW + TTL, ttl=TTL)

    async def test_a_released_lease_is_free_at_once_and_serves_no_more(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        await repository.release_lease(lease)
        with pytest.raises(LeaseLostError):
            await repository.acknowledge(lease, Acknowledgement(links=(link(1),)))
        with pytest.raises(LeaseLostError):
            await repository.renew_lease(lease, now=NOW, ttl=TTL)
        await lease_of(repository, owner="worker-2")
        assert await ids_in(repository) == []

    async def test_releasing_a_lost_lease_leaves_the_new_holder_alone(self, repository: SyncRepository) -> None:
        lost = await lease_of(repository)
        held = await repository.acquire_lease(OURS, CONTACT, "worker-2", now=NOW + TTL, ttl=TTL)
        await repository.release_lease(lost)
        await repository.acknowledge(held, Acknowledgement(links=(link(1),)))
        assert await ids_in(repository) == ["m1"]

    async def test_every_object_of_every_integration_has_its_own_lease(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        for scope in NEIGHBOURS:
            other = await lease_of(repository, scope, owner="worker-2")
            assert other.fence == lease.fence
            await repository.release_lease(other)
        await repository.renew_lease(lease, now=NOW, ttl=TTL)

    async def test_there_is_no_lease_on_an_integration_that_is_not_there(self, repository: SyncRepository) -> None:
        with pytest.raises(NotFoundError):
            await lease_of(repository, ("nobody", CONTACT))

    async def test_of_many_who_try_at_once_exactly_one_gets_the_lease(self, repository: SyncRepository) -> None:
        assert await _winners([repository] * 10) == 1

    async def test_of_two_openings_exactly_one_gets_the_lease(self, repository: SyncRepository) -> None:
        """Two processes, in effect."""
        if not self.persistent:
            return
        async with self.open() as second:
            assert await _winners([repository, second] * 3) == 1

    async def test_what_a_lost_lease_acknowledges_is_refused_whole(self, repository: SyncRepository) -> None:
        """The run that stood still while its lease expired wakes up and writes: nothing of it may be stored."""
        lost = await lease_of(repository)
        await repository.add_journal(lost, [entry("op-1")])
        held = await repository.acquire_lease(OURS, CONTACT, "worker-2", now=NOW + TTL, ttl=TTL)
        await repository.acknowledge(held, Acknowledgement(links=(link(1),), cursors=Cursors("l1", "r1")))
        with pytest.raises(LeaseLostError):
            await repository.acknowledge(
                lost,
                Acknowledgement(
                    links=(link(2),),
                    removed_links=("m1",),
                    conflicts=(conflict(1),),
                    done=("op-1",),
                    cursors=Cursors("l2", "r2"),
                ),
            )
        assert await ids_in(repository) == ["m1"]
        assert await repository.get_cursors(OURS, CONTACT) == Cursors("l1", "r1")
        assert await repository.list_conflicts(OURS) == []
        assert [waiting.op_id for waiting in await repository.list_journal(OURS, CONTACT)] == ["op-1"]

    async def test_what_a_lost_lease_adds_to_the_journal_is_refused(self, repository: SyncRepository) -> None:
        lost = await lease_of(repository)
        await repository.acquire_lease(OURS, CONTACT, "worker-2", now=NOW + TTL, ttl=TTL)
        with pytest.raises(LeaseLostError):
            await repository.add_journal(lost, [entry("op-1")])
        assert await repository.list_journal(OURS, CONTACT) == []


async def _winners(repositories: list[SyncRepository]) -> int:
    """How many get the lease when each repository asks for it at the same time, as an owner of its own."""
    won: list[Lease] = []

    async def contend(repository: SyncRepository, owner: str) -> None:
        try:
            won.append(await repository.acquire_lease(OURS, CONTACT, owner, now=NOW, ttl=TTL))
        except ConcurrentUpdateError:
            return

    async with anyio.create_task_group() as tasks:
        for number, repository in enumerate(repositories):
            tasks.start_soon(contend, repository, f"worker-{number}")
    return len(won)
