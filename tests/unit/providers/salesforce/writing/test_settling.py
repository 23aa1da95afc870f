"""Jobs that an earlier process left behind are brought to an end."""

from __future__ import annotations

import pytest

from crmsync.errors import UnavailableError
from crmsync.models.state import RemoteJob
from crmsync.protocols.provider import UnkeptJobs
from tests.unit.providers.salesforce.writing.conftest import OpenDesk, keyed

pytestmark = pytest.mark.anyio


async def test_an_open_job_of_an_earlier_process_is_aborted(open_desk: OpenDesk) -> None:
    log = UnkeptJobs()
    async with open_desk(channel="bulk", lent={"jobs": log}) as desk:
        desk.org.faults.fail_next(20, status=503, path="/batches")
        desk.org.faults.fail_next(20, status=503, method="PATCH", path="/jobs/ingest")
        with pytest.raises(UnavailableError):
            await desk.store.write(keyed(range(10)))
        [job] = await log.unfinished()
        desk.org.faults.clear()
        await desk.store.settle_jobs()
        assert desk.org.bulk.ingest[job.job_id].state == "Aborted"
    assert await log.unfinished() == []


async def test_a_job_at_work_is_waited_for_and_one_that_is_gone_is_forgotten(open_desk: OpenDesk) -> None:
    log = UnkeptJobs()
    async with open_desk(channel="bulk", lent={"jobs": log}) as desk:
        desk.org.bulk.options = type(desk.org.bulk.options)(seconds=30)
        desk.org.faults.fail_next(5, status=503, method="GET", path="/jobs/ingest")
        with pytest.raises(UnavailableError):
            await desk.store.write(keyed(range(10)))
        await log.add(RemoteJob("750000000000001AAA", "Contact", "upsert", 3, desk.clock.now()))
        assert desk.contacts() == []
        await desk.store.settle_jobs()
        assert len(desk.contacts()) == 10
        assert "job_scale" not in desk.memory.get("pace", ""), "nobody knows how long it was at work before"
    assert await log.unfinished() == []


async def test_a_job_that_does_not_end_keeps_the_run_from_starting(open_desk: OpenDesk) -> None:
    log = UnkeptJobs()
    async with open_desk(channel="bulk", lent={"jobs": log}, bulk_wait_seconds=60) as desk:
        desk.org.bulk.options = type(desk.org.bulk.options)(seconds=3000)
        desk.org.faults.fail_next(5, status=503, method="GET", path="/jobs/ingest")
        with pytest.raises(UnavailableError):
            await desk.store.write(keyed(range(10)))
        with pytest.raises(UnavailableError, match="still at work"):
            await desk.store.settle_jobs()
    assert len(await log.unfinished()) == 1
