"""What only one may do at a time, among tasks and processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import anyio
import pytest

from crmsync.errors import ConfigurationError
from crmsync.models.integrations import Integration
from crmsync.protocols.repository import SyncRepository
from crmsync.security.turns import SharedTurns, lease_name_of
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio

NAME = "accounts"
TTL = timedelta(seconds=30)


@pytest.fixture(params=["memory", "sqlite"])
async def repository(request: pytest.FixtureRequest) -> AsyncIterator[SyncRepository]:
    """With an integration."""
    if request.param == "memory":
        memory = MemoryRepository()
        await memory.save_integration(Integration(id="acme", provider="memory"))
        yield memory
        return
    from crmsync.storage.sql import open_repository

    async with open_repository("sqlite://") as stored:
        await stored.save_integration(Integration(id="acme", provider="memory"))
        yield stored


def turns_of(repository: SyncRepository, clock: FakeClock | None = None) -> SharedTurns:
    """Those of one more process."""
    return SharedTurns(repository, clock or FakeClock(), "acme", locks={})


async def test_one_at_a_time_is_within_under_one_name(repository: SyncRepository) -> None:
    within: list[str] = []
    entered = 0

    async def enter(turns: SharedTurns, name: str) -> None:
        nonlocal entered
        async with turns.exclusive(name):
            assert name not in within
            within.append(name)
            await anyio.sleep(0.001)
            within.remove(name)
            entered += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            process = turns_of(repository)
            for name in ("accounts", "accounts", "campaigns"):
                tasks.start_soon(enter, process, name)
    assert entered == 6


async def test_turns_of_different_names_may_be_held_together(repository: SyncRepository) -> None:
    turns = turns_of(repository)
    with anyio.fail_after(5):
        async with turns.exclusive("activity"), turns.exclusive("accounts"):
            pass


async def test_another_process_is_waited_for_until_it_is_done(repository: SyncRepository) -> None:
    clock = FakeClock()
    lease = await repository.acquire_lease("acme", lease_name_of(NAME), "elsewhere", now=clock.now(), ttl=TTL)
    order: list[str] = []

    async def enter() -> None:
        async with turns_of(repository, clock).exclusive(NAME):
            order.append("entered")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        await anyio.sleep(0.15)
        order.append("released")
        await repository.release_lease(lease)
    assert order == ["released", "entered"]


async def test_a_process_that_died_within_gives_way(repository: SyncRepository) -> None:
    clock = FakeClock()
    await repository.acquire_lease("acme", lease_name_of(NAME), "dead", now=clock.now(), ttl=TTL)
    clock.tick(30)
    with anyio.fail_after(5):
        async with turns_of(repository, clock).exclusive(NAME):
            pass


async def test_an_error_within_leaves_as_it_is_and_frees_the_way(repository: SyncRepository) -> None:
    turns = turns_of(repository)
    with pytest.raises(ConfigurationError, match="within"):
        async with turns.exclusive(NAME):
            raise ConfigurationError("within")
    with anyio.move_on_after(0.01) as scope:
        async with turns.exclusive(NAME):
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    with anyio.fail_after(5):
        async with turns.exclusive(NAME):
            pass
