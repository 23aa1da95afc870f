"""The Salesforce CLI as the network of a connection, where only the CLI may reach the org.

Every request of the provider goes through `requests.send`. Measured on two cores, against an emulator without latency,
with sf 2.150.6: a request takes 1.0 s, and with it 200 records are written or 2,000 are read. The CLI's own verbs are
no faster for that (``data query`` 1.4 s, ``data upsert bulk`` 1.4 to 2.3 s), and with them would be lost what the
provider relies on: the server's clock, deleted records (``queryAll`` with its keyset, ``getDeleted``), one outcome a
row in one call, and the id of a bulk job before it is given its rows, so that a crash forgets none. Where a job is
worth it the provider makes one all the same, with the same requests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
import attrs
import httpx2
from pydantic import SecretStr

from crmsync.errors import UnavailableError
from crmsync.models.secrets import Secret
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.runtime import CallBudget
from crmsync.providers.salesforce.auth import AccessToken
from crmsync.providers.salesforce.oauth import Access
from crmsync.providers.salesforce.settings import KNOWN_TO_THE_CLI, SalesforceSettings
from crmsync.providers.salesforce.sf.process import SfProcess, open_sf
from crmsync.providers.salesforce.sf.requests import CALLS_BY_LOGIN, CALLS_BY_TOKEN, send

PROCESSES: Final = 4
"""Commands at once: each is a Node.js of about 175 MB that keeps a core busy for most of a second."""
_OWN_VERSION: Final = "60.0"
"""For the CLI's own requests: a version that every org has. The provider's name theirs in the path."""
_NOT_PASSED_ON: Final = frozenset({"authorization", "host", "user-agent", "accept-encoding", "connection"})
_BY_THE_CLI: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class SfTransport(httpx2.AsyncBaseTransport):
    """Sends requests by the CLI, whatever the host of their URLs: the org is the one that the process is set up for."""

    def __init__(self, sf: SfProcess) -> None:
        self._sf = sf
        self._limiter = anyio.CapacityLimiter(PROCESSES)
        self._lock = anyio.Lock()
        self._has_run = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request.

        :raises ProviderError: the CLI cannot be run, or not sign in.
        """
        async with self._lock:
            # In an empty home directory the CLI makes its key, and two that make one at once lose a login.
            if not self._has_run:
                answer = await self._send(request)
                self._has_run = True
                return answer
        async with self._limiter:
            return await self._send(request)

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        headers.pop("content-length", None)
        headers.pop("transfer-encoding", None)
        body = await request.aread()
        try:
            answer = await send(
                self._sf, request.method, request.url.raw_path.decode("ascii"), headers=headers, body=body
            )
        except UnavailableError as error:
            raise httpx2.ReadError(error.message, request=request) from None
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _BY_THE_CLI}
        return httpx2.Response(answer.status, headers=kept, content=answer.body, request=request)


class CliSession:
    """An `Authorizer` that adds no token: the CLI adds its own, and renews it, or the one that it was ``given``."""

    def __init__(self, settings: SalesforceSettings, given: AccessToken | None = None) -> None:
        self._access = Access(Secret("held-by-the-cli"), settings.instance_url or KNOWN_TO_THE_CLI)
        self._given = given

    async def access(self) -> Access:
        """See `Authorizer`."""
        return self._access

    async def renew(self, refused: Access) -> bool:
        """See `Authorizer`."""
        return False

    async def revoke(self) -> bool:
        """See `Authorizer`. A login that the CLI has stored is its own, and stays."""
        return False if self._given is None else await self._given.revoke()

    async def aclose(self) -> None:
        """See `Authorizer`."""


class _Budget:
    """Counts the CLI's own calls with ours."""

    def __init__(self, inner: CallBudget, calls_a_request: int) -> None:
        self._inner = inner
        self._calls = calls_a_request

    @property
    def used(self) -> int:
        return self._inner.used

    @property
    def left(self) -> int | None:
        left = self._inner.left
        return None if left is None else left // self._calls

    async def spend(self, calls: int = 1) -> None:
        await self._inner.spend(calls * self._calls)

    def observe(self, used: int, limit: int) -> None:
        self._inner.observe(used, limit)


def counting(context: ProviderContext, access_token: SecretStr | None = None) -> ProviderContext:
    """The context of a connection whose every request takes the CLI's own calls besides."""
    calls = CALLS_BY_LOGIN if access_token is None else CALLS_BY_TOKEN
    return attrs.evolve(context, budget=_Budget(context.budget, calls))


def environment_of(settings: SalesforceSettings, access_token: SecretStr | None) -> dict[str, str]:
    """Which org the CLI's commands are for: that of the token, which it keeps nowhere, else ``sf.org``."""
    environment = {"SF_ORG_API_VERSION": settings.api_version or _OWN_VERSION}
    if access_token is not None:
        # "SF_TARGET_ORG" takes a token as well as a user name, and keeps it off the command line.
        environment["SF_TARGET_ORG"] = access_token.get_secret_value()
        environment["SF_ORG_INSTANCE_URL"] = settings.instance_url or ""
    elif settings.sf.org:
        environment["SF_TARGET_ORG"] = settings.sf.org
    return environment


@asynccontextmanager
async def open_transport(
    settings: SalesforceSettings, access_token: SecretStr | None = None
) -> AsyncIterator[SfTransport]:
    """The CLI as a transport.

    :raises ConfigurationError: the CLI is not there, or its home directory cannot be used.
    """
    async with open_sf(settings.sf, environment_of(settings, access_token)) as sf:
        yield SfTransport(sf)
