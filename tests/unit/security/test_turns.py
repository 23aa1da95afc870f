"""What only one may do at a time, among tasks and processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import cast

import anyio
import pytest
from trio.testing import MockClock

from crmsync.errors import ConfigurationError, StorageError
from crmsync.models.integrations import Integration
from crmsync.models.state import Lease
from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.turns import TurnRepository
from crmsync.security.turns import SharedTurns, lease_name_of, turn_name_of
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio

NAME = "accounts"
ORG = "salesforce 00D000000000001AAA"
TTL = timedelta(seconds=30)


@pytest.fixture(params=["memory", "sqlite"])
async def repository(request: pytest.FixtureRequest) -> AsyncIterator[SyncRepository]:
    """With two integrations."""
    if request.param == "memory":
        memory = MemoryRepository()
        await fill(memory)
        yield memory
        return
    from crmsync.storage.sql import open_repository

    async with open_repository("sqlite://") as stored:
        await fill(stored)
        yield stored


@pytest.fixture(params=["", ORG])
def org(request: pytest.FixtureRequest) -> str:
    """For turns of one integration, and for those of an org."""
    return str(request.param)


async def fill(repository: SyncRepository) -> None:
    for name in ("acme", "other"):
        await repository.save_integration(Integration(id=name, provider="memory"))


def turns_of(repository: SyncRepository, clock: FakeClock | None = None, integration: str = "acme") -> SharedTurns:
    """Those of one more process."""
    return SharedTurns(repository, clock or FakeClock(), integration, locks={})


async def held(repository: SyncRepository, clock: FakeClock, org: str) -> Callable[[], Awaitable[None]]:
    """Have another process within; the function that lets it out."""
    if not org:
        lease = await repository.acquire_lease("acme", lease_name_of(NAME), "elsewhere", now=clock.now(), ttl=TTL)
        return partial(repository.release_lease, lease)
    assert isinstance(repository, TurnRepository)
    turn = turn_name_of(NAME, org)
    assert await repository.take_turn(turn, "elsewhere", now=clock.now(), ttl=TTL)
    return partial(repository.end_turn, turn, "elsewhere")


async def test_one_at_a_time_is_within_under_one_name(repository: SyncRepository, org: str) -> None:
    within: list[str] = []
    entered = 0

    async def enter(turns: SharedTurns, name: str) -> None:
        nonlocal entered
        async with turns.exclusive(name, org=org):
            assert name not in within
            within.append(name)
            await anyio.sleep(0.001)
            within.remove(name)
            entered += 1

    async with anyio.create_task_group() as tasks:
        for integration in ("acme", "other" if org else "acme"):
            process = turns_of(repository, integration=integration)
            for name in ("accounts", "accounts", "campaigns"):
                tasks.start_soon(enter, process, name)
    assert entered == 6


async def test_turns_of_different_names_and_orgs_may_be_held_together(repository: SyncRepository, org: str) -> None:
    turns, others = turns_of(repository), turns_of(repository, integration="other")
    with anyio.fail_after(5):
        async with (
            turns.exclusive("activity", org=org),
            turns.exclusive(NAME, org=org),
            others.exclusive(NAME, org=f"another {org}"),
            others.exclusive(NAME),
        ):
            pass


async def test_another_process_is_waited_for_until_it_is_done(repository: SyncRepository, org: str) -> None:
    clock = FakeClock()
    release = await held(repository, clock, org)
    order: list[str] = []

    async def enter() -> None:
        async with turns_of(repository, clock).exclusive(NAME, org=org):
            order.append("entered")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        await anyio.sleep(0.15)
        order.append("released")
        await release()
    assert order == ["released", "entered"]


async def test_a_process_that_died_within_gives_way(repository: SyncRepository, org: str) -> None:
    clock = FakeClock()
    await held(repository, clock, org)
    clock.tick(30)
    with anyio.fail_after(5):
        async with turns_of(repository, clock).exclusive(NAME, org=org):
            pass


async def test_an_error_within_leaves_as_it_is_and_frees_the_way(repository: SyncRepository, org: str) -> None:
    turns = turns_of(repository)
    with pytest.raises(ConfigurationError, match="within"):
        async with turns.exclusive(NAME, org=org):
            raise ConfigurationError("within")
    with anyio.move_on_after(0.01) as scope:
        async with turns.exclusive(NAME, org=org):
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    with anyio.fail_after(5):
        async with turns.exclusive(NAME, org=org):
            pass


async def test_an_integration_may_be_deleted_while_its_turn_lasts(repository: SyncRepository, org: str) -> None:
    async with turns_of(repository).exclusive(NAME, org=org):
        await repository.delete_integration("acme")
    with anyio.fail_after(5):
        async with turns_of(repository, integration="other").exclusive(NAME, org=org):
            pass


class OnlyLeases:
    """A bookkeeping of somebody's own, from before there were turns."""

    def __init__(self) -> None:
        self._kept = MemoryRepository()

    def __getattr__(self, name: str) -> object:
        if name in {"take_turn", "end_turn"}:
            raise AttributeError(name)
        return getattr(self._kept, name)


