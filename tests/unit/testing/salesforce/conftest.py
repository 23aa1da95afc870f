"""An org and a client in front of it, in-process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg, create_app

START = datetime(2026, 11, 24, 20, 34, 26, tzinfo=UTC)
DATA = "/services/data/v68.0"


class SteppingClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def org(clock: SteppingClock) -> SalesforceOrg:
    return SalesforceOrg(clock=clock)


@pytest.fixture
async def client(org: SalesforceOrg) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=create_app(org, control=True))
    headers = {"Authorization": f"Bearer {org.access_token}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://org.example", headers=headers) as opened:
        yield opened
