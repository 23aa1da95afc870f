"""The credentials of one integration, lent to its provider: read, renewed and locked across tasks and processes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from pydantic import SecretStr

from crmsync.models.integrations import Integration
from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.runtime import Turns
from crmsync.security.audit import AuditWriter
from crmsync.security.sealing import Secrets, masked, opened, seal, unseal
from crmsync.security.vault import Vault

CREDENTIALS: Final = "credentials"
"""The turn that is taken to renew them."""


class SealedCredentialStore:
    """A `CredentialStore` over the bookkeeping, sealed by the vault. Safe for concurrent calls."""

    def __init__(
        self,
        repository: SyncRepository,
        vault: Vault,
        integration_id: str,
        *,
        turns: Turns,
        audit: AuditWriter,
    ) -> None:
        self._repository = repository
        self._vault = vault
        self._integration_id = integration_id
        self._turns = turns
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

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """See `CredentialStore`."""
        return self._turns.exclusive(CREDENTIALS)
