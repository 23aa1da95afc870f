"""The real time."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present as aware UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)
