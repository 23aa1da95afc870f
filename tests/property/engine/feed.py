"""How a bad feed delivers what a side says changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from crmsync.models.records import ChangePage, Record
from tests.property.engine.incidents import PassingOn
from tests.property.engine.sites import Conditions


@attrs.define
class Feed:
    """A side's pages as a bad feed delivers them."""

    conditions: Conditions
    _before: tuple[Record, ...] = ()

    def shown(self, page: ChangePage) -> ChangePage:
        """The page that comes next."""
        records: tuple[Record, ...] = tuple(page.records)
        if self.conditions.backwards:
            records = records[::-1]
        if self.conditions.doubled:
            again, self._before = self._before, records if page.has_more else ()
            records = (*again, *records, *records)
        return attrs.evolve(page, records=records)


class Fed(PassingOn):
    """A store whose changes come by a feed."""

    def __init__(self, store: Any, feed: Feed) -> None:
        self._store, self._feed = store, feed
        super().__init__(store)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._store, attribute)

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        """The page, as the feed has it."""
        return self._feed.shown(await self._store.changes(cursor, fields=fields, limit=limit))
