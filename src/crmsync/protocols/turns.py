"""The contract of turns that all integrations of a bookkeeping share: an optional power of a `SyncRepository`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable


@runtime_checkable
class TurnRepository(Protocol):
    """One owner at a time under each name, whatever integrations there are. A name belongs to none of them.

    A turn fences nothing in the bookkeeping: it is for what is done elsewhere. A `SyncRepository` without this power
    lets the processes of one integration take turns, by its leases, but not two integrations with one org.

    Everything raises `StorageError` when the storage fails. Times are aware UTC. Methods are safe for concurrent calls.
    """

    async def take_turn(self, turn: str, owner: str, *, now: datetime, ttl: timedelta) -> bool:
        """Take the turn, or keep it for longer; False if another owner has it, whose time is not over.

        ``turn`` is any text of up to 64 characters, ``owner`` an id that nobody else ever had.
        """
        ...

    async def end_turn(self, turn: str, owner: str) -> None:
        """Give it up; does nothing if the owner does not have it."""
        ...
