"""The file: ``{"people": {"<id>": {"email": ..., "markmail_id": ...}}}``, read and replaced as a whole."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import anyio
import anyio.to_thread

from crmsync.errors import UnavailableError, UnexpectedResponseError

People: TypeAlias = dict[str, dict[str, Any]]
T = TypeVar("T")


class Document:
    """One file, which several connections may use at once.

    File operations block, so they run in a worker thread: a provider never stalls the event loop.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> People:
        """What the file holds now."""
        return await anyio.to_thread.run_sync(self._read)

    async def change(self, change: Callable[[People], T]) -> T:
        """Let ``change`` edit the people and store what it leaves, while nobody else writes."""
        return await anyio.to_thread.run_sync(self._change, change)

    def _read(self) -> People:
        try:
            people = json.loads(self._path.read_bytes())["people"]
        except OSError as error:
            # Transient: crmsync may try again. The message holds no content of the file.
            raise UnavailableError("the CRM's file cannot be read") from error
        except (ValueError, KeyError, TypeError):
            raise UnexpectedResponseError("the CRM's file is damaged") from None
        if not isinstance(people, dict) or not all(isinstance(person, dict) for person in people.values()):
            raise UnexpectedResponseError("the CRM's file is damaged")
        return people

    def _change(self, change: Callable[[People], T]) -> T:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            people = self._read()
            result = change(people)
            # Whoever reads meanwhile sees the old file or the new one, never half of it.
            written = self._path.with_suffix(".tmp")
            try:
                written.write_text(json.dumps({"people": people}, indent=1), encoding="utf-8")
                written.replace(self._path)
            except OSError as error:
                raise UnavailableError("the CRM's file cannot be written") from error
            return result
