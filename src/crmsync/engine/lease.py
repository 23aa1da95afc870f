"""The lease of a run: taken before it begins, renewed while it works, asked about before every write to a side.

The bookkeeping refuses whatever comes with a lease that another process took since. The sides know no lease, so a
process that stood still (a suspended machine, SIGSTOP) must find out by itself, before its next call: by the clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import anyio
import attrs

from crmsync.engine.tasks import single_error
from crmsync.errors import ConcurrentUpdateError, LeaseLostError, StorageError
from crmsync.models.state import Lease
from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.runtime import Clock


@attrs.define(slots=True, eq=False)
class RunLease:
    """The lease on one object of one integration, shared by everything that writes for the run. A `WritePermit`.

    Outside a run nothing is held: then `confirm` permits everything, and `current` is refused.
    """

    repository: SyncRepository
    integration_id: str
    entity_type: str
    clock: Clock
    _held: Lease | None = attrs.field(default=None, init=False)
    _ttl: timedelta = attrs.field(default=timedelta(0), init=False)
    _renewing: anyio.Lock = attrs.field(factory=anyio.Lock, init=False)

    @property
    def current(self) -> Lease:
        """What to write to the bookkeeping with.

        :raises LeaseLostError: no run is at work.
        """
        if self._held is None:
            msg = f"no run of {self.entity_type!r} of integration {self.integration_id!r} is at work here"
            raise LeaseLostError(msg)
        return self._held

    async def acquire(self, owner: str, seconds: float) -> None:
        """Take it for so long.

        :raises ConcurrentUpdateError: another owner holds it.
        """
        self._ttl = timedelta(seconds=seconds)
        # Cancelled while it waits, the lease would be taken and never given back.
        with anyio.CancelScope(shield=True):
            self._held = await self.repository.acquire_lease(
                self.integration_id, self.entity_type, owner, now=self.clock.now(), ttl=self._ttl
            )

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew it while the body runs; give it back after.

        :raises LeaseLostError: another process took it; the body is cancelled.
        """
        try:
            with single_error():
                async with anyio.create_task_group() as group:
                    group.start_soon(self._keep)
                    yield
                    group.cancel_scope.cancel()
        finally:
            # One that cannot be given back ends by itself; what the body raised is what matters.
            with anyio.CancelScope(shield=True), suppress(StorageError):
                await self.repository.release_lease(self.current)
            self._held = None

    async def confirm(self) -> None:
        """See `WritePermit`. A running renewal keeps more than a third of the time ahead, so this rarely asks."""
        if self._held is None or self._has_time():
            return
        async with self._renewing:
            if not self._has_time():
                await self._renew()

    def _has_time(self) -> bool:
        return self.current.expires_at - self.clock.now() > self._ttl / 3

    async def _keep(self) -> None:
        while True:
            await anyio.sleep(self._ttl.total_seconds() / 3)
            async with self._renewing:
                try:
                    await self._renew()
                except ConcurrentUpdateError:
                    raise
                except StorageError:
                    # The bookkeeping may be back before the time is up.
                    if self.clock.now() >= self.current.expires_at:
                        raise

    async def _renew(self) -> None:
        self._held = await self.repository.renew_lease(self.current, now=self.clock.now(), ttl=self._ttl)
