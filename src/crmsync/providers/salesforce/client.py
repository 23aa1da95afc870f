"""One connection to an org's REST API: budget, token, version, retries, errors, the server's clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

import anyio
import attrs
import httpx2

from crmsync.errors import (
    AuthenticationError,
    ConfigurationError,
    CRMError,
    ProviderError,
    SchemaChangedError,
    UnavailableError,
    UnexpectedResponseError,
)
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.runtime import Clock, JobLog, Turns
from crmsync.providers.log_redaction import protect_http_loggers
from crmsync.providers.salesforce import bodies
from crmsync.providers.salesforce.auth import Authorizer
from crmsync.providers.salesforce.backoff import BackOff, LostAnswerError, retry_after
from crmsync.providers.salesforce.clocks import date_of
from crmsync.providers.salesforce.errors import call_error
from crmsync.providers.salesforce.flight import Flight
from crmsync.providers.salesforce.limits import ApiUsage, CallsLeft, parse_limit_info, tightest
from crmsync.providers.salesforce.oauth import Access
from crmsync.providers.salesforce.pace import MEMORY as PACE
from crmsync.providers.salesforce.pace import Pace
from crmsync.providers.salesforce.settings import SalesforceSettings
from crmsync.providers.salesforce.tls import SHARED
from crmsync.providers.salesforce.versions import VersionInUse, offered

T = TypeVar("T")

Content: TypeAlias = bytes | Callable[[], AsyncIterator[bytes]]
"""A request's body: as it is, or a function that streams it, called anew for each attempt."""

_JSON: Final = "application/json; charset=utf-8"
_OK = frozenset({200, 201, 202, 204})
_DOWNLOADS: Final = 6
"""Connections for downloads, which are not counted among the calls: they may wait for one another."""
_REVOKING: Final = 45.0
"""Seconds that ending the tokens may take in all."""
_NO_SUCH_URL = frozenset({404, 410})

HEADERS: Final = {"User-Agent": f"crmsync/{version('crmsync')}", "Sforce-Call-Options": "client=crmsync"}
"""Of every request. The client's name comes back in the origin of change events, so that our own can be told."""


@attrs.frozen(slots=True)
class Answer:
    """A successful answer: parsed JSON (None if there is no body), and the server's time when it was given."""

    body: Any = attrs.field(repr=False)
    at: datetime


