"""A repository that breaks exactly one promise, beside the promise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias

from crmsync.models.state import Lease
from crmsync.protocols.repository import SyncRepository
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract

Promise: TypeAlias = Callable[[RepositoryContract, SyncRepository], Awaitable[None]]
Breaches: TypeAlias = list[tuple[type[MemoryRepository], Promise]]


async def current(repository: MemoryRepository, lease: Lease) -> Lease:
    """The lease as its present holder has it; a free one is taken."""
    held = repository._integrations[lease.integration_id].objects[lease.entity_type].lease
    if held is not None:
        return held
    return await MemoryRepository.acquire_lease(
        repository, lease.integration_id, lease.entity_type, "thief", now=lease.expires_at, ttl=timedelta(minutes=1)
    )
