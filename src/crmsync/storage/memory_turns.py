"""Turns, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmsync.storage import admission

if TYPE_CHECKING:
    from datetime import datetime, timedelta


class MemoryTurns:
    """The `TurnRepository` part of a repository in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._turns: dict[str, tuple[str, datetime]] = {}

    async def take_turn(self, turn: str, owner: str, *, now: datetime, ttl: timedelta) -> bool:
        """See `TurnRepository`."""
        holder, expires_at = self._turns.get(turn, (owner, now))
        if holder != owner and expires_at > now:
            return False
        self._turns[turn] = (owner, admission.as_utc(now + ttl))
        return True

    async def end_turn(self, turn: str, owner: str) -> None:
        """See `TurnRepository`."""
        if turn in self._turns and self._turns[turn][0] == owner:
            del self._turns[turn]
