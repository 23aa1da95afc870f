"""What waits for a person: conflicts."""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.models.records import Side
from crmsync.models.state import Conflict, ConflictStatus
from crmsync.service.opening import Opening


class InboxVerbs(Opening):
    """The part of `CRMSync` that shows what waits for a person, and takes decisions."""

    async def conflicts(
        self,
        integration_id: str,
        object_name: str | None = None,
        *,
        statuses: Sequence[ConflictStatus] = (ConflictStatus.OPEN,),
        limit: int = 1000,
    ) -> list[Conflict]:
        """Conflicts of these statuses, oldest first."""
        return await self.repository.list_conflicts(integration_id, object_name, statuses=statuses, limit=limit)

    async def conflict(self, integration_id: str, conflict_id: str) -> Conflict:
        """:raises NotFoundError: there is none."""
        return await self.repository.get_conflict(integration_id, conflict_id)

    async def resolve_conflict(self, integration_id: str, conflict_id: str, winner: Side) -> Conflict:
        """Decide an open conflict; the next run writes the winner's value to the other side.

        :raises NotFoundError: there is none, or it is resolved already.
        """
        return await self.repository.decide_conflict(integration_id, conflict_id, winner, now=self._clock.now())
