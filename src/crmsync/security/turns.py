"""One at a time, among all tasks and processes that share an integration's bookkeeping."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import anyio
import attrs

from crmsync.errors import ConcurrentUpdateError, StorageError
from crmsync.models.state import Lease
from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.runtime import Clock

_TTL: Final = timedelta(seconds=30)
_POLL: Final = 0.05
"""Seconds between two tries to get a lease that another process holds; most hold it for some tenths of a second."""


class SharedTurns:
    """`Turns` over the bookkeeping's leases. Safe for concurrent calls.

    ``locks`` is shared by all of the process, so that only processes contend for the lease.
    """

    def __init__(
        self, repository: SyncRepository, clock: Clock, integration_id: str, *, locks: dict[str, anyio.Lock]
    ) -> None:
        self._repository = repository
        self._clock = clock
        self._integration_id = integration_id
        self._locks = locks

    @asynccontextmanager
    async def exclusive(self, name: str) -> AsyncIterator[None]:
        """See `Turns`.

        The lease is renewed while the body runs. A body is never interrupted because the lease was lost all the same
        (its process slept, say): what it has just got from the CRM would be lost with it.
        """
        lease_name = lease_name_of(name)
        async with self._locks.setdefault(f"{self._integration_id}{lease_name}", anyio.Lock()):
            held = _Held(await self._acquired(lease_name))
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._keep, held)
                    yield
                    group.cancel_scope.cancel()
            except BaseExceptionGroup as errors:
                # Nothing but the body raises here.
                if len(errors.exceptions) == 1:
                    raise errors.exceptions[0] from None
                raise
            finally:
                with anyio.CancelScope(shield=True):
                    await self._repository.release_lease(held.lease)

    async def _acquired(self, lease_name: str) -> Lease:
        owner = uuid.uuid4().hex
        while True:
            try:
                # Cancelled while it waits, the lease would be taken and never given back.
                with anyio.CancelScope(shield=True):
                    return await self._repository.acquire_lease(
                        self._integration_id, lease_name, owner, now=self._clock.now(), ttl=_TTL
                    )
            except ConcurrentUpdateError:
                await anyio.sleep(_POLL)

    async def _keep(self, held: _Held) -> None:
        while True:
            await anyio.sleep(_TTL.total_seconds() / 3)
            try:
                held.lease = await self._repository.renew_lease(held.lease, now=self._clock.now(), ttl=_TTL)
            except StorageError:
                return


def lease_name_of(name: str) -> str:
    """What a lease stands under, beside the names of the CRM's objects, none of which begins so."""
    return f"#{name}"


@attrs.define(slots=True)
class _Held:
    lease: Lease
