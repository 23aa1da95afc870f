"""Repositories that break a promise about stops."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from crmsync.models.stops import Stop, StoppedPlan, StoppedRecord
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract
from tests.contract.breaches.promise import Breaches


class TakesThePlanAway(MemoryRepository):
    """A stop that happens again is noted as if it were the first."""

    async def note_stop(self, stop: Stop) -> None:
        await self.remove_stop(stop.integration_id, stop.entity_type)
        await super().note_stop(stop)


class KeepsTheApproval(MemoryRepository):
    """An approval is taken over by another plan."""

    async def save_stopped_plan(
        self, integration_id: str, entity_type: str, plan: StoppedPlan, records: Sequence[StoppedRecord]
    ) -> None:
        before = await self.list_stops(integration_id, entity_type)
        await super().save_stopped_plan(integration_id, entity_type, plan, records)
        for stop in before:
            if stop.approved_at is not None and stop.approved_by is not None:
                await self.approve_stop(
                    integration_id, entity_type, plan.digest, by=stop.approved_by, now=stop.approved_at
                )


class ApprovesWhateverWaits(MemoryRepository):
    async def approve_stop(self, integration_id: str, entity_type: str, digest: str, *, by: str, now: datetime) -> Stop:
        for stop in await self.list_stops(integration_id, entity_type):
            digest = stop.plan.digest if stop.plan else digest
        return await super().approve_stop(integration_id, entity_type, digest, by=by, now=now)


BREACHES: Breaches = [
    (
        TakesThePlanAway,
        RepositoryContract.test_a_stop_that_happens_again_is_counted_and_keeps_the_plan_and_its_approval,
    ),
    (KeepsTheApproval, RepositoryContract.test_a_new_plan_replaces_the_old_one_and_voids_its_approval),
    (ApprovesWhateverWaits, RepositoryContract.test_only_the_very_plan_can_be_approved),
]
