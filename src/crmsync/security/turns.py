"""One at a time, among all tasks and processes that share a bookkeeping."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final, Protocol

import anyio
import attrs

from crmsync.errors import ConcurrentUpdateError, StorageError
from crmsync.models.state import Lease
from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.runtime import Clock
from crmsync.protocols.turns import TurnRepository

_TTL: Final = timedelta(seconds=30)
_POLL: Final = 0.05
"""Seconds between two tries to get a turn that another process has; most have it for some tenths of a second."""


class SharedTurns:
    """`Turns` over the bookkeeping. Safe for concurrent calls.

    Those of an org are a `TurnRepository`'s. All others are leases of the integration, and so are those of an org where
    the bookkeeping has no such power. ``locks`` is shared by all of the process, so that only processes contend there.
    """

    def __init__(
        self, repository: SyncRepository, clock: Clock, integration_id: str, *, locks: dict[str, anyio.Lock]
    ) -> None:
        self._repository = repository
        self._clock = clock
        self._integration_id = integration_id
        self._locks = locks
        self._unended: dict[str, _Turn] = {}

    @asynccontextmanager
    async def exclusive(self, name: str, *, org: str = "") -> AsyncIterator[None]:
        """See `Turns`.

        The turn is renewed while the body runs. A body is never interrupted because the turn was lost all the same
        (its process slept, say): what it has just got from the CRM would be lost with it.
        """
        turn = self._turn(name, org)
        async with self._locks.setdefault(turn.key, anyio.Lock()):
            # One that could not be given back is still its owner's: nobody waits for himself.
            turn = self._unended.get(turn.key, turn)
            await self._take(turn)
            self._unended.pop(turn.key, None)
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._keep, turn)
                    yield
                    group.cancel_scope.cancel()
            except BaseExceptionGroup as errors:
                # Nothing but the body raises here.
                if len(errors.exceptions) == 1:
                    raise errors.exceptions[0] from None
                raise
            finally:
                # One that cannot be given back ends by itself; what the body did is what matters.
                with anyio.CancelScope(shield=True):
                    try:
                        await turn.end()
                    except StorageError:
                        self._unended[turn.key] = turn

    def _turn(self, name: str, org: str) -> _Turn:
        if org and isinstance(self._repository, TurnRepository):
            return _SharedTurn(self._repository, self._clock, turn_name_of(name, org))
        return _LeasedTurn(self._repository, self._clock, self._integration_id, lease_name_of(name))

    async def _take(self, turn: _Turn) -> None:
        while True:
            # Cancelled while it waits, the turn would be taken and never given back.
            with anyio.CancelScope(shield=True):
                taken = await turn.take()
            if taken:
                return
            await anyio.sleep(_POLL)

    async def _keep(self, turn: _Turn) -> None:
        kept = True
        while kept:
            await anyio.sleep(_TTL.total_seconds() / 3)
            # The bookkeeping may be back before the time is up.
            with suppress(StorageError):
                kept = await turn.keep()


def lease_name_of(name: str) -> str:
    """What a lease stands under, beside the names of the CRM's objects, none of which begins so."""
    return f"#{name}"


def turn_name_of(name: str, org: str) -> str:
    """What an org's turn stands under: a digest, since all who share the bookkeeping may read it."""
    return hashlib.sha256(f"{name}\0{org}".encode()).hexdigest()


class _Turn(Protocol):
    @property
    def key(self) -> str:
        """The same for all who exclude each other."""
        ...

    async def take(self) -> bool:
        """Whether it was free."""
        ...

    async def keep(self) -> bool:
        """Put its end off; False if it is lost."""
        ...

    async def end(self) -> None:
        """Give it back, if it is still held."""
        ...


@attrs.frozen(slots=True)
class _SharedTurn:
    """One that belongs to no integration: it outlives that of its holder."""

    repository: TurnRepository
    clock: Clock
    key: str
    owner: str = attrs.field(factory=lambda: uuid.uuid4().hex)

    async def take(self) -> bool:
        return await self.repository.take_turn(self.key, self.owner, now=self.clock.now(), ttl=_TTL)

    async def keep(self) -> bool:
        return await self.take()

    async def end(self) -> None:
        await self.repository.end_turn(self.key, self.owner)


@attrs.define(slots=True)
class _LeasedTurn:
    """One among the processes of an integration."""

    repository: SyncRepository
    clock: Clock
    integration_id: str
    name: str
    owner: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    _lease: Lease | None = None

    @property
    def key(self) -> str:
        return f"{self.integration_id}{self.name}"

    async def take(self) -> bool:
        try:
            self._lease = await self.repository.acquire_lease(
                self.integration_id, self.name, self.owner, now=self.clock.now(), ttl=_TTL
            )
        except ConcurrentUpdateError:
            return False
        return True

    async def keep(self) -> bool:
        assert self._lease is not None
        try:
            self._lease = await self.repository.renew_lease(self._lease, now=self.clock.now(), ttl=_TTL)
        except ConcurrentUpdateError:
            return False
        return True

    async def end(self) -> None:
        if self._lease is not None:
            await self.repository.release_lease(self._lease)
