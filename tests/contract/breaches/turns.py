"""Repositories that break a promise about turns."""

from __future__ import annotations

from datetime import datetime, timedelta

from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract
from tests.contract.breaches.promise import Breaches


class GivesTheTurnToAnybody(MemoryRepository):
    async def take_turn(self, turn: str, owner: str, *, now: datetime, ttl: timedelta) -> bool:
        self._turns.pop(turn, None)
        return await super().take_turn(turn, owner, now=now, ttl=ttl)


class EndsTurnsOfOthers(MemoryRepository):
    async def end_turn(self, turn: str, owner: str) -> None:
        self._turns.pop(turn, None)


BREACHES: Breaches = [
    (GivesTheTurnToAnybody, RepositoryContract.test_of_many_who_try_at_once_exactly_one_gets_the_turn),
    (EndsTurnsOfOthers, RepositoryContract.test_a_turn_is_for_one_owner_until_it_is_ended),
    (EndsTurnsOfOthers, RepositoryContract.test_a_turn_that_is_taken_again_lasts_longer_and_then_gives_way),
]
