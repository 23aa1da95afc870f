"""The budget of API calls of one run."""

from __future__ import annotations

from crmsync.errors import BudgetExceededError


class RunBudget:
    """Counts calls and refuses the one that would exceed ``limit`` (None: no limit of our own).

    What the CRM says of its allowance is kept as the greatest use seen, because its counter is not monotonic.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._used = 0
        self.org_used: int | None = None
        self.org_limit: int | None = None

    @property
    def used(self) -> int:
        """Calls spent so far."""
        return self._used

    async def spend(self, calls: int = 1) -> None:
        """Take calls.

        :raises BudgetExceededError: they are not there; nothing is taken.
        """
        if self.limit is not None and self._used + calls > self.limit:
            raise BudgetExceededError(self._used, self.limit)
        self._used += calls

    def observe(self, used: int, limit: int) -> None:
        """Note the CRM's own count."""
        self.org_used = used if self.org_used is None else max(self.org_used, used)
        self.org_limit = limit
