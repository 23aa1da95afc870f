"""A pass that is begun while the one before it is still written: it is read and looked up, and nothing more.

The pass before has handed over all that it reads, so that there is hardly anything to wait for but its own writes. What
those, and what it learns of records, make outdated is told to a `Foresight` from the first page on, and asked for again
once the turn has come. Only full pages are taken from before: what the other pass writes is shown by those after them,
and is still met in this run, as it is without a head start.
"""

from __future__ import annotations

import anyio
import attrs

from crmsync.engine.foresight import Foresight
from crmsync.models.events import PageRead
from crmsync.models.records import ChangePage, Side


@attrs.define(slots=True, eq=False)
class HeadStart:
    """Before a pass's turn, and when that comes. ``others`` hears what is written and acknowledged until then."""

    side: Side
    others: Foresight = attrs.field(factory=Foresight)
    _turn: anyio.Event = attrs.field(factory=anyio.Event)
    _outdated: set[str] = attrs.field(factory=set)
    _events: list[PageRead] = attrs.field(factory=list)

    @property
    def is_over(self) -> bool:
        """Whether the turn has come."""
        return self._turn.is_set()

    async def over(self) -> None:
        """Wait for the turn."""
        await self._turn.wait()

    def end(self) -> tuple[set[str], list[PageRead]]:
        """It is the pass's turn: its records that others had to do with, and what observers are to be told."""
        self._outdated = self.others.touched(self.side)
        self._turn.set()
        return self._outdated, self._events

    def hold(self, event: PageRead) -> bool:
        """Whether an event is kept until the turn: if that never comes, nobody hears of it."""
        if not self.is_over:
            self._events.append(event)
        return not self.is_over

    async def keeps(self, page: ChangePage) -> bool:
        """Whether a page that was asked for before the turn may be used; False, after the turn: read it again.

        The last one does not show what was written since, nor is somebody deleted who was created anew.
        """
        if page.has_more and not any(record.deleted for record in page.records):
            return True
        await self.over()
        return not self._outdated
