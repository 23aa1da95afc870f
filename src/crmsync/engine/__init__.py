"""The engine: reads both sides' changes, merges, writes in batches, and acknowledges each page in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmsync.exports import loading

if TYPE_CHECKING:
    from crmsync.engine.budget import DayBudget, RunBudget
    from crmsync.engine.clock import SystemClock
    from crmsync.engine.conflicts import jsonable
    from crmsync.engine.jobs import RunJobs
    from crmsync.engine.lease import RunLease
    from crmsync.engine.retention import AT_ONCE, purge
    from crmsync.engine.runner import Runner

_HOMES = {
    "crmsync.engine.budget": ("DayBudget", "RunBudget"),
    "crmsync.engine.clock": ("SystemClock",),
    "crmsync.engine.conflicts": ("jsonable",),
    "crmsync.engine.jobs": ("RunJobs",),
    "crmsync.engine.lease": ("RunLease",),
    "crmsync.engine.retention": ("AT_ONCE", "purge"),
    "crmsync.engine.runner": ("Runner",),
}

if not TYPE_CHECKING:
    __getattr__ = loading(globals(), _HOMES)

__all__ = ["AT_ONCE", "DayBudget", "RunBudget", "RunJobs", "RunLease", "Runner", "SystemClock", "jsonable", "purge"]
