"""A run that loses its lease in the middle of one write: no further call leaves the process."""

from __future__ import annotations

import attrs
import pytest

from crmsync.errors import LeaseLostError
from tests.unit.providers.salesforce.writing.conftest import OpenDesk, keyed

pytestmark = pytest.mark.anyio


@attrs.define
class Until:
    """A permit that is lost after so many calls."""

    calls: int = 1_000_000

    async def confirm(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise LeaseLostError("another run took over")


async def test_the_remaining_calls_of_a_write_are_not_made(open_desk: OpenDesk) -> None:
    permit = Until()
    async with open_desk(channel="collections", lent={"permit": permit}) as desk:
        permit.calls = 1
        desk.sent.calls.clear()
        outcomes = await desk.store.write(keyed(range(450)))
    assert len(desk.sent.calls) == 1
    assert len(desk.contacts()) == sum(outcome.ok for outcome in outcomes) > 0
    assert {type(outcome.error) for outcome in outcomes if not outcome.ok} == {LeaseLostError}


async def test_a_write_that_may_not_begin_raises(open_desk: OpenDesk) -> None:
    permit = Until()
    async with open_desk(channel="collections", lent={"permit": permit}) as desk:
        permit.calls = 0
        desk.sent.calls.clear()
        with pytest.raises(LeaseLostError):
            await desk.store.write(keyed(range(3)))
    assert desk.sent.calls == []


@pytest.mark.parametrize("calls", [1, 2, 3])
async def test_a_bulk_job_goes_no_further(open_desk: OpenDesk, calls: int) -> None:
    """Created, loaded, closed: after each of them somebody else may have taken over, who ends the job that is noted."""
    permit = Until()
    async with open_desk(channel="bulk", lent={"permit": permit}) as desk:
        permit.calls = calls
        desk.sent.calls.clear()
        with pytest.raises(LeaseLostError):
            await desk.store.write(keyed(range(3)))
        assert len(desk.sent.calls) == calls
        (job,) = desk.org.bulk.ingest.values()
    assert job.state == ("Open" if calls < 3 else "UploadComplete")
