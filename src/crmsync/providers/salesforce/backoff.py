"""When a call is sent again, and after how long.

Retrying is tenacity's, which waits by the clock that it is given; stamina, its wrapper, waits by the event loop's own
time alone, so no fake clock could drive it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import tenacity

from crmsync.errors import CRMError, RateLimitedError, TransientError, UnavailableError
from crmsync.protocols.runtime import Clock
from crmsync.providers.salesforce.errors import is_used_up

_REMEMBERED: Final = 60.0

T = TypeVar("T")


class LostAnswerError(UnavailableError):
    """Nobody knows whether the request took effect, and it must not be sent again blindly."""


class BackOff:
    """Repeats what failed for a passing reason, waiting longer each time.

    Waits double from ``first`` to ``longest`` seconds, each with up to ``first`` seconds of jitter. What the server
    asks for is waited for instead; if that is longer than ``longest``, the error is raised at once.

    That the calls of 24 hours are used up is remembered for a minute, so that what waits its turn is not sent in vain.
    No longer, since the window slides: an owner that lives on finds out whether some came back.
    """

    def __init__(self, clock: Clock, *, attempts: int, first: float, longest: float) -> None:
        self._clock = clock
        self._used_up: CRMError | None = None
        self._since = clock.now()
        self._attempts = attempts
        self._first = first
        self._longest = longest
        self._doubling = tenacity.wait_exponential(multiplier=first, max=longest) + tenacity.wait_random(0, first)

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Call it until it succeeds, fails for good, or was called often enough."""

        async def heeded() -> T:
            self._require_calls()
            try:
                return await attempt()
            except CRMError as error:
                self.heed(error)
                raise

        retrying = tenacity.AsyncRetrying(
            sleep=self._clock.sleep,
            retry=tenacity.retry_if_exception(self._is_passing),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=self._seconds,
            reraise=True,
        )
        return await retrying(heeded)

    def heed(self, error: CRMError | None) -> None:
        """Take notice of what went wrong inside a call that was a success."""
        if is_used_up(error) and self._passed >= _REMEMBERED:
            self._used_up, self._since = error, self._clock.now()

    async def heed_parts(self, errors: Iterable[CRMError | None]) -> None:
        """Take notice of what went wrong with parts of a call that was a success; wait before they are sent again."""
        passing = [error for error in errors if isinstance(error, TransientError)]
        for error in passing:
            self.heed(error)
        if passing and not any(map(is_used_up, passing)):
            await self._clock.sleep(min(self._first, self._longest))

    @property
    def _passed(self) -> float:
        """Seconds since the calls were used up."""
        return (self._clock.now() - self._since).total_seconds() if self._used_up is not None else math.inf

    def _require_calls(self) -> None:
        """:raises RateLimitedError: there were none a moment ago."""
        if isinstance(self._used_up, RateLimitedError) and self._passed < _REMEMBERED:
            wait = max(0.0, (self._used_up.retry_after or 0.0) - self._passed)
            raise RateLimitedError(self._used_up.message, retry_after=wait)

    def _is_passing(self, error: BaseException) -> bool:
        if not isinstance(error, TransientError) or isinstance(error, LostAnswerError):
            return False
        return error.retry_after is None or error.retry_after <= self._longest

    def _seconds(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, TransientError) else None
        return self._doubling(state) if asked is None else asked


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds of a ``Retry-After`` header in either form (RFC 9110, 10.2.3); None if it is absent or unreadable.

    ``now`` is the server's time, which a date is meant by.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
