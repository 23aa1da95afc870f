"""One connection to an org's REST API: budget, token, retries, errors, the server's clock."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeAlias, TypeVar

import anyio
import attrs
import httpx2
import stamina

from crmsync.errors import (
    AuthenticationError,
    ConfigurationError,
    RateLimitedError,
    TransientError,
    UnavailableError,
    UnexpectedResponseError,
)
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.runtime import Clock
from crmsync.providers.salesforce.auth import Authorizer
from crmsync.providers.salesforce.errors import call_error
from crmsync.providers.salesforce.limits import ApiUsage, parse_limit_info
from crmsync.providers.salesforce.oauth import Access
from crmsync.providers.salesforce.settings import SalesforceSettings

NEWEST_VERSION: Final = 68
"""Winter '27, the newest API version that this library was written for."""
OLDEST_VERSION: Final = 46
"""The first with collection upserts, and with the answers to an upsert that we rely on."""

T = TypeVar("T")

Content: TypeAlias = bytes | Callable[[], AsyncIterator[bytes]]
"""A request's body: as it is, or a function that streams it, called anew for each attempt."""

_JSON: Final = "application/json; charset=utf-8"
_VERSION: Final = "api_version"
_OK = frozenset({200, 201, 202, 204})


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
        self._version = settings.api_version
        self._version_lock = anyio.Lock()
        self._ahead = timedelta(0)

    async def version(self) -> str:
        """The API version in use, such as ``68.0``: the newest that the org and this library both know.

        :raises ConfigurationError: the org is too old, or lacks the version that the settings ask for.
        """
        async with self._version_lock:
            if self._version is None:
                self._version = self._context.memory.get(_VERSION) or await self._negotiate()
                self._context.memory[_VERSION] = self._version
            return self._version

    def remembered(self, name: str) -> str | None:
        """What an earlier connection found out."""
        return self._context.memory.get(name)

    def remember(self, name: str, value: str) -> None:
        """Spare the next connection a call."""
        self._context.memory[name] = value

    def forget(self) -> None:
        """Find out anew what an earlier connection remembered."""
        self._context.memory.clear()
        self._version = self.settings.api_version

    async def _negotiate(self) -> str:
        answer = await self.send("GET", "/services/data", repeatable=True)
        try:
            offered = [int(str(entry["version"]).partition(".")[0]) for entry in answer.body]
            chosen = max(version for version in offered if version <= NEWEST_VERSION)
        except (KeyError, TypeError, ValueError) as error:
            raise UnexpectedResponseError("Salesforce's list of API versions is not as documented") from error
        if chosen < OLDEST_VERSION:
            raise ConfigurationError(f"the org offers API version {chosen}.0 at most; {OLDEST_VERSION}.0 is needed")
        return f"{chosen}.0"

    @property
    def clock(self) -> Clock:
        """The owner's time, for waits between calls."""
        return self._context.clock

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
        repeatable: bool = True,
        prepaid: bool = False,
    ) -> Answer:
        """Send a request to ``/services/data/vXX.X`` + ``path``. See `send`."""
        prefix = f"/services/data/v{await self.version()}"
        return await self.send(
            method,
            prefix + path,
            params=params,
            content=content,
            content_type=content_type,
            repeatable=repeatable,
            prepaid=prepaid,
        )

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

        async def attempt() -> Answer:
            return await self._authorised(lambda access: self._once(request, access))

        return await self._again(attempt, prepaid=prepaid)

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

        return await self._again(attempt, prepaid=False)

    async def _again(self, attempt_once: Callable[[], Awaitable[T]], *, prepaid: bool) -> T:
        first = prepaid
        async for attempt in stamina.retry_context(
            on=self._wait,
            attempts=self._context.retry_attempts,
            timeout=None,
            wait_initial=self.settings.retry_wait,
            wait_max=self.settings.retry_wait_max,
            wait_jitter=self.settings.retry_wait,
        ):
            with attempt:
                if not first:
                    await self._context.budget.spend(1)
                first = False
                return await attempt_once()
        raise AssertionError("unreachable")

    async def revoke(self) -> bool:
        """End the connection's tokens at the CRM; False if there is none that is ours to end.

        :raises ProviderError: the CRM could not be asked, or refused.
        """
        return await self._auth.revoke()

    async def spend(self, calls: int) -> None:
        """Take the calls of several requests from the budget at once, for `call` with ``prepaid``."""
        await self._context.budget.spend(calls)

    def _wait(self, error: Exception) -> bool | float:
        if not isinstance(error, TransientError) or isinstance(error, LostAnswerError):
            return False
        if isinstance(error, RateLimitedError) and error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.settings.retry_wait_max else False
        return True

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
        headers = {"Authorization": access.header, "Accept": "application/json"}
        if request.content is not None:
            headers["Content-Type"] = request.content_type
        content = request.content() if callable(request.content) else request.content
        with self._reaching(request):
            response = await self._http.request(
                request.method,
                access.instance_url + request.path,
                params=request.params,
                content=content,
                headers=headers,
            )
        return self._answer(request, response)

    async def _streamed(
        self,
        request: _Request,
        access: Access,
        consume: Callable[[Mapping[str, str], AsyncIterator[bytes]], Awaitable[T]],
    ) -> T:
        headers = {"Authorization": access.header, "Accept": "text/csv"}
        url = access.instance_url + request.path
        with self._reaching(request):
            async with self._http.stream("GET", url, params=request.params, headers=headers) as response:
                if response.status_code in _OK:
                    self._observe(response.headers.get("Sforce-Limit-Info", ""))
                    return await consume(response.headers, response.aiter_bytes())
                await response.aread()
        self._answer(request, response)
        raise UnexpectedResponseError("Salesforce answered a download with nothing to read")

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

    def _answer(self, request: _Request, response: httpx2.Response) -> Answer:
        self._observe(response.headers.get("Sforce-Limit-Info", ""))
        status = response.status_code
        if status in _OK:
            try:
                body = json.loads(response.content, parse_float=Decimal) if response.content.strip() else None
            except ValueError:
                raise UnexpectedResponseError(f"Salesforce answered {status} with something that is no JSON") from None
            now = self._context.clock.now()
            at = _date(response.headers.get("Date"), now)
            self._ahead = at - now
            return Answer(body, at)
        if response.is_redirect:
            raise ConfigurationError(
                f"Salesforce answered {status} and sends elsewhere; the token does not follow: correct instance_url"
            )
        error = call_error(status, response.content, _seconds(response.headers.get("Retry-After")))
        if isinstance(error, UnavailableError):
            raise self._lost(request, error.message)
        raise error

    def _lost(self, request: _Request, message: str) -> UnavailableError:
        return UnavailableError(message) if request.repeatable else LostAnswerError(message)

    def _observe(self, header: str) -> None:
        usage = parse_limit_info(header).get("api-usage")
        if usage:
            self.usage = usage
            self._context.budget.observe(usage.used, usage.limit)


