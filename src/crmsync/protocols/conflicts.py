"""The part of the bookkeeping's contract that is about conflicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from crmsync.models.state import Conflict, ConflictSelection, ConflictStatus, Decision


@runtime_checkable
class ConflictRepository(Protocol):
    """Where conflicts are kept: open until someone decides, decided until a run writes it, then resolved."""

    async def list_conflicts(
        self,
        integration_id: str,
        entity_type: str | None = None,
        *,
        statuses: Sequence[ConflictStatus] = (),
        markmail_ids: Sequence[str] | None = None,
        limit: int = 1000,
    ) -> list[Conflict]:
        """Conflicts, oldest first."""
        ...

    async def get_conflict(self, integration_id: str, conflict_id: str) -> Conflict:
        """:raises NotFoundError: there is none."""
        ...

    async def decide_conflicts(
        self, integration_id: str, decisions: Mapping[str, Decision], *, now: datetime
    ) -> list[Conflict]:
        """Note people's decisions by conflict id, all or none; the next run carries them out.

        A decision may change until it is carried out. Returns the conflicts that are decided now, in the order given;
        those that are resolved already, or that there are not, are left out.

        :raises StorageError: a given value has no JSON form.
        """
        ...

    async def erase_conflict_values(self, integration_id: str, selection: ConflictSelection, *, now: datetime) -> int:
        """Blank every value of the selected conflicts; returns how many had not been erased before.

        The rows stay, with ``erased_at``. Where the next run was to write a value that a person gave, that decision
        goes with it: the conflict is open again. Values that a crashed run left in its journal go too, uncounted and
        whatever the limit.
        """
        ...
