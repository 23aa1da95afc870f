"""What goes wrong around the bulk jobs of one run: at any of their calls, on the wire or by the end of the process."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs

from crmsync.testing.salesforce import BulkOptions, SalesforceOrg, row_lock
from tests.property.engine.sites import OBJECT

CALLS = ("create", "upload", "close", "poll", "successful", "failed", "unprocessed")
CRASH_BEFORE = "the process ends before the call"
CRASH_AFTER = "the process ends after the call"
ON_THE_WIRE: dict[str, Callable[[SalesforceOrg, dict[str, Any]], None]] = {
    "503 before the effect": lambda org, where: org.faults.fail_next(**where),
    "500 after the effect": lambda org, where: org.faults.fail_next(status=500, after_commit=True, **where),
    "a connection cut before the effect": lambda org, where: org.faults.drop_next(**where),
    "a connection cut after the effect": lambda org, where: org.faults.drop_next(after_commit=True, **where),
    "a page of HTML": lambda org, where: org.faults.fail_next(status=503, html=True, **where),
    "a session that expired": lambda org, where: org.faults.fail_next(status=401, **where),
}
SPEEDS = (BulkOptions(), BulkOptions(seconds=8, seconds_per_record=4), BulkOptions(seconds=300, seconds_per_record=60))
"""Jobs that are over at once, those that a crash outlives, and those that outlive it."""

_RESULTS = {"successfulResults": "successful", "failedResults": "failed", "unprocessedrecords": "unprocessed"}
_METHODS = {"POST": "create", "PUT": "upload", "PATCH": "close"}


def job_call(method: str, path: str) -> str:
    """Which of `CALLS` a request is; empty for those that are about no job. An abort counts as a close."""
    if "/jobs/ingest" not in path:
        return ""
    return _METHODS.get(method) or _RESULTS.get(path.rpartition("/")[2], "poll")


@attrs.define
class JobTrouble:
    """What a run meets at the ``number``-th ``call`` of its jobs, and so many ``times``: one of `ON_THE_WIRE`, or a
    crash. ``struck`` counts how often it did.
    """

    call: str
    kind: str
    number: int = 1
    times: int = 1
    aborted: bool = False
    struck: int = 0
    _met: int = attrs.field(default=0, init=False)

    @property
    def named(self) -> str:
        """What it was, for the count; empty if the run never came to the call."""
        return self.kind if self.struck else ""

    def __str__(self) -> str:
        return f"job's {self.call} {self.number}, {self.times} times: {self.kind}{'' if self.struck else ' (not met)'}"

    def strike(self, org: SalesforceOrg, by_run: Callable[[], bool]) -> None:
        """Switch it on; a job then has something to tell in the results that are to be struck."""
        if self.call == "failed":
            refuse = row_lock(OBJECT, lambda _row: True, times=1)
            org.faults.reject(lambda name, row: refuse(name, row) if by_run() else None)
        if self.call == "unprocessed":
            (org.faults.bulk.abort_next if self.aborted else org.faults.bulk.fail_next)()
        if self.kind in ON_THE_WIRE:
            ON_THE_WIRE[self.kind](org, {"times": self.times, "path": self._is_met})

    def ends(self, when: str, method: str, path: str) -> bool:
        """Whether the process ends at this call."""
        return self.kind == when and self._is_met(method, path)

    def _is_met(self, method: str, path: str) -> bool:
        if job_call(method, path) != self.call:
            return False
        self._met += 1
        if self._met < self.number:
            return False
        self.struck += 1
        return True


def job_trouble(chance: random.Random) -> JobTrouble:
    """What goes wrong around the jobs of one run."""
    kind = chance.choice([*ON_THE_WIRE, *[CRASH_BEFORE, CRASH_AFTER] * 2])
    times = chance.choice([1, 1, 8]) if kind in ON_THE_WIRE else 1
    number = chance.choice([1, 1, 1, 2]) if times == 1 else 1
    return JobTrouble(chance.choice(CALLS), kind, number=number, times=times, aborted=chance.random() < 0.5)
