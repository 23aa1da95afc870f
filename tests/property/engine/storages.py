"""How the bookkeeping at a URL is opened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any

from crmsync.protocols.repository import SyncRepository
from crmsync.registry import STORAGE, Registry

OPENERS: dict[str, Callable[[str], AbstractAsyncContextManager[SyncRepository]]] = {}
"""Those that the library does not have, by the kind of URL."""


def open_storage(url: str) -> AbstractAsyncContextManager[SyncRepository]:
    """The bookkeeping at a URL, by the entry points, as the library opens it, or by one of `OPENERS`."""
    kind = url.partition(":")[0]
    opened: AbstractAsyncContextManager[SyncRepository] = (OPENERS.get(kind) or _opener(kind))(url)
    return opened


@cache
def _opener(kind: str) -> Callable[[str], Any]:
    """Looked up once: it reads the metadata of every distribution that is installed."""
    opener: Callable[[str], Any] = Registry().load(STORAGE, kind)
    return opener
