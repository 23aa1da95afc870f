"""What a running engine lends to the parts it drives: the time, and the budget of API calls."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time. Tests bring their own."""

    def now(self) -> datetime:
        """The present as aware UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait. A fake clock returns at once and moves its time."""
        ...


class CallBudget(Protocol):
    """How many API calls may still be made. Whoever makes a call spends it first."""

    @property
    def used(self) -> int:
        """Calls spent so far in this run."""
        ...

    async def spend(self, calls: int = 1) -> None:
        """Take calls from the budget; a budget that processes share may wait for its storage.

        :raises BudgetExceededError: when they are not there; nothing is taken and the call must not be made.
        """
        ...

    def observe(self, used: int, limit: int) -> None:
        """Note what the CRM says of its own allowance (calls used and allowed in its window)."""
        ...
