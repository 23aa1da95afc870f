"""The engine: reads both sides' changes, merges, writes in batches, and acknowledges each page in one transaction."""

from __future__ import annotations

from crmsync.engine.budget import DayBudget, RunBudget
from crmsync.engine.clock import SystemClock
from crmsync.engine.conflicts import jsonable
from crmsync.engine.jobs import RunJobs
from crmsync.engine.lease import RunLease
from crmsync.engine.retention import AT_ONCE, purge
from crmsync.engine.runner import Runner

__all__ = ["AT_ONCE", "DayBudget", "RunBudget", "RunJobs", "RunLease", "Runner", "SystemClock", "jsonable", "purge"]
