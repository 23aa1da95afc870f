"""The calls that an integration may make on a day of UTC, whatever the number of its processes and their ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta

import attrs

from crmsync.engine import DayBudget, RunBudget
from crmsync.engine.budget import BLOCK
from crmsync.errors import BudgetExceededError, StorageError
from crmsync.models.integrations import CallLimits
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.faults import Crash
from crmsync.testing.world import FakeClock
from tests.property.engine.promises import Counts, Promise

BEGINNING = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)
"""Of a history whose days are limited: some of it comes before midnight."""

DAY = timedelta(days=1)

Spend = Callable[[], Awaitable[None]]


@attrs.define
class Days:
    """Counts the calls of each integration by days. ``limit`` is what one day may have; None: any number.

    ``lost`` bounds what processes took of a day and may not have given back.
    """

    limit: int | None
    clock: FakeClock
    counts: Counts
    made: Counter[tuple[str, date]] = attrs.field(factory=Counter)
    lost: Counter[tuple[str, date]] = attrs.field(factory=Counter)

    @asynccontextmanager
    async def budget(self, repository: SyncRepository, remote: str, calls: int | None) -> AsyncIterator[RunBudget]:
        """What one process may spend; what it took of the day and did not use is given back, unless it crashes."""
        if self.limit is None:
            yield RunBudget(calls)
            return
        day = DayBudget(repository, remote, CallLimits(max_calls_per_day=self.limit), self.clock)
        try:
            yield RunBudget(calls, day=day)
        except Crash:
            self.lose(remote)
            raise
        except StorageError:
            self.lose(remote)  # what it took while the answer was lost, it cannot know of
            await self._close(day, remote)
            raise
        except BaseException:
            await self._close(day, remote)
            raise
        await self._close(day, remote)

    async def _close(self, day: DayBudget, remote: str) -> None:
        try:
            await day.close()
        except StorageError:
            self.lose(remote)
        except Crash:
            self.lose(remote)
            raise

    def lose(self, remote: str) -> None:
        """A process may keep what it took of this day, or of the last one if it stood still over midnight."""
        for day in (self._today(), self._today() - DAY):
            self.lost[remote, day] += BLOCK

    def counted(self, remote: str, spend: Spend) -> Spend:
        """``spend``, with the call counted that it lets pass: on the day on which that was asked.

        Who stands still over midnight between the two makes it on the next.

        :raises AssertionError: from what it answers, it is one too many.
        """

        async def spend_one() -> None:
            today = self._today()
            await spend()
            self.made[remote, today] += 1
            if self.limit is not None:
                made = self.made[remote, today]
                self.counts.hold(Promise.BUDGET, made <= self.limit, f"{remote}: call {made} of a day of {self.limit}")

        return spend_one

    def judge(self, remote: str, refusal: BudgetExceededError) -> None:
        """Nobody is refused what the day still has, and who is refused hears when there is more."""
        assert refusal.resumes_at is not None
        asked = (refusal.resumes_at - DAY).date()
        known = self._known(remote, asked)
        self.counts.events["days used up"] += 1
        told = f"{remote}: after {self.made[remote, asked]} calls the day of {self.limit} is said to be used up"
        self.counts.hold(Promise.BUDGET, known >= (self.limit or 0), told)
        # Who stood still over midnight is told of the day on which it asked.
        turns = [datetime.combine(self._today() + days * DAY, time.min, UTC) for days in (0, 1)]
        self.counts.hold(Promise.BUDGET, refusal.resumes_at in turns, f"{remote}: resumes at {refusal.resumes_at}")

    def _known(self, remote: str, day: date) -> int:
        """How many calls of a day may be gone."""
        return self.made[remote, day] + self.lost[remote, day]

    def turn(self) -> None:
        """The next day begins."""
        turns = datetime.combine(self._today() + DAY, time.min, UTC)
        self.clock.tick((turns - self.clock.now()).total_seconds())

    def _today(self) -> date:
        return self.clock.now().astimezone(UTC).date()
