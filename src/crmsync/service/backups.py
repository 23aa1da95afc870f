"""Backup and restore of the bookkeeping: one file under the vault's key, for SQLite and PostgreSQL alike.

    async with open_maintenance("sqlite:///crmsync.db") as database:
        await back_up(database, vault, "s3://backups/crmsync/monday")

A backup is the lines that the database writes (see `crmsync.storage.sql.snapshot`), compressed by zlib, in a
`crmsync.security.sealed_stream`. Everything streams: memory does not grow with the bookkeeping.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

import anyio.to_thread
import attrs

from crmsync.errors import StorageError
from crmsync.models.backups import BackupSummary, RestoreOptions
from crmsync.protocols.backups import BackupSource
from crmsync.security.sealed_stream import opened, sealed
from crmsync.security.vault import Vault
from crmsync.storage import backup_places

_INFLATED: Final = 1 << 20
_LONGEST_LINE: Final = 1 << 25
"""Bytes of one row. A longer one is none that a bookkeeping holds."""


async def back_up(database: BackupSource, vault: Vault, place: str) -> BackupSummary:
    """Write a backup to a new file, or to ``s3://bucket/key``. It shows one moment; syncs may go on meanwhile.

    :raises StorageError: the place is taken or cannot be written, or the database failed.
    :raises VaultError: the vault's first key cannot be used.
    :raises ConfigurationError: the place is neither a path nor ``s3://bucket/key``.
    :raises MissingExtraError: the extra ``backup`` is not installed.
    """
    return await database.dump(lambda lines: backup_places.write(place, sealed(vault, compressed(lines))))


async def restore(
    database: BackupSource, vault: Vault, place: str, options: RestoreOptions | None = None
) -> BackupSummary:
    """Put a backup into a database: into an empty one, unless ``options`` say to replace what is there.

    The backup is read twice: once to see that it is whole, then to restore it. Syncs are paused after it, unless
    ``options`` say otherwise: look at a plan, then resume.

    :raises StorageError: it is damaged, incomplete, of a newer crmsync, or not there; or the database is not empty.
    :raises VaultError: its key is not among the vault's.
    :raises ConfigurationError: see `back_up`.
    :raises MissingExtraError: see `back_up`.
    """
    return await database.load(partial(_lines_at, vault, place), options or RestoreOptions())


async def inspect_backup(database: BackupSource, vault: Vault, place: str) -> BackupSummary:
    """Read a backup to its end, and restore nothing.

    :raises StorageError: it is damaged, incomplete, of a newer crmsync, or not there.
    :raises VaultError: its key is not among the vault's.
    """
    return await anyio.to_thread.run_sync(lambda: database.verify(_lines_at(vault, place)))


def compressed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines as one zlib stream."""
    compressor = zlib.compressobj()
    for line in lines:
        if part := compressor.compress(line):
            yield part
    yield compressor.flush()


def inflated_lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a zlib stream, in flat memory whatever it claims to hold.

    :raises StorageError: it is no such stream, or ends early.
    """
    inflater, rest = zlib.decompressobj(), _Rest()
    for part in parts:
        while part and not inflater.eof:
            try:
                more = inflater.decompress(part, _INFLATED)
            except zlib.error:
                raise _damaged() from None
            part = inflater.unconsumed_tail  # noqa: PLW2901  (what is left of it)
            yield from rest.lines_with(more)
    if not inflater.eof or inflater.unused_data or rest.size:
        raise _damaged()


@attrs.define(slots=True)
class _Rest:
    """The beginning of a line whose end did not come yet."""

    _pieces: list[bytes] = attrs.field(factory=list)
    size: int = 0

    def lines_with(self, more: bytes) -> list[bytes]:
        """The lines that come to their end with more bytes.

        :raises StorageError: a line is longer than any row.
        """
        *lines, rest = more.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._pieces, lines[0]))
            self._pieces, self.size = [], 0
        self._pieces.append(rest)
        self.size += len(rest)
        if self.size > _LONGEST_LINE:
            raise _damaged()
        return lines


def _lines_at(vault: Vault, place: str) -> Iterator[bytes]:
    return inflated_lines(opened(vault, backup_places.read(place)))


def _damaged() -> StorageError:
    return StorageError("the backup is damaged or incomplete: nothing was restored; take another copy of it")
