"""The promises of a `TurnRepository`. A repository without that power has nothing to keep."""

from __future__ import annotations

import uuid

import anyio

from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.turns import TurnRepository
from crmsync.testing.repository_subject import ABROAD, NOW, OURS, TTL, RepositorySubject


class TurnPromises(RepositorySubject):
    """One owner at a time, whatever becomes of integrations."""

    async def test_a_turn_is_for_one_owner_until_it_is_ended(self, repository: SyncRepository) -> None:
        """It outlives the integration that it was taken for."""
        if not isinstance(repository, TurnRepository):
            return
        turn = _new()
        assert await repository.take_turn(turn, "a", now=NOW, ttl=TTL)
        assert not await repository.take_turn(turn, "b", now=NOW + TTL / 2, ttl=TTL)
        assert await repository.take_turn("another", "b", now=NOW, ttl=TTL)
        await repository.end_turn("another", "b")
        await repository.end_turn(turn, "b")
        await repository.delete_integration(OURS)
        assert not await repository.take_turn(turn, "b", now=NOW, ttl=TTL)
        await repository.end_turn(turn, "a")
        assert await repository.take_turn(turn, "b", now=NOW, ttl=TTL)
        await repository.end_turn(turn, "b")

    async def test_a_turn_that_is_taken_again_lasts_longer_and_then_gives_way(self, repository: SyncRepository) -> None:
        """It is over at the very moment that its time is; who had it neither ends nor keeps the next one's."""
        if not isinstance(repository, TurnRepository):
            return
        turn = _new()
        assert await repository.take_turn(turn, "a", now=NOW, ttl=TTL)
        assert await repository.take_turn(turn, "a", now=(NOW + TTL / 2).astimezone(ABROAD), ttl=TTL)
        assert not await repository.take_turn(turn, "b", now=NOW + TTL, ttl=TTL)
        assert await repository.take_turn(turn, "b", now=(NOW + 1.5 * TTL).astimezone(ABROAD), ttl=TTL)
        await repository.end_turn(turn, "a")
        assert not await repository.take_turn(turn, "a", now=NOW + 2 * TTL, ttl=TTL)
        await repository.end_turn(turn, "b")

    async def test_of_many_who_try_at_once_exactly_one_gets_the_turn(self, repository: SyncRepository) -> None:
        if not isinstance(repository, TurnRepository):
            return
        turn = _new()
        taken: list[str] = []

        async def contend(by: TurnRepository, owner: str) -> None:
            if await by.take_turn(turn, owner, now=NOW, ttl=TTL):
                taken.append(owner)

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(contend, repository, f"worker-{number}")
        assert len(taken) == 1
        await repository.end_turn(turn, taken[0])


def _new() -> str:
    """The name of a turn that nobody has; it is as long as one may be."""
    return uuid.uuid4().hex * 2
