"""How many calls are on their way at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from crmsync.errors import TransientError


class Flight:
    """A limit on concurrent calls that gives way to pressure: halved when the org is too busy, regained one by one.

    An org refuses calls while more than 25 (5 in developer and trial orgs) have run for over 20 seconds ("API Request
    Limits and Allocations"), whoever made them, so no fixed number is right.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limiter = anyio.CapacityLimiter(most)
        self._shrinks = 0
        self._well = 0

    @property
    def width(self) -> int:
        """How many calls may be on their way now."""
        return int(self._limiter.total_tokens)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a place, and keep it for the body. How the body ends tells how busy the org is."""
        async with self._limiter:
            shrinks = self._shrinks
            try:
                yield
            except TransientError:
                # Calls that were refused together are one sign of pressure, not many.
                if shrinks == self._shrinks:
                    self._shrink()
                raise
            self._grow()

    def _shrink(self) -> None:
        self._shrinks += 1
        self._well = 0
        self._limiter.total_tokens = max(1, self.width // 2)

    def _grow(self) -> None:
        self._well += 1
        if self._well >= self.width and self.width < self._most:
            self._well = 0
            self._limiter.total_tokens = self.width + 1
