"""What a storage offers that can be backed up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from crmsync.models.backups import BackupSummary, RestoreOptions


class BackupSource(Protocol):
    """A bookkeeping as lines of text, each without its line end, in a form of the storage's own."""

    async def dump(self, consume: Callable[[Iterator[bytes]], object]) -> BackupSummary:
        """Give the lines (each with its line end) of one moment to ``consume``, which runs in a worker thread.

        :raises StorageError: the storage failed. What ``consume`` raises passes through.
        """
        ...

    def verify(self, lines: Iterator[bytes]) -> BackupSummary:
        """Read the lines to their end.

        :raises StorageError: something is wrong with them.
        """
        ...

    async def load(self, lines: Callable[[], Iterator[bytes]], options: RestoreOptions) -> BackupSummary:
        """Store what the lines say, all or nothing. ``lines`` may be called more than once, in a worker thread.

        :raises StorageError: something is wrong with them, or there is something already, or the storage failed.
        """
        ...
