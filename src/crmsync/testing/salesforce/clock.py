"""The org's time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from attrs import define


def utc_now() -> datetime:
    """Return the real time, aware, UTC."""
    return datetime.now(UTC)


@define
class Clock:
    """Time from a source, set forward at will."""

    source: Callable[[], datetime] = utc_now
    _offset: timedelta = timedelta()

    def now(self) -> datetime:
        """Return the time: aware, UTC."""
        return self.source().astimezone(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Set the clock forward."""
        self._offset += timedelta(seconds=seconds)
