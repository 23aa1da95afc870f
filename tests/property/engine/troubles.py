"""What goes wrong on the wire, and at a CRM behind it, in one run."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs

from crmsync.testing.salesforce import SalesforceOrg, every_nth, row_lock
from tests.property.engine.sites import OBJECT

Strike = Callable[[SalesforceOrg, dict[str, Any]], None]
TROUBLES: dict[str, Strike] = {
    "503 before the effect": lambda org, where: org.faults.fail_next(**where),
    "500 after the effect": lambda org, where: org.faults.fail_next(status=500, after_commit=True, **where),
    "a page of HTML": lambda org, where: org.faults.fail_next(status=503, html=True, **where),
    "429 with Retry-After": lambda org, where: org.faults.fail_next(status=429, retry_after=2, **where),
    "403 REQUEST_LIMIT_EXCEEDED": lambda org, where: org.faults.fail_next(status=403, **where),
    "a connection cut before the effect": lambda org, where: org.faults.drop_next(**where),
    "a connection cut after the effect": lambda org, where: org.faults.drop_next(after_commit=True, **where),
    "no answer in time": lambda org, where: org.faults.hold_next(60, **{**where, "times": 1}),
    "ConcurrentRequests": lambda org, where: org.faults.concurrency_exceeded_next(where["times"]),
}


@attrs.define
class Trouble:
    """What goes wrong at a CRM in one run: calls from the ``skip``-th on, or ``rows`` that are refused."""

    name: str = ""
    skip: int = 0
    times: int = 1
    writes: bool = False
    rows: str = ""

    @property
    def named(self) -> str:
        """What it is, for the count; empty if nothing goes wrong."""
        return self.name or (f"rows {self.rows}" if self.rows else "")

    def strike(self, org: SalesforceOrg, by_run: Callable[[], bool]) -> None:
        """Switch it on. ``by_run`` says whether a row is being saved by the run, not by a person."""
        if self.rows:
            locked = self.rows == "locked"
            refuse = row_lock(OBJECT, lambda _row: True, times=self.times) if locked else every_nth(2)
            org.faults.reject(lambda name, row: refuse(name, row) if by_run() else None)
        if self.name:
            TROUBLES[self.name](org, {"times": self.times, "path": self._rule()})

    def _rule(self) -> Callable[[str, str], bool]:
        left = self.skip

        def rule(method: str, path: str) -> bool:
            nonlocal left
            if self.writes and (method == "GET" or not ("composite" in path or "jobs" in path)):
                return False
            left -= 1
            return left < 0

        return rule


def trouble(chance: random.Random) -> Trouble:
    """What goes wrong in one run."""
    if chance.random() < 0.25:
        return Trouble()
    if chance.random() < 0.2:
        return Trouble(rows=chance.choice(["locked", "every second"]), times=chance.randint(1, 40))
    return Trouble(
        chance.choice(list(TROUBLES)),
        skip=chance.randint(0, 6),
        times=chance.choice([1, 1, 2, 4, 8]),
        writes=chance.random() < 0.6,
    )