async def test_a_bookkeeping_without_turns_keeps_the_processes_of_an_integration_apart() -> None:
    clock, repository = FakeClock(), cast("SyncRepository", OnlyLeases())
    await fill(repository)
    await held(repository, clock, "")
    with anyio.move_on_after(0.01) as scope:
        async with turns_of(repository, clock).exclusive(NAME, org=ORG):
            pass
    assert scope.cancelled_caught
    with anyio.fail_after(5):
        async with turns_of(repository, clock, "other").exclusive(NAME, org=ORG):
            pass


class RunningClock(FakeClock):
    """The event loop's time."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=anyio.current_time())


class Flickering(MemoryRepository):
    """While ``fails``, it does each second time."""

    fails = False
    _asked = 0

    async def take_turn(self, turn: str, owner: str, *, now: datetime, ttl: timedelta) -> bool:
        self._flicker()
        return await super().take_turn(turn, owner, now=now, ttl=ttl)

    async def renew_lease(self, lease: Lease, *, now: datetime, ttl: timedelta) -> Lease:
        self._flicker()
        return await super().renew_lease(lease, now=now, ttl=ttl)

    def _flicker(self) -> None:
        self._asked += self.fails
        if self.fails and self._asked % 2:
            raise StorageError("gone for a moment")


def test_a_long_turn_is_kept_though_the_bookkeeping_fails_now_and_then(org: str) -> None:
    async def wait_long() -> None:
        repository, clock = Flickering(), RunningClock()
        await fill(repository)
        async with turns_of(repository, clock).exclusive(NAME, org=org):
            repository.fails = True
            for _ in range(20):
                await anyio.sleep(9)
                repository.fails = False
                with anyio.move_on_after(0.2) as scope:
                    async with turns_of(repository, clock).exclusive(NAME, org=org):
                        pass
                assert scope.cancelled_caught
                repository.fails = True

    anyio.run(wait_long, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})


class Away(MemoryRepository):
    """While it is ``away``, no turn can be given back or taken."""

    away = False

    async def acquire_lease(
        self, integration_id: str, entity_type: str, owner: str, *, now: datetime, ttl: timedelta
    ) -> Lease:
        self._reach()
        return await super().acquire_lease(integration_id, entity_type, owner, now=now, ttl=ttl)

    async def take_turn(self, turn: str, owner: str, *, now: datetime, ttl: timedelta) -> bool:
        self._reach()
        return await super().take_turn(turn, owner, now=now, ttl=ttl)

    async def release_lease(self, lease: Lease) -> None:
        self._reach()
        await super().release_lease(lease)

    async def end_turn(self, turn: str, owner: str) -> None:
        self._reach()
        await super().end_turn(turn, owner)

    def _reach(self) -> None:
        if self.away:
            raise StorageError("away")


async def test_a_turn_that_could_not_be_given_back_keeps_out_the_others_alone(org: str) -> None:
    repository, clock = Away(), FakeClock()
    await fill(repository)
    turns = turns_of(repository, clock)
    async with turns.exclusive(NAME, org=org):
        repository.away = True
    with pytest.raises(StorageError, match="away"):
        async with turns.exclusive(NAME, org=org):
            pass
    repository.away = False
    with anyio.move_on_after(0.1) as others:
        async with turns_of(repository, clock).exclusive(NAME, org=org):
            pass
    assert others.cancelled_caught
    with anyio.fail_after(5):
        async with turns.exclusive(NAME, org=org):
            pass
        async with turns_of(repository, clock).exclusive(NAME, org=org):
            pass
