"""The credentials of one integration, lent to its provider: read, renewed and locked across tasks and processes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import anyio
import attrs
from pydantic import SecretStr

from crmsync.errors import ConcurrentUpdateError, StorageError
from crmsync.models.integrations import Integration
from crmsync.models.state import Lease
from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.runtime import Clock
from crmsync.security.audit import AuditWriter
from crmsync.security.sealing import Secrets, masked, opened, seal, unseal
from crmsync.security.vault import Vault

LEASE_NAME: Final = "#credentials"
"""What the lease stands under, beside the names of the CRM's objects, none of which begins so."""
_TTL: Final = timedelta(seconds=30)
_POLL: Final = 0.05
"""Seconds between two tries to get a lease that another process holds; a renewal takes some tenths of a second."""


class SealedCredentialStore:
    """A `CredentialStore` over the bookkeeping, sealed by the vault. Safe for concurrent calls.

    ``lock`` is shared by all stores of this integration in the process, so that only processes contend for the lease.
    """

    def __init__(
        self,
        repository: SyncRepository,
        vault: Vault,
        clock: Clock,
        integration_id: str,
        *,
        lock: anyio.Lock,
        audit: AuditWriter,
    ) -> None:
        self._repository = repository
        self._vault = vault
        self._clock = clock
        self._integration_id = integration_id
        self._lock = lock
        self._audit = audit

    async def load(self) -> Mapping[str, SecretStr]:
        """See `CredentialStore`."""
        held = await opened(self._vault, await self._repository.get_integration(self._integration_id))
        return held.credentials

    async def save(self, changes: Mapping[str, SecretStr | None]) -> None:
        """See `CredentialStore`."""

        def changed(integration: Integration) -> Integration:
            held = unseal(self._vault, integration)
            merged = {**held.credentials, **changes}
            kept = masked({name: value for name, value in merged.items() if value is not None})
            sealed = seal(
                self._vault, integration.id, Secrets(kept, held.given, held.digest_key), integration.credentials
            )
            return integration.model_copy(update={"credentials": sealed})

        if self._vault.remote:
            # The vault remembers the data key for a while: `changed` then asks nobody while it holds the row.
            await self.load()
        note = (await self._audit.pen()).note("credentials.renewed", self._integration_id, credentials=sorted(changes))
        await self._repository.audited(lambda _: note).change_integration(self._integration_id, changed)

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """See `CredentialStore`.

        The lease is renewed while the body runs. A body is never interrupted because the lease was lost all the same
        (its process slept, say): what it has just got from the CRM would be lost with it.
        """
        async with self._lock:
            held = _Held(await self._acquired())
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

    async def _acquired(self) -> Lease:
        owner = uuid.uuid4().hex
        while True:
            try:
                # Cancelled while it waits, the lease would be taken and never given back.
                with anyio.CancelScope(shield=True):
                    return await self._repository.acquire_lease(
                        self._integration_id, LEASE_NAME, owner, now=self._clock.now(), ttl=_TTL
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


@attrs.define(slots=True)
class _Held:
    lease: Lease
