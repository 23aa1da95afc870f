"""Following a job to its end, in this run or in the one after a crash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

from crmsync.errors import UnavailableError, UnexpectedResponseError
from crmsync.models.state import RemoteJob
from crmsync.providers.salesforce.bulk.jobs import INGEST, JOB_COMPLETE, OPEN, QUERY, JobInfo, Jobs
from crmsync.providers.salesforce.bulk.polling import Polls
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.pace import Pace

Ended: TypeAlias = Callable[[], Awaitable[bool]]
"""Whether a job is complete, told by something else than the job itself."""


async def follow(
    client: SalesforceClient,
    jobs: Jobs,
    job: RemoteJob,
    *,
    abort_late: bool,
    learn: bool = True,
    since: datetime | None = None,
    ended: Ended | None = None,
) -> JobInfo:
    """Wait until a closed job is over, asking seldom.

    A job that takes longer than ``bulk_wait_seconds`` is aborted; what it has done until then stays done. How long it
    took is remembered, unless ``learn`` is False: nobody knows since when it is at work. ``since`` is when it was made;
    None: now. ``ended`` is asked once in place of the job, when that should be over by its own answers and none of its
    records failed so far; what it says is believed.

    :raises UnavailableError: with ``abort_late`` False: it takes longer.
    """
    clock, began = client.clock, since or client.clock.now()
    unfinished = (clock.now() - began).total_seconds()
    polls = _polls(client.pace, jobs.kind, job.records, unfinished)
    wait, failed = polls.first(), 0

    def passed() -> float:
        return (clock.now() - began).total_seconds()

    while True:
        await clock.sleep(wait)
        asked = passed()
        if ended is not None and polls.foretold and not failed:
            if await ended():
                _keep(client, jobs, job, asked, learn=learn)
                client.jobs.progressed(job, job.records)
                return JobInfo(job.job_id, JOB_COMPLETE, job.records)
            ended = None
        info = await jobs.info(job.job_id)
        if info is None:
            raise UnexpectedResponseError("a bulk job is gone before it was over")
        client.jobs.progressed(job, info.processed)
        waited, failed = passed(), info.failed
        if info.is_final:
            # It ended between the last two answers; its own count says when, as far as that fits.
            _keep(client, jobs, job, min(max(info.took, unfinished), waited), learn=learn)
            return info
        unfinished = waited
        if waited > client.settings.bulk_wait_seconds:
            if not abort_late:
                raise UnavailableError("a bulk job of an earlier run is still at work")
            await jobs.abort(job.job_id)
            wait = polls.first()
        else:
            # A query job says nothing of the time that it works.
            active = waited if jobs.kind == QUERY else info.active
            # An answer is half a call old, and the next question arrives half a call after it is asked.
            wait = max(0.0, polls.next(info.processed, active) - (waited - asked))


def _keep(client: SalesforceClient, jobs: Jobs, job: RemoteJob, seconds: float, *, learn: bool) -> None:
    if learn:
        keep = client.pace.with_query if jobs.kind == QUERY else client.pace.with_job
        client.keep_pace(keep(seconds, job.records))


def _polls(pace: Pace, kind: str, records: int, waited: float) -> Polls:
    if kind == QUERY:
        return Polls(records, pace.query_seconds(records), measured=pace.query_scale is not None, waited=waited)
    return Polls(records, pace.job_seconds(records), measured=pace.job_scale is not None, waited=waited)


async def settle(client: SalesforceClient) -> None:
    """End what an earlier process left in the log of jobs: afterwards nothing of it is on its way any more.

    An open job was given nothing to do, so it is aborted; one that was closed is waited for. What it wrote is then read
    from the records like the effect of any write whose answer was lost.

    :raises UnavailableError: one takes too long.
    """
    jobs = Jobs(client, INGEST)
    for job in await client.jobs.unfinished():
        info = await jobs.info(job.job_id)
        if info is not None and info.state == OPEN:
            await jobs.abort(job.job_id)
            # Whoever created it may have closed it just before.
            info = await jobs.info(job.job_id)
        if info is not None and not info.is_final:
            await follow(client, jobs, job, abort_late=False, learn=False)
        await client.jobs.remove(job.job_id)
