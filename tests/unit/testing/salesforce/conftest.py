"""An org and a client in front of it, in-process, with a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport


class StandingClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 20, 34, 26, 789_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        """Set the clock forward."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def org(clock: StandingClock) -> SalesforceOrg:
    return SalesforceOrg(clock=clock)


@pytest.fixture
async def client(org: SalesforceOrg) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {org.access_token}"}
    transport = InProcessTransport(org, control=True)
    async with httpx2.AsyncClient(transport=transport, base_url="http://org.example", headers=headers) as opened:
        yield opened
