"""The part of the bookkeeping through which keys are rotated: the sealed texts of all integrations, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs


@attrs.frozen(slots=True)
class SealedText:
    """An integration's ``credentials`` as they are stored."""

    integration_id: str
    text: str = attrs.field(repr=False)


@attrs.frozen(slots=True)
class SealedChange:
    """A text to put in the place of another."""

    integration_id: str
    before: str = attrs.field(repr=False)
    after: str = attrs.field(repr=False)


class SealedTexts(Protocol):
    """Reads no more than a page at once and keeps nobody out in between."""

    async def scan_sealed(self, *, after: str = "", limit: int = 500) -> list[SealedText]:
        """The texts of integrations with an id > after, ordered by it."""
        ...

    async def replace_sealed(self, changes: Sequence[SealedChange]) -> set[str]:
        """Replace each text that is still the one ``before``, all in one transaction; nothing else changes.

        Returns the ids of those that were replaced. Another process has written, or deleted, the others meanwhile.
        """
        ...
