"""An emulated org on a fake clock, and a provider that is connected to it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProvider, SalesforceProviderFactory
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.writing.conftest import RecordingTransport


class RacingTransport(RecordingTransport):
    """Lets somebody else be a moment faster."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        super().__init__(inner)
        self._first: tuple[str, str, Callable[[], object]] | None = None

    def before(self, method: str, path: str, happens: Callable[[], object]) -> None:
        """Let something happen right before the next such call."""
        self._first = (method, path, happens)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._first and request.method == self._first[0] and request.url.path.endswith(self._first[1]):
            happens, self._first = self._first[2], None
            happens()
        return await super().handle_async_request(request)


@dataclasses.dataclass
class Connection:
    """What a test works with."""

    org: SalesforceOrg
    clock: FakeClock
    provider: SalesforceProvider
    sent: RacingTransport

    def contact(self, number: int, **values: Any) -> str:
        """Add the n-th person as somebody else does; the id."""
        given = {"LastName": f"Last {number}", "Email": f"p{number}@example.com", **values}
        return self.org.create("Contact", given)

    def lead(self, number: int, **values: Any) -> str:
        """As `contact`, as a lead."""
        given = {"LastName": f"Last {number}", "Email": f"p{number}@example.com", "Company": "Acme", **values}
        return self.org.create("Lead", given)


Connect = Callable[..., AbstractAsyncContextManager[Connection]]


@pytest.fixture
def connect() -> Connect:
    """Connect to an org: ``connect(org={...}, **settings)``; ``org`` are options of `SalesforceOrg`."""

    @asynccontextmanager
    async def connection(*, org: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Connection]:
        clock = FakeClock()
        emulated = SalesforceOrg(clock=clock.now, **(org or {}))
        sent = RacingTransport(InProcessTransport(emulated))
        given = {"instance_url": "https://acme.my.salesforce.com", "retry_wait": 0.0, **settings}
        credentials = {"access_token": SecretStr(DEFAULT_TOKEN)}
        context = ProviderContext(clock, RunBudget())
        async with SalesforceProviderFactory(sent).open(given, credentials, context) as provider:
            yield Connection(emulated, clock, provider, sent)

    return connection
