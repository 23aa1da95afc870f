"""Sealed texts in memory."""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.models.integrations import Integration
from crmsync.protocols.sealed import SealedChange, SealedText


class MemorySealedTexts:
    """The `SealedTexts` part of a repository in memory."""

    def _stored(self) -> dict[str, Integration]:
        """The integrations by id, as they are kept."""
        raise NotImplementedError

    def _store(self, integration: Integration) -> None:
        """Keep it in place of the one with its id."""
        raise NotImplementedError

    async def scan_sealed(self, *, after: str = "", limit: int = 500) -> list[SealedText]:
        """See `SealedTexts`."""
        stored = self._stored()
        ids = sorted(key for key in stored if key > after)[:limit]
        return [SealedText(key, stored[key].credentials) for key in ids]

    async def replace_sealed(self, changes: Sequence[SealedChange]) -> set[str]:
        """See `SealedTexts`."""
        stored, replaced = self._stored(), set[str]()
        for change in changes:
            found = stored.get(change.integration_id)
            if found is not None and found.credentials == change.before:
                self._store(found.model_copy(update={"credentials": change.after}))
                replaced.add(change.integration_id)
        return replaced
