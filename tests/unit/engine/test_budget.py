"""The budgets of a run, of a day, and of the share of the CRM's own allowance."""

from __future__ import annotations

from datetime import UTC, date, datetime

import anyio
import pytest

from crmsync.engine import DayBudget, RunBudget
from crmsync.errors import BudgetExceededError
from crmsync.models.integrations import CallLimits, Integration
from crmsync.models.state import Allowance
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio

BEFORE_MIDNIGHT = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
TODAY, TOMORROW = date(2026, 3, 1), date(2026, 3, 2)


@pytest.fixture
async def repository() -> MemoryRepository:
    made = MemoryRepository()
    await made.save_integration(Integration(id="acme", provider="salesforce"))
    return made


def day_budget(repository: MemoryRepository, clock: FakeClock, **limits: float) -> DayBudget:
    return DayBudget(repository, "acme", CallLimits.model_validate(limits), clock)


async def taken(repository: MemoryRepository, day: date = TODAY) -> int:
    return (await repository.get_call_usage("acme", day)).taken


async def test_a_run_s_budget_takes_all_or_nothing() -> None:
    budget = RunBudget(5)
    await budget.spend(3)
    with pytest.raises(BudgetExceededError, match="budget of 5 API calls is used up") as raised:
        await budget.spend(3)
    assert (raised.value.scope, raised.value.used, raised.value.limit) == ("run", 3, 5)
    await budget.spend(2)
    assert budget.used == 5


async def test_what_the_day_refuses_is_not_counted_for_the_run(repository: MemoryRepository) -> None:
    budget = RunBudget(day=day_budget(repository, FakeClock(), max_calls_per_day=3))
    await budget.spend(2)
    with pytest.raises(BudgetExceededError):
        await budget.spend(2)
    assert budget.used == 2
    await budget.spend(1)
    assert budget.used == 3


async def test_a_day_that_is_used_up_says_when_it_turns(repository: MemoryRepository) -> None:
    clock = FakeClock(BEFORE_MIDNIGHT)
    day = day_budget(repository, clock, max_calls_per_day=2)
    await day.take(2)
    with pytest.raises(BudgetExceededError, match=r"a day is used up.*from 2026-03-02 00:00 UTC on") as raised:
        await day.take(1)
    assert raised.value.scope == "day"
    assert raised.value.resumes_at == datetime(2026, 3, 2, tzinfo=UTC)
    clock.tick(60)
    await day.take(2)


async def test_what_is_left_of_a_block_is_given_back_at_the_end(repository: MemoryRepository) -> None:
    day = day_budget(repository, FakeClock())
    await day.take(3)
    assert await taken(repository) == 20
    await day.close()
    assert await taken(repository) == 3


async def test_a_block_is_not_carried_over_midnight(repository: MemoryRepository) -> None:
    clock = FakeClock(BEFORE_MIDNIGHT)
    day = day_budget(repository, clock)
    await day.take(3)
    clock.tick(60)
    await day.take(4)
    await day.close()
    assert (await taken(repository), await taken(repository, TOMORROW)) == (3, 4)


async def test_more_calls_than_a_block_are_taken_at_once(repository: MemoryRepository) -> None:
    day = day_budget(repository, FakeClock(), max_calls_per_day=100)
    await day.take(1)
    await day.take(90)
    await day.close()
    assert await taken(repository) == 91


async def test_many_tasks_never_spend_more_than_there_is(repository: MemoryRepository) -> None:
    budget = RunBudget(40, day=day_budget(repository, FakeClock(), max_calls_per_day=33))
    refused = 0

    async def spend() -> None:
        nonlocal refused
        try:
            await budget.spend()
        except BudgetExceededError:
            refused += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(60):
            tasks.start_soon(spend)
    assert (budget.used, refused, await taken(repository)) == (33, 27, 33)


async def test_the_share_of_the_crm_s_own_allowance_is_kept(repository: MemoryRepository) -> None:
    day = day_budget(repository, FakeClock(), max_org_percent=80)
    await day.take(1)
    day.observe(798, 1000)
    await day.take(2)
    with pytest.raises(BudgetExceededError, match="leaves those above 800 to others") as raised:
        await day.take(1)
    assert raised.value.scope == "org"


async def test_a_counter_that_falls_back_is_not_believed_at_once(repository: MemoryRepository) -> None:
    """Servers of an org count apart: the greatest use told within a minute counts, then the next."""
    clock = FakeClock()
    day = day_budget(repository, clock, max_org_percent=80)
    day.observe(800, 1000)
    day.observe(300, 1000)
    with pytest.raises(BudgetExceededError):
        await day.take(1)
    clock.tick(61)
    await day.take(1)


async def test_what_the_crm_said_last_is_kept_for_the_status(repository: MemoryRepository) -> None:
    clock = FakeClock()
    day = day_budget(repository, clock)
    await day.take(1)
    day.observe(10, 5000)
    clock.tick(1)
    day.observe(12, 5000)
    await day.close()
    usage = await repository.get_call_usage("acme", TODAY)
    assert usage.allowance == Allowance(12, 5000, clock.now())


async def test_what_is_left_is_told_once_a_limit_is_in_sight(repository: MemoryRepository) -> None:
    assert RunBudget().left is None
    run = RunBudget(5)
    await run.spend(3)
    assert run.left == 2
    budget = RunBudget(100, day=day_budget(repository, FakeClock(), max_calls_per_day=30))
    await budget.spend(15)
    assert budget.left == 85
    await budget.spend(10)
    assert budget.left == 5