class SalesforceClient:
    """Sends requests to one org. Safe for concurrent calls."""

    def __init__(
        self, settings: SalesforceSettings, auth: Authorizer, context: ProviderContext, http: httpx2.AsyncClient
    ) -> None:
        self.settings = settings
        self.usage: ApiUsage | None = None
        self._auth = auth
        self._context = context
        self._http = http
        self._versions = VersionInUse(settings.api_version, context.memory, self._offered)
        self._ahead = timedelta(0)
        self.pace = Pace.decode(context.memory.get(PACE))
        self._flight = Flight(settings.concurrent_calls)
        self.back_off = BackOff(
            context.clock,
            attempts=context.retry_attempts,
            first=settings.retry_wait,
            longest=settings.retry_wait_max,
        )

    async def version(self) -> str:
        """The API version in use, such as ``68.0``: the newest that the org and this library both know.

        :raises ConfigurationError: they have none in common.
        """
        return await self._versions.in_use()

    async def _offered(self) -> list[int]:
        try:
            answer = await self.send("GET", "/services/data", repeatable=True)
        except SchemaChangedError:
            raise ConfigurationError("there is no Salesforce org at instance_url: it lists no API versions") from None
        return offered(answer.body)

    def remembered(self, name: str) -> str | None:
        """What an earlier connection found out."""
        return self._context.memory.get(name)

    def remember(self, name: str, value: str) -> None:
        """Spare the next connection a call."""
        self._context.memory[name] = value

    def forget(self) -> None:
        """Find out anew what an earlier connection remembered."""
        self._context.memory.clear()
        self._versions.forget()

    @property
    def clock(self) -> Clock:
        """The owner's time, for waits between calls."""
        return self._context.clock

    @property
    def jobs(self) -> JobLog:
        """The owner's log of jobs that outlive the process."""
        return self._context.jobs

    @property
    def turns(self) -> Turns:
        """Turns among the owner's processes. See `crmsync.providers.salesforce.orgs.exclusive`."""
        return self._context.turns

    async def access(self) -> Access:
        """The present token, and where it is used.

        :raises AuthenticationError: there is none to be had.
        """
        return await self._auth.access()

    @property
    def calls_left(self) -> CallsLeft:
        """The calls that are left, as far as somebody said."""
        return CallsLeft.of(self.usage, self._context.budget.left)

    def keep_pace(self, pace: Pace) -> None:
        """Go by a new measurement, and remember it for the next connection if it says something new."""
        self.pace = pace
        if pace.differs(Pace.decode(self._context.memory.get(PACE))):
            self._context.memory[PACE] = pace.encode()

    @property
    def ahead(self) -> timedelta:
        """How far the server's clock is ahead of ours, by the last answer; half of its way is in it."""
        return self._ahead

    def server_now(self) -> datetime:
        """The server's time, by the last answer's difference from ours."""
        return self._context.clock.now() + self._ahead

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: Content | None = None,
        content_type: str = _JSON,
        headers: Mapping[str, str] = MappingProxyType({}),
        repeatable: bool = True,
        prepaid: bool = False,
    ) -> Answer:
        """Send a request to ``/services/data/vXX.X`` + ``path``. See `send`.

        A URL that is not there may only mean that the version, remembered from an earlier connection, is not: then the
        request, which did nothing, is sent again with one that is.
        """
        used = await self.version()
        request = _Request(method, f"/services/data/v{used}{path}", params, content, repeatable, content_type, headers)
        try:
            return await self._sent(request, prepaid=prepaid)
        except _NoSuchUrlError as missing:
            if not await self._versions.replaced(used):
                raise missing.error from None
        moved = attrs.evolve(request, path=f"/services/data/v{await self.version()}{path}")
        return await self._named(self._sent(moved))

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: Content | None = None,
        content_type: str = _JSON,
        repeatable: bool,
        prepaid: bool = False,
    ) -> Answer:
        """Send a request, again if it failed for a passing reason.

        ``repeatable`` False: sending it twice may do it twice, so it is sent again only where it cannot have arrived.
        ``prepaid``: the first attempt was taken from the budget already.

        :raises BudgetExceededError: nothing was sent.
        """
        request = _Request(method, path, params, content, repeatable, content_type)
        return await self._named(self._sent(request, prepaid=prepaid))

    async def _sent(self, request: _Request, *, prepaid: bool = False) -> Answer:
        async def attempt() -> Answer:
            return await self._authorised(lambda access: self._once(request, access))

        return await self._again(attempt, prepaid=prepaid)

    async def _named(self, sending: Awaitable[T]) -> T:
        try:
            return await sending
        except _NoSuchUrlError as missing:
            raise missing.error from None

    async def download(
        self,
        path: str,
        consume: Callable[[Mapping[str, str], AsyncIterator[bytes]], Awaitable[T]],
        *,
        params: Mapping[str, str] | None = None,
    ) -> T:
        """GET something large below ``/services/data/vXX.X`` and hand its headers and its bytes to ``consume``.

        ``consume`` begins afresh each time: when the connection breaks on the way, it is called again.
        """
        path = f"/services/data/v{await self.version()}{path}"
        request = _Request("GET", path, params, None, repeatable=True)

        async def attempt() -> T:
            return await self._authorised(lambda access: self._streamed(request, access, consume))

        return await self._named(self._again(attempt, prepaid=False))

    async def _again(self, attempt_once: Callable[[], Awaitable[T]], *, prepaid: bool) -> T:
        paid = prepaid

        async def attempt() -> T:
            nonlocal paid
            if not paid:
                await self._context.budget.spend(1)
            paid = False
            return await attempt_once()

        return await self.back_off.run(attempt)

    async def revoke(self) -> bool:
        """End the connection's tokens at the CRM; False if there is none that is ours to end.

        Ending them twice does no harm, so it is tried again for a while.

        :raises ProviderError: the CRM could not be asked, or refused.
        """
        try:
            with anyio.fail_after(_REVOKING):
                return await self.back_off.run(self._auth.revoke)
        except TimeoutError:
            reason = "Salesforce did not answer in time"
        except CRMError as error:
            reason = error.message
        raise ProviderError(f"{reason}; revoke the app's access there yourself (Setup, OAuth Usage)")

    async def spend(self, calls: int) -> None:
        """Take the calls of several requests from the budget at once, for `call` with ``prepaid``."""
        await self._context.budget.spend(calls)

    async def _authorised(self, send: Callable[[Access], Awaitable[T]]) -> T:
        access = await self._auth.access()
        try:
            return await send(access)
        except AuthenticationError:
            if not await self._auth.renew(access):
                raise
        await self._context.budget.spend(1)
        return await send(await self._auth.access())

    async def _once(self, request: _Request, access: Access) -> Answer:
        headers = {"Authorization": access.header, "Accept": "application/json", **request.headers}
        if request.content is not None:
            headers["Content-Type"] = request.content_type
        content = request.content() if callable(request.content) else request.content
        limit = self.settings.max_answer_mb << 20
        async with self._flight.slot():
            await self._context.permit.confirm()
            began = self._context.clock.now()
            with self._reaching(request):
                url = access.instance_url + request.path
                async with self._http.stream(
                    request.method, url, params=request.params, content=content, headers=headers
                ) as response:
                    if response.status_code not in _OK:
                        raise await self._failure(request, response)
                    answer = self._answer(response, await bodies.read(response, limit))
        if content is None:
            self.keep_pace(self.pace.with_call((self._context.clock.now() - began).total_seconds()))
        return answer

    async def _streamed(
        self,
        request: _Request,
        access: Access,
        consume: Callable[[Mapping[str, str], AsyncIterator[bytes]], Awaitable[T]],
    ) -> T:
        headers = {"Authorization": access.header, "Accept": "text/csv"}
        url = access.instance_url + request.path
        async with self._flight.slot():
            with self._reaching(request):
                async with self._http.stream("GET", url, params=request.params, headers=headers) as response:
                    if response.status_code not in _OK:
                        raise await self._failure(request, response)
                    self._observe(response.headers.get("Sforce-Limit-Info", ""))
                    return await consume(response.headers, response.aiter_bytes())

    @contextmanager
    def _reaching(self, request: _Request) -> Iterator[None]:
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise UnavailableError(f"Salesforce cannot be reached: {type(error).__name__}") from None
        except httpx2.TimeoutException:
            raise self._lost(request, "Salesforce did not answer in time") from None
        except (httpx2.HTTPError, OSError):
            raise self._lost(request, "the connection to Salesforce broke") from None

    def _answer(self, response: httpx2.Response, content: bytes) -> Answer:
        self._observe(response.headers.get("Sforce-Limit-Info", ""))
        try:
            body = bodies.parse(content)
        except ValueError:
            raise UnexpectedResponseError(
                f"Salesforce answered {response.status_code} with something that is no JSON"
            ) from None
        now = self._context.clock.now()
        at = date_of(response.headers.get("Date")) or now
        self._ahead = at - now
        return Answer(body, at)

    async def _failure(self, request: _Request, response: httpx2.Response) -> Exception:
        self._observe(response.headers.get("Sforce-Limit-Info", ""))
        status = response.status_code
        if response.is_redirect:
            return ConfigurationError(
                f"Salesforce answered {status} and sends elsewhere; the token does not follow: correct instance_url"
            )
        at = date_of(response.headers.get("Date")) or self._context.clock.now()
        wait = retry_after(response.headers.get("Retry-After"), at)
        error = call_error(status, await bodies.read_error(response), wait)
        if isinstance(error, UnavailableError):
            return self._lost(request, error.message, wait)
        return _NoSuchUrlError(error) if status in _NO_SUCH_URL else error

    def _lost(self, request: _Request, message: str, wait: float | None = None) -> UnavailableError:
        return (UnavailableError if request.repeatable else LostAnswerError)(message, retry_after=wait)

    def _observe(self, header: str) -> None:
        usage = tightest(parse_limit_info(header))
        if usage:
            self.usage = usage
            self._context.budget.observe(usage.used, usage.limit)


class _NoSuchUrlError(Exception):
    """The org has nothing at a URL: what was asked for, or the whole API version."""

    def __init__(self, error: CRMError) -> None:
        super().__init__(error.message)
        self.error = error


@attrs.frozen(slots=True)
class _Request:
    method: str
    path: str
    params: Mapping[str, str] | None = attrs.field(repr=False)
    content: Content | None = attrs.field(repr=False)
    repeatable: bool
    content_type: str = _JSON
    headers: Mapping[str, str] = MappingProxyType({})


@asynccontextmanager
async def open_http(
    settings: SalesforceSettings, transport: httpx2.AsyncBaseTransport | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    """Open the HTTP client of a connection; ``transport`` replaces the network, for tests."""
    protect_http_loggers()
    async with httpx2.AsyncClient(
        headers=HEADERS,
        timeout=settings.timeout,
        follow_redirects=False,
        transport=transport,
        verify=SHARED.current() if transport is None else True,
        limits=httpx2.Limits(max_connections=settings.concurrent_calls + _DOWNLOADS),
    ) as http:
        yield http
