"""The bulk jobs of two orgs in a history: how long they take, whose work they are, and that none is left behind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from crmsync.testing.salesforce import BulkOptions, SalesforceOrg
from crmsync.testing.salesforce.bulk.jobs import IN_PROGRESS, OPEN, IngestJob
from crmsync.testing.salesforce.bulk.settling import settle
from crmsync.testing.world import FakeClock


class JobsClock(FakeClock):
    """A clock by which the jobs of ``orgs`` do what is due as soon as it moves: a history plays alike every time."""

    def __init__(self, *begins: datetime) -> None:
        super().__init__(*begins)
        self.orgs: list[SalesforceOrg] = []

    def tick(self, seconds: float = 60) -> None:
        super().tick(seconds)
        for org in self.orgs:
            with org.lock:
                settle(org)


@attrs.define
class OrgJobs:
    """The jobs of the orgs, by the names of these. ``makers`` has the run that made each."""

    orgs: Mapping[str, SalesforceOrg]
    makers: dict[tuple[str, str], str] = attrs.field(factory=dict)

    def take(self, speed: BulkOptions) -> None:
        """From now on jobs, also those at work, take so long."""
        for org in self.orgs.values():
            org.bulk.options = speed

    def made(self, remote: str, run_id: str) -> None:
        """A run with a CRM is over: the new jobs are its own, whoever sees their end."""
        for job_id in self.orgs[remote].bulk.ingest:
            self.makers.setdefault((remote, job_id), run_id)

    def maker(self, remote: str) -> str:
        """The run of before whose job is saving a record just now; empty if it is the run at work."""
        working = [(remote, job.id) for job in self._of(remote) if job.state == IN_PROGRESS]
        return next((self.makers[job] for job in working if job in self.makers), "")

    def unfinished(self, remote: str) -> list[str]:
        """Jobs that wait or work, or that were given rows and never closed.

        One whose creation was never answered stays open; without rows it does nothing.
        """
        return [
            f"{job.id} {job.state}"
            for job in self._of(remote)
            if not job.is_final and not (job.state == OPEN and job.data is None)
        ]

    def _of(self, remote: str) -> list[IngestJob]:
        return list(self.orgs[remote].bulk.ingest.values())
