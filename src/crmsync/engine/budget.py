"""The budget of API calls: of one run, of the integration's day, and of what the CRM allows everybody."""

from __future__ import annotations

from collections import deque
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from crmsync.errors import BudgetExceededError
from crmsync.protocols.runtime import Clock

if TYPE_CHECKING:  # whoever opens a provider without bookkeeping needs none of it
    from crmsync.models.integrations import CallLimits
    from crmsync.models.state import Allowance
    from crmsync.protocols.repository import SyncRepository

BLOCK: Final = 20
"""Calls that a process takes from the day at a time. A crash loses no more than these until the day turns."""

_RECENT: Final = timedelta(seconds=60)
"""How long the greatest use that the CRM has told counts: its counter is not monotonic."""


class RunBudget:
    """Counts the calls of one run, or of one opening of a provider, and refuses the one that would exceed a limit.

    ``limit`` is the run's own (None: none). ``day`` is what the integration's processes share. Safe for concurrent
    calls.
    """

    def __init__(self, limit: int | None = None, *, day: DayBudget | None = None) -> None:
        self.limit = limit
        self._day = day
        self._used = 0

    @property
    def used(self) -> int:
        """Calls spent so far."""
        return self._used

    @property
    def left(self) -> int | None:
        """Calls that may still be made: of the run's own limit, and of a day that nears its end."""
        own = None if self.limit is None else max(0, self.limit - self._used)
        known = [left for left in (own, self._day.left if self._day else None) if left is not None]
        return min(known, default=None)

    async def spend(self, calls: int = 1) -> None:
        """Take calls.

        :raises BudgetExceededError: they are not there; nothing is taken.
        """
        if self.limit is not None and self._used + calls > self.limit:
            raise BudgetExceededError(self._used, self.limit)
        self._used += calls
        if self._day is None:
            return
        try:
            await self._day.take(calls)
        except BaseException:
            self._used -= calls
            raise

    def observe(self, used: int, limit: int) -> None:
        """Note the CRM's own count."""
        if self._day is not None:
            self._day.observe(used, limit)


class DayBudget:
    """The calls of an integration by days of UTC, whatever the number of processes.

    Calls are taken from the bookkeeping in blocks, and what is left of a block is given back by `close`. A block is
    used on its own day alone.
    """

    def __init__(self, repository: SyncRepository, integration_id: str, limits: CallLimits, clock: Clock) -> None:
        self._repository = repository
        self._integration_id = integration_id
        self._limits = limits
        self._clock = clock
        self._lock = anyio.Lock()
        self._block: _Block | None = None
        self._spent = 0
        self._seen: deque[tuple[Allowance, int]] = deque()

    @property
    def left(self) -> int | None:
        """Calls that this process may still make today, once it got fewer than it asked for; else None."""
        return self._block.left if self._block is not None and self._block.is_last else None

    async def take(self, calls: int) -> None:
        """Take calls for now.

        :raises BudgetExceededError: they are not there; nothing is taken.
        """
        async with self._lock:
            now = self._clock.now()
            self._check_org(calls, now)
            held = await self._block_of(now.astimezone(UTC).date())
            if held.left < calls:
                await self._grow(held, calls - held.left)
            held.left -= calls
            self._spent += calls

    def observe(self, used: int, limit: int) -> None:
        """Note what the CRM says of its own allowance."""
        from crmsync.models.state import Allowance  # noqa: PLC0415 - see above

        seen = Allowance(used, limit, self._clock.now())
        while self._seen and seen.seen_at - self._seen[0][0].seen_at > _RECENT:
            self._seen.popleft()
        self._seen.append((seen, self._spent))

    async def close(self) -> None:
        """Give back what was taken and not used, and note what the CRM said last."""
        async with self._lock:
            if self._block is not None:
                await self._give_back(self._block)
                self._block = None

    async def _block_of(self, day: date) -> _Block:
        if self._block is None or self._block.day != day:
            if self._block is not None:
                await self._give_back(self._block)
            self._block = _Block(day)
        return self._block

    async def _give_back(self, block: _Block) -> None:
        last = self._seen[-1][0] if self._seen else None
        await self._repository.return_calls(self._integration_id, block.day, block.left, allowance=last)

    async def _grow(self, block: _Block, needed: int) -> None:
        limit = self._limits.max_calls_per_day
        wanted = max(BLOCK, needed)
        got = await self._repository.reserve_calls(self._integration_id, block.day, wanted, needed=needed, limit=limit)
        if got < needed:
            usage = await self._repository.get_call_usage(self._integration_id, block.day)
            turns = datetime.combine(block.day + timedelta(days=1), time.min, UTC)
            raise BudgetExceededError(usage.taken, limit or 0, scope="day", resumes_at=turns)
        block.left += got
        block.is_last = got < wanted

    def _check_org(self, calls: int, now: datetime) -> None:
        """The greatest use told lately, plus what we spent since it was told, must stay within the share."""
        percent = self._limits.max_org_percent
        if percent is None or not self._seen:
            return
        recent = [entry for entry in self._seen if now - entry[0].seen_at <= _RECENT] or [self._seen[-1]]
        used, limit = max((seen.used + self._spent - before, seen.limit) for seen, before in recent)
        if used + calls > limit * percent / 100:
            raise BudgetExceededError(used, int(limit * percent / 100), scope="org")


@attrs.define(slots=True)
class _Block:
    """Calls taken from a day and not used yet."""

    day: date
    left: int = 0
    is_last: bool = False
