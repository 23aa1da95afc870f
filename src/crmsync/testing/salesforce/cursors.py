"""Query cursors: the rest of a result, held for the pages to come.

Ten of a user's cursors live at a time, each for fifteen minutes after its last use ("SOQL and SOSL Reference", pages on
query cursors); opening an eleventh closes the oldest.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from attrs import define, evolve, field, frozen

from crmsync.testing.salesforce.ids import make_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crmsync.testing.salesforce.store import Row

IDLE_LIFE: Final = timedelta(minutes=15)
CURSORS_A_USER: Final = 10


@frozen(kw_only=True)
class Cursor:
    """A query's whole result with the way to show a row. ``batch_size`` is that of the first page."""

    user_id: str
    rows: Sequence[Row]
    show: Callable[[Row], dict[str, Any]]
    batch_size: int
    used_at: datetime


@define
class Cursors:
    """The open cursors of an org, least recently used first."""

    _open: OrderedDict[str, Cursor] = field(factory=OrderedDict)
    _serial: int = 0

    def open(self, cursor: Cursor) -> str:
        """Hold a cursor and return its eighteen-character locator."""
        self._serial += 1
        locator = make_id("01g", self._serial)
        self._open[locator] = cursor
        own = [key for key, held in self._open.items() if held.user_id == cursor.user_id]
        for key in own[:-CURSORS_A_USER]:
            del self._open[key]
        return locator

    def resume(self, locator: str, user_id: str, now: datetime) -> Cursor | None:
        """Return an open cursor of the user, whose idle time begins anew."""
        held = self._open.get(locator)
        if held is None or held.user_id != user_id:
            return None
        if now - held.used_at > IDLE_LIFE:
            del self._open[locator]
            return None
        self._open[locator] = evolve(held, used_at=now)
        self._open.move_to_end(locator)
        return held
