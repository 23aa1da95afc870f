"""What a memory store remembers of each record, and the order in which a reader sees it."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right, insort
from collections import deque
from datetime import UTC, datetime, timedelta

import attrs

from crmsync.errors import CursorExpiredError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@attrs.frozen(slots=True)
class RecordVersion:
    """One state of one record. Replaced, never changed, so a reader of an older state keeps it."""

    id: str
    fields: dict[str, object]
    key: str | None
    modified_at: datetime
    number: int
    by_self: bool
    deleted: bool = False
    merged_into: str | None = None


@attrs.frozen(slots=True)
class FeedPosition:
    """What a cursor says.

    ``restart`` is where the next pass begins (inclusive): the start of this pass less the look-back, because a record
    that was invisible when its page was read cannot be older than that. ``after`` is the last entry read within a pass,
    None between passes. ``live`` counts the live records delivered since the start of a pass that began at nothing.
    """

    generation: int
    restart: datetime | None
    after: tuple[datetime, str] | None = None
    live: int | None = None

    def encode(self) -> str:
        """The cursor."""
        restart = self.restart.isoformat() if self.restart else None
        after = [self.after[0].isoformat(), self.after[1]] if self.after else None
        return json.dumps([self.generation, restart, after, self.live], separators=(",", ":"))

    @classmethod
    def decode(cls, cursor: str) -> FeedPosition:
        """The position that a cursor says.

        :raises CursorExpiredError: no cursor of ours.
        """
        try:
            generation, restart, after, live = json.loads(cursor)
            return cls(
                int(generation),
                datetime.fromisoformat(restart) if restart else None,
                (datetime.fromisoformat(after[0]), str(after[1])) if after else None,
                None if live is None else int(live),
            )
        except (ValueError, TypeError, LookupError):
            msg = "the cursor is not one of this store's; read from the start"
            raise CursorExpiredError(msg) from None


class ChangeFeed:
    """What `changes` can see: the newest visible version of each record, in order of (modified_at, id)."""

    def __init__(self, late: timedelta) -> None:
        self._late = late
        self._versions: dict[str, RecordVersion] = {}
        self._order: list[tuple[datetime, str]] = []
        self._live: list[str] = []
        self._pending: deque[tuple[datetime, RecordVersion]] = deque()

    @property
    def live(self) -> int:
        """How many visible records are not deleted."""
        return len(self._live)

    def put(self, version: RecordVersion, now: datetime) -> None:
        """Take a new version, to be shown when it is due: one's own commits are seen at once, others' late."""
        if self._late and not version.by_self:
            self._pending.append((now + self._late, version))
        else:
            self._show(version)

    def settle(self, now: datetime) -> None:
        """Show what has become visible by now."""
        while self._pending and self._pending[0][0] <= now:
            self._show(self._pending.popleft()[1])

    def _show(self, version: RecordVersion) -> None:
        before = self._versions.get(version.id)
        if before is not None and before.number > version.number:
            return
        was_live = before is not None and not before.deleted
        if before is not None:
            del self._order[bisect_left(self._order, (before.modified_at, before.id))]
        if was_live and version.deleted:
            del self._live[bisect_left(self._live, version.id)]
        elif not was_live and not version.deleted:
            insort(self._live, version.id)
        self._versions[version.id] = version
        insort(self._order, (version.modified_at, version.id))

    def after(self, position: tuple[datetime, str]) -> int:
        """The index of the first entry after a position."""
        return bisect_right(self._order, position)

    def since(self, moment: datetime | None) -> int:
        """The index of the first entry stamped then or later; of the very first for None."""
        return bisect_left(self._order, (moment, "")) if moment else 0

    def slice(self, start: int, count: int) -> list[RecordVersion]:
        """Entries by index, tombstones among them."""
        return [self._versions[id_] for _, id_ in self._order[start : start + count]]

    def live_after(self, after: str, count: int) -> list[RecordVersion]:
        """Live versions in order of id."""
        start = bisect_right(self._live, after)
        return [self._versions[id_] for id_ in self._live[start : start + count]]

    def __len__(self) -> int:
        return len(self._order)
