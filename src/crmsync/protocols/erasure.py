"""The contract of erasing people; `SyncRepository` includes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol, runtime_checkable

from crmsync.models.erasure import Kept, PersonIds
from crmsync.models.state import Lease


@runtime_checkable
class ErasureRepository(Protocol):
    """Forgets people. What is left of one are marks: keyed digests, by which a run knows whom not to take in again."""

    async def erase_person(
        self, lease: Lease, ids: PersonIds, marks: Collection[bytes], *, now: datetime
    ) -> Mapping[Kept, int]:
        """Forget everything about a person in one object, and keep the marks, in one transaction.

        Links, conflicts, changes and journal entries of these records go; of run logs what is said about them; from
        other links' candidates their ids; and a stopped plan that names one of them, with its stop. Counts are by kind
        of row, kinds of which there was none left out.

        :raises LeaseLostError: another process holds the object now.
        """
        ...

    async def erased_among(self, integration_id: str, marks: Collection[bytes]) -> frozenset[bytes]:
        """Those of the marks that are kept."""
        ...

    async def count_erased(self, integration_id: str) -> int:
        """How many marks are kept."""
        ...

    async def forget_erased(self, integration_id: str, marks: Collection[bytes]) -> int:
        """Drop marks, so that a person may be taken in again; how many there were."""
        ...
