"""An emulated org on a fake clock, and a store of its contacts that notes the calls it makes."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.models.records import Operation, OperationKind
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.providers.salesforce.records import SalesforceRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock

KEY = "MarkMail_Id__c"


@dataclasses.dataclass
class Call:
    """One request as it was sent, without what comes before ``/services/data/vXX.X``."""

    method: str
    path: str
    body: bytes
    headers: httpx2.Headers


class RecordingTransport(httpx2.AsyncBaseTransport):
    """Passes requests on and remembers them."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self.calls: list[Call] = []
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        path = request.url.raw_path.decode().removeprefix("/services/data/v68.0")
        self.calls.append(Call(request.method, path, body, request.headers))
        return await self._inner.handle_async_request(request)

    def of(self, method: str, part: str) -> list[Call]:
        """The calls of a method whose path holds a text."""
        return [call for call in self.calls if call.method == method and part in call.path]


class DistantTransport(httpx2.AsyncBaseTransport):
    """Lets a clock go on by so many seconds for each call, half of them before the org sees it."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, clock: FakeClock, seconds: float) -> None:
        self._inner, self._clock, self._half = inner, clock, seconds / 2

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._clock.tick(self._half)
        response = await self._inner.handle_async_request(request)
        self._clock.tick(self._half)
        return response


@dataclasses.dataclass
class Desk:
    """What a test works with."""

    org: SalesforceOrg
    clock: FakeClock
    sent: RecordingTransport
    store: SalesforceRecordStore
    budget: RunBudget
    memory: dict[str, str]

    def contacts(self) -> list[dict[str, Any]]:
        """The living contacts of the org."""
        return self.org.records("Contact")


def jobs_of(desk: Desk) -> list[Call]:
    """The requests about ingest jobs."""
    return [call for call in desk.sent.calls if "/jobs/ingest" in call.path]


OpenDesk = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def open_desk() -> OpenDesk:
    """Open a store of contacts: ``open_desk(org=..., budget=..., jobs=..., memory=..., **settings)``.

    Each call takes ``call_seconds`` of the clock.
    """

    @asynccontextmanager
    async def desk(
        *,
        org: SalesforceOrg | None = None,
        clock: FakeClock | None = None,
        budget: RunBudget | None = None,
        object_name: str = "Contact",
        memory: dict[str, str] | None = None,
        lent: dict[str, Any] | None = None,
        call_seconds: float = 0.0,
        **settings: Any,
    ) -> AsyncIterator[Desk]:
        clock = clock or FakeClock()
        org = org or SalesforceOrg(clock=clock.now)
        sent = RecordingTransport(DistantTransport(InProcessTransport(org), clock, call_seconds))
        budget = budget or RunBudget()
        context = ProviderContext(clock, budget, memory=memory if memory is not None else {}, **(lent or {}))
        given = {"instance_url": "https://acme.my.salesforce.com", "retry_wait": 0.0, **settings}
        async with SalesforceProviderFactory(sent).open(
            given, {"access_token": SecretStr(DEFAULT_TOKEN)}, context
        ) as provider:
            store = await provider.records(object_name)
            assert isinstance(store, SalesforceRecordStore)
            yield Desk(org, clock, sent, store, budget, context.memory)

    return desk


def create(number: int | str, *, key: str | None = None, **fields: object) -> Operation:
    """A create of the n-th person."""
    values = {"LastName": f"Last {number}", "Email": f"p{number}@example.com", **fields}
    return Operation(f"op {number}", OperationKind.CREATE, None, key=key, fields=values)


def update(record_id: str, **fields: object) -> Operation:
    """An update."""
    return Operation(f"op {record_id}", OperationKind.UPDATE, record_id, fields=fields)


def delete(record_id: str) -> Operation:
    """A delete."""
    return Operation(f"op {record_id}", OperationKind.DELETE, record_id)


def keyed(numbers: Sequence[int]) -> list[Operation]:
    """Creates with external keys."""
    return [create(number, key=f"key-{number}") for number in numbers]
