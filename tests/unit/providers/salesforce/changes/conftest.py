"""An org whose commits become visible late, on a clock, and the way to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import attrs
import httpx2
import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.models.records import Record
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.records import RecordStore
from crmsync.providers.salesforce import SalesforceProvider, SalesforceProviderFactory
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.conftest import URL

LOOK_BACK = 600
DAY = 24 * 3600


class Wire(httpx2.AsyncBaseTransport):
    """The way to the org, which counts what goes over it by the last part of the path. ``on_call`` comes first."""

    def __init__(self, org: SalesforceOrg) -> None:
        self._inner = InProcessTransport(org)
        self.calls: list[str] = []
        self.on_call: Callable[[str], None] = lambda _name: None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        name = request.url.path.rstrip("/").rpartition("/")[2]
        self.on_call(name)
        self.calls.append(name)
        return await self._inner.handle_async_request(request)

    def take(self) -> list[str]:
        """What was called since the last time, but for what a connection asks only once."""
        calls, self.calls = self.calls, []
        return [name for name in calls if name not in ("data", "describe", "userinfo")]


@attrs.frozen
class Site:
    """An org, its time, and the way to it. ``opened`` is a connection with these settings."""

    org: SalesforceOrg
    clock: FakeClock
    wire: Wire
    opened: Callable[..., AbstractAsyncContextManager[SalesforceProvider]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def org(clock: FakeClock) -> SalesforceOrg:
    return SalesforceOrg(clock=clock.now)


@pytest.fixture
def site(org: SalesforceOrg, clock: FakeClock) -> Site:
    wire = Wire(org)

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[SalesforceProvider]:
        known = {"instance_url": URL, "look_back_seconds": LOOK_BACK, **settings}
        token = {"access_token": SecretStr(DEFAULT_TOKEN)}
        async with SalesforceProviderFactory(wire).open(known, token, ProviderContext(clock, RunBudget())) as provider:
            yield provider

    return Site(org, clock, wire, opened)


@pytest.fixture
async def contacts(site: Site) -> AsyncIterator[RecordStore]:
    """Contacts whose changes are queried."""
    async with site.opened() as provider:
        yield await provider.records("Contact")


@pytest.fixture
async def replicated(site: Site) -> AsyncIterator[RecordStore]:
    """Contacts whose changes `getUpdated` names."""
    async with site.opened(changes="get_updated") as provider:
        yield await provider.records("Contact")


Fields: TypeAlias = tuple[str, ...]


async def records_of(
    store: RecordStore, cursor: str | None, *, fields: Fields = ("LastName",), limit: int | None = None
) -> tuple[list[Record], str | None]:
    """The records of one whole pass, and the position after it."""
    records: list[Record] = []
    more = True
    while more:
        page = await store.changes(cursor, fields=fields, limit=limit)
        records += page.records
        cursor, more = page.cursor, page.has_more
    return records, cursor


async def changed(store: RecordStore, cursor: str | None) -> tuple[set[object], str | None]:
    """The last names of one whole pass, and the position after it."""
    records, cursor = await records_of(store, cursor)
    return {record.fields["LastName"] for record in records}, cursor
