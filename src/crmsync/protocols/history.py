"""The contract of the history of changes; `SyncRepository` includes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from crmsync.models.history import RecordChange


@runtime_checkable
class ChangeHistory(Protocol):
    """What runs wrote. Changes come in with an `Acknowledgement`, in one transaction with what it acknowledges."""

    async def list_changes(
        self,
        integration_id: str,
        entity_type: str,
        *,
        run_id: str | None = None,
        record_ids: Sequence[str] = (),
        before_id: int | None = None,
        limit: int = 1000,
    ) -> list[RecordChange]:
        """Changes, newest first; of one run, of records by either side's id, and older than ``before_id``."""
        ...

    async def purge_changes(self, integration_id: str, entity_type: str, *, written_before: datetime) -> int:
        """Forget the changes written before a moment; how many there were.

        What the journal has been to add since before that moment goes too, uncounted.
        """
        ...

    async def erase_changes(self, integration_id: str, entity_type: str, record_ids: Sequence[str]) -> int:
        """Forget all changes of records, named by either side's id; how many there were.

        What the journal is to add to them goes too, uncounted.
        """
        ...
