"""The part of the bookkeeping that keeps stopped runs, their plans and approvals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from crmsync.models.stops import Stop, StoppedPlan, StoppedRecord


class StopRepository(Protocol):
    """At most one stop for each object of an integration. It goes with its integration."""

    async def note_stop(self, stop: Stop) -> None:
        """Insert a stop; of one that is noted already, replace what the run said and count it once more.

        Its plan and approval stay as they are, so that a scheduled run does not take away what a person looks at. Those
        of ``stop`` are ignored.

        :raises NotFoundError: there is no such integration.
        """
        ...

    async def list_stops(self, integration_id: str, entity_type: str | None = None) -> list[Stop]:
        """The stops of an integration, or that of one object, by object."""
        ...

    async def save_stopped_plan(
        self, integration_id: str, entity_type: str, plan: StoppedPlan, records: Sequence[StoppedRecord]
    ) -> None:
        """Store what the stopped run would have done, in place of what was stored before; an approval is void.

        :raises NotFoundError: nothing is stopped.
        """
        ...

    async def stopped_records(self, integration_id: str, entity_type: str, page: int) -> list[StoppedRecord]:
        """A page (from 0) of the records of the stopped plan, in the plan's order; empty after the last one."""
        ...

    async def approve_stop(self, integration_id: str, entity_type: str, digest: str, *, by: str, now: datetime) -> Stop:
        """Note that someone wants the plan with this digest carried out.

        :raises NotFoundError: nothing is stopped, or its plan has another digest.
        """
        ...

    async def remove_stop(self, integration_id: str, entity_type: str) -> None:
        """Forget the stop with its plan; does nothing if there is none."""
        ...