class LostAnswerError(UnavailableError):
    """Nobody knows whether the request took effect, and it must not be sent again blindly."""


@attrs.frozen(slots=True)
class _Request:
    method: str
    path: str
    params: Mapping[str, str] | None = attrs.field(repr=False)
    content: Content | None = attrs.field(repr=False)
    repeatable: bool
    content_type: str = _JSON


class _HideQueries(logging.Filter):
    """Takes the query string, and with it record values, out of httpx2's log line of a request to Salesforce."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_without_query(argument) for argument in record.args)
        return True


def _without_query(argument: object) -> object:
    if isinstance(argument, httpx2.URL) and argument.path.startswith("/services/"):
        return argument.copy_with(query=None)
    return argument


_HIDE_QUERIES = _HideQueries()


@asynccontextmanager
async def open_http(
    settings: SalesforceSettings, transport: httpx2.AsyncBaseTransport | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    """Open the HTTP client of a connection; ``transport`` replaces the network, for tests."""
    logging.getLogger("httpx2").addFilter(_HIDE_QUERIES)
    async with httpx2.AsyncClient(
        timeout=settings.timeout,
        follow_redirects=False,
        transport=transport,
        limits=httpx2.Limits(max_connections=10),
    ) as http:
        yield http


def _date(header: str | None, default: datetime) -> datetime:
    try:
        moment = parsedate_to_datetime(header or "")
    except ValueError:
        return default
    return moment if moment.tzinfo else default


def _seconds(header: str | None) -> float | None:
    """Seconds of ``Retry-After``; its date form is rare and counts as not given."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if timedelta(0) <= timedelta(seconds=seconds) else None
