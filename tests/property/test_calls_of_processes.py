"""Invariant 15: however many processes run, die and begin anew, they never use more API calls than the day's budget."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from crmsync.engine import DayBudget, RunBudget
from crmsync.engine.budget import BLOCK
from crmsync.errors import BudgetExceededError
from crmsync.models.integrations import CallLimits, Integration
from crmsync.storage.sql import open_repository
from crmsync.testing.world import FakeClock
from tests.postgres import new_database

PROGRAM = """
import os, sys
from datetime import UTC, datetime
import anyio
from crmsync.engine import DayBudget, RunBudget
from crmsync.errors import BudgetExceededError
from crmsync.models.integrations import CallLimits
from crmsync.storage.sql import open_repository
from crmsync.testing.world import FakeClock

async def main(url, limit, run_limit, dies):
    async with open_repository(url) as repository:
        day = DayBudget(repository, "acme", CallLimits(max_calls_per_day=limit), FakeClock())
        budget = RunBudget(run_limit, day=day)
        try:
            while True:
                await budget.spend()
                print("call", flush=True)
        except BudgetExceededError:
            if dies:
                os._exit(9)
            await day.close()

anyio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "dies")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A bookkeeping with one integration."""
    if request.param == "sqlite":
        yield added(f"sqlite:///{tmp_path / 'state.db'}")
        return
    with new_database(request.getfixturevalue("postgres_url")) as made:
        yield added(made)


def added(url: str) -> str:
    async def add() -> None:
        async with open_repository(url) as repository:
            await repository.save_integration(Integration(id="acme", provider="salesforce"))

    anyio.run(add)
    return url


def calls_of(url: str, limit: int, runs: list[tuple[int, str]]) -> int:
    """How many calls processes make that run at once; each has its own limit, and dies at it or ends well."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url, str(limit), str(own), end], stdout=subprocess.PIPE, text=True
        )
        for own, end in runs
    ]
    made = 0
    for process, (_, end) in zip(running, runs, strict=True):
        out, _ = process.communicate(timeout=60)
        assert process.returncode == (9 if end == "dies" else 0)
        made += out.count("call")
    return made


def test_processes_that_run_at_once_use_the_whole_budget_and_no_more(url: str) -> None:
    assert calls_of(url, 150, [(1000, "ends")] * 3) == 150
    with pytest.raises(BudgetExceededError):
        anyio.run(spend_one, url, 150)


async def spend_one(url: str, limit: int) -> None:
    async with open_repository(url) as repository:
        day = DayBudget(repository, "acme", CallLimits(max_calls_per_day=limit), FakeClock())
        await RunBudget(1000, day=day).spend()


def test_processes_that_die_cost_at_most_a_block_each(url: str) -> None:
    limit = 200
    made = calls_of(url, limit, [(7, "dies"), (31, "dies"), (45, "ends")])
    assert made == 7 + 31 + 45
    made += calls_of(url, limit, [(1000, "ends")] * 2)
    assert limit - 2 * BLOCK <= made <= limit
