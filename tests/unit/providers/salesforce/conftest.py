"""A client of an org that answers as each test says, on a clock that stands still."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import httpx2
import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce.auth import AccessToken, TokenEndpoint
from crmsync.providers.salesforce.client import SalesforceClient, open_http
from crmsync.providers.salesforce.settings import read_settings
from crmsync.testing.world import FakeClock

URL = "https://acme.my.salesforce.com"
VERSIONS = [{"version": f"{number}.0"} for number in range(41, 69)]


def answer(status: int = 200, body: Any = None, headers: Mapping[str, str] | None = None) -> httpx2.Response:
    """An answer: JSON, or bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx2.Response(status, content=content, headers=dict(headers or {}))


def error(status: int, code: str, message: str = "x", **headers: str) -> httpx2.Response:
    """An answer in REST's form of an error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer(status, [{"errorCode": code, "message": message}], named)


@attrs.define
class Script:
    """The org's answers, one after the other, and what it was asked. A function answers every request by itself."""

    answers: list[httpx2.Response | Exception] | Callable[[httpx2.Request], Awaitable[httpx2.Response]]
    requests: list[httpx2.Request] = attrs.field(factory=list)

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if callable(self.answers):
            return await self.answers(request)
        given = self.answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given


@attrs.frozen
class Line:
    """An open client, and what a test looks at."""

    client: SalesforceClient
    script: Script
    clock: FakeClock
    budget: RunBudget
    memory: dict[str, str]

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.script.requests]


Connect = Callable[..., AbstractAsyncContextManager[Line]]


@pytest.fixture
def connect() -> Connect:
    """Open a client of a scripted org; its version is settled unless ``memory`` says otherwise."""

    @asynccontextmanager
    async def opened(
        answers: Any,
        *,
        memory: dict[str, str] | None = None,
        max_calls: int | None = None,
        token: str = "secret",
        **settings: Any,
    ) -> AsyncIterator[Line]:
        script, clock, budget = Script(answers), FakeClock(), RunBudget(max_calls)
        remembered = {"api_version": "68.0"} if memory is None else memory
        context = ProviderContext(clock, budget, memory=remembered)
        checked = read_settings({"instance_url": URL, "retry_wait": 1, "retry_wait_max": 30, **settings})
        transport = httpx2.MockTransport(script.handle)
        async with open_http(checked, transport) as http:
            auth = AccessToken(SecretStr(token), checked.instance_url or URL, TokenEndpoint(http, checked))
            yield Line(SalesforceClient(checked, auth, context, http), script, clock, budget, remembered)

    return opened
