"""Repositories that break a promise about leases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from crmsync.errors import ConcurrentUpdateError, LeaseLostError
from crmsync.models.state import (
    Acknowledgement,
    JournalEntry,
    Lease,
)
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract
from tests.contract.breaches.promise import Breaches, current


class IgnoresTheFence(MemoryRepository):
    """Stores what a lost lease acknowledges."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(await current(self, lease), acknowledgement)


class IgnoresTheFenceOfTheJournal(MemoryRepository):
    async def add_journal(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        await super().add_journal(await current(self, lease), entries)


class GivesTheLeaseToAnybody(MemoryRepository):
    async def acquire_lease(
        self, integration_id: str, entity_type: str, owner: str, *, now: datetime, ttl: timedelta
    ) -> Lease:
        try:
            return await super().acquire_lease(integration_id, entity_type, owner, now=now, ttl=ttl)
        except ConcurrentUpdateError:
            late = now + timedelta(days=1)
            lease = await super().acquire_lease(integration_id, entity_type, owner, now=late, ttl=ttl)
            return attrs.evolve(lease, expires_at=now + ttl)


class KeepsTheFence(MemoryRepository):
    """The same owner gets the same fence again."""

    async def acquire_lease(
        self, integration_id: str, entity_type: str, owner: str, *, now: datetime, ttl: timedelta
    ) -> Lease:
        held = self._integrations[integration_id].objects.get(entity_type)
        if held is not None and held.lease is not None and held.lease.owner == owner:
            return held.lease
        return await super().acquire_lease(integration_id, entity_type, owner, now=now, ttl=ttl)


class ForgetsTheFenceOnRelease(MemoryRepository):
    async def release_lease(self, lease: Lease) -> None:
        await super().release_lease(lease)
        self._integrations[lease.integration_id].objects[lease.entity_type].fence = 0


class ReleasesForOthers(MemoryRepository):
    async def release_lease(self, lease: Lease) -> None:
        await super().release_lease(await current(self, lease))


class RefusesExpired(MemoryRepository):
    """Takes an expired lease for a lost one."""

    async def renew_lease(self, lease: Lease, *, now: datetime, ttl: timedelta) -> Lease:
        if lease.expires_at <= now:
            raise LeaseLostError("expired")
        return await super().renew_lease(lease, now=now, ttl=ttl)


BREACHES: Breaches = [
    (IgnoresTheFence, RepositoryContract.test_what_a_lost_lease_acknowledges_is_refused_whole),
    (IgnoresTheFence, RepositoryContract.test_a_released_lease_is_free_at_once_and_serves_no_more),
    (IgnoresTheFenceOfTheJournal, RepositoryContract.test_what_a_lost_lease_adds_to_the_journal_is_refused),
    (GivesTheLeaseToAnybody, RepositoryContract.test_a_held_lease_is_refused_to_another_owner),
    (GivesTheLeaseToAnybody, RepositoryContract.test_of_many_who_try_at_once_exactly_one_gets_the_lease),
    (GivesTheLeaseToAnybody, RepositoryContract.test_of_two_openings_exactly_one_gets_the_lease),
    (KeepsTheFence, RepositoryContract.test_the_owner_may_take_its_lease_again_and_the_fence_grows),
    (ForgetsTheFenceOnRelease, RepositoryContract.test_the_fence_grows_over_a_release),
    (ReleasesForOthers, RepositoryContract.test_releasing_a_lost_lease_leaves_the_new_holder_alone),
    (RefusesExpired, RepositoryContract.test_an_expired_lease_that_nobody_took_still_serves),
]
