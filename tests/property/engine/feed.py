"""How a bad feed delivers what a side says changed."""

from __future__ import annotations

import attrs

from crmsync.models.records import ChangePage, Record
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
