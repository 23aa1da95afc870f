"""Repositories that break a promise about calls."""

from __future__ import annotations

from datetime import date

import anyio
import attrs

from crmsync.models.state import (
    Allowance,
    CallUsage,
)
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract
from tests.contract.breaches.promise import Breaches


class ReservesInTwoSteps(MemoryRepository):
    """Looks, gives way to others, then takes."""

    async def reserve_calls(
        self, integration_id: str, day: date, wanted: int, *, needed: int, limit: int | None
    ) -> int:
        taken = (await self.get_call_usage(integration_id, day)).taken
        await anyio.lowlevel.checkpoint()
        got = wanted if limit is None else min(wanted, limit - taken)
        return await super().reserve_calls(integration_id, day, got, needed=0, limit=None) if got >= needed else 0


class GivesOnlyWholeBlocks(MemoryRepository):
    async def reserve_calls(
        self, integration_id: str, day: date, wanted: int, *, needed: int, limit: int | None
    ) -> int:
        return await super().reserve_calls(integration_id, day, wanted, needed=wanted, limit=limit)


class CountsAllDaysTogether(MemoryRepository):
    async def reserve_calls(
        self, integration_id: str, day: date, wanted: int, *, needed: int, limit: int | None
    ) -> int:
        return await super().reserve_calls(integration_id, date.min, wanted, needed=needed, limit=limit)

    async def get_call_usage(self, integration_id: str, day: date) -> CallUsage:
        return attrs.evolve(await super().get_call_usage(integration_id, date.min), day=day)


class OwesCalls(MemoryRepository):
    """More comes back than was taken."""

    async def return_calls(
        self, integration_id: str, day: date, unused: int, *, allowance: Allowance | None = None
    ) -> None:
        usage = await self.get_call_usage(integration_id, day)
        owed = attrs.evolve(usage, taken=usage.taken - unused)
        self._integrations[integration_id].calls[day] = owed


class BelievesTheLastWord(MemoryRepository):
    """However old it is."""

    async def return_calls(
        self, integration_id: str, day: date, unused: int, *, allowance: Allowance | None = None
    ) -> None:
        calls = self._integrations[integration_id].calls
        calls[day] = attrs.evolve(calls[day], allowance=None)
        await super().return_calls(integration_id, day, unused, allowance=allowance)


BREACHES: Breaches = [
    (ReservesInTwoSteps, RepositoryContract.test_many_who_reserve_at_once_get_the_limit_together_and_no_more),
    (GivesOnlyWholeBlocks, RepositoryContract.test_the_last_calls_of_a_day_are_given_if_they_are_enough),
    (CountsAllDaysTogether, RepositoryContract.test_what_is_reserved_is_counted_for_its_day_and_integration),
    (OwesCalls, RepositoryContract.test_more_than_was_taken_cannot_come_back),
    (BelievesTheLastWord, RepositoryContract.test_the_latest_word_of_the_crm_is_kept),
]
