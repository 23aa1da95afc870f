"""A short history in which the process ends at a bulk job's call, and an engine that then leaves the job behind."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from tests.property.engine.breaking import Mutant, Patch
from tests.property.engine.job_troubles import CRASH_AFTER, SPEEDS, JobTrouble
from tests.property.engine.knowledge import ACME, LOCAL
from tests.property.engine.promises import Counts, Promise
from tests.property.engine.sites import Conditions
from tests.property.engine.wire import wire_stage

FAULTS = {
    "upload": "a job is noted once it has its rows: whoever comes after a crash knows nothing of it",
    "close": "what an earlier process left at work is not waited for, and writes after the run that came next",
}
"""Of `MUTANT`, by the call after which the process has to end to show the one and not the other."""

MUTANT = Mutant(
    "jobs-left-behind",
    " and ".join(FAULTS.values()),
    (
        Patch("providers/salesforce/writing/bulk.py", "        await self._client.jobs.add(job)\n", ""),
        Patch(
            "providers/salesforce/writing/bulk.py",
            "            await self._jobs.close(job.job_id, prepaid=True)\n",
            "            await self._client.jobs.add(job)\n"
            "            await self._jobs.close(job.job_id, prepaid=True)\n",
        ),
        Patch(
            "providers/salesforce/bulk/following.py",
            "    for job in await client.jobs.unfinished():\n",
            "    for job in ():\n",
        ),
    ),
)


def play_left_job(call: str) -> str | None:
    """How the history of a process that ends after this call breaks a promise, or None."""
    with TemporaryDirectory() as directory:
        try:
            anyio.run(_play, call, Path(directory))
        except AssertionError as broken:
            return str(broken)
    return None


async def _play(call: str, directory: Path) -> None:
    ways = {"channel": "bulk", "changes": "query"}
    async with wire_stage(Conditions(), ways, directory, Counts()) as stage:
        stage.jobs.take(SPEEDS[-1])
        await stage.begin()
        stage.enter(LOCAL, 0, "alpha")
        stage.trouble = JobTrouble(call, CRASH_AFTER)
        await stage.run(ACME)
        await stage.run(ACME)
        await stage.judge_jobs()
        count = len(stage.sites.records_of(ACME, 0))
        stage.hold(Promise.CRASH_SAFE, count == 1, f"p0 is {count} times at {ACME}")
