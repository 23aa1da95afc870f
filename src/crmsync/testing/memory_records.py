"""A record store in memory with a real change feed, and knobs for everything that real stores do badly.

Nothing here is patched in a test: a store that truncates, refuses rows, commits late or hides fields is made by its
constructor, and `add`, `edit` and `remove` are what another user of the same store does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import anyio.lowlevel
import attrs

from crmsync.errors import (
    CRMError,
    CursorExpiredError,
    DuplicateError,
    RecordError,
)
from crmsync.models.records import (
    ChangePage,
    Operation,
    OperationKind,
    Outcome,
    OutcomeStatus,
    Record,
    StoreLimits,
)
from crmsync.models.schema import ObjectSchema
from crmsync.testing.change_feed import EPOCH, ChangeFeed, FeedPosition, RecordVersion
from crmsync.testing.record_table import RecordTable
from crmsync.testing.stored_fields import StoredFields


class TellsTime(Protocol):
    """The part of a `crmsync.protocols.runtime.Clock` that a store needs."""

    def now(self) -> datetime:
        """The present as aware UTC."""
        ...


class _SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class MemoryRecordStore:
    """A `RecordStore` in memory.

    Every write stamps ``modified_at`` (cut to ``limits.time_precision``; one stamp for a whole `write`), so ties are
    ordinary. Deletes stay in the feed as tombstones. With ``limits.change_feed`` False every pass is a scan in order of
    id whose last page is a ``complete_scan``, and deletes show by absence. A requested field that a record does not
    hold is None, one of ``hidden`` is absent.

    ``lossy`` maps a field to what the store makes of a value (not called for None); ``reject`` answers the error with
    which it refuses an operation, ``leave`` those of the fields that it leaves as they are; ``late`` is how long after
    its stamp a change by others becomes visible to `changes`;
    ``returns_stored`` False leaves ``Outcome.stored`` out. ``schema`` None takes every field.

    `write` is "self": what it stores has ``modified_by_self`` True; `add`, `edit` and `remove` leave False.
    """

    def __init__(
        self,
        name: str = "subscribers",
        *,
        clock: TellsTime | None = None,
        limits: StoreLimits | None = None,
        schema: ObjectSchema | None = None,
        id_prefix: str = "r",
        lossy: Mapping[str, Callable[[object], object]] | None = None,
        reject: Callable[[Operation], CRMError | None] | None = None,
        leave: Callable[[Operation], Sequence[RecordError]] | None = None,
        late: timedelta = timedelta(0),
        hidden: Collection[str] = (),
        returns_stored: bool = True,
    ) -> None:
        self._clock = clock or _SystemClock()
        self._limits = limits or StoreLimits(accepts_ids=True)
        self._name = name
        self._fields = StoredFields(schema or ObjectSchema(name=name, open=True), dict(lossy or {}), frozenset(hidden))
        self._id_prefix = id_prefix
        self._reject = reject
        self._leave = leave
        self._returns_stored = returns_stored
        self._generation = 0
        self._made = 0
        self._stamped = 0
        self._table = RecordTable(self._fields.form)
        self._feed = ChangeFeed(late)

    def __repr__(self) -> str:
        return f"<MemoryRecordStore {self._name!r}: {len(self)} records>"

    def __len__(self) -> int:
        """How many records live."""
        return sum(1 for _ in self._table.live())

    @property
    def name(self) -> str:
        """The object's name."""
        return self._name

    @property
    def limits(self) -> StoreLimits:
        """What this store can take, as given."""
        return self._limits

    async def describe(self) -> ObjectSchema:
        """The schema it was given, or an open one without fields."""
        await anyio.lowlevel.checkpoint()
        return self._fields.schema

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        """See `RecordStore.changes`. Cursors made before `expire_cursors` are expired."""
        await anyio.lowlevel.checkpoint()
        self._fields.check_readable(fields)
        now = self._clock.now()
        self._feed.settle(now)
        position, since = self._begin(cursor, now)
        size = self._page_size(limit)
        if not self._limits.change_feed:
            return self._scan_page(position, fields, size)
        start = self._feed.after(position.after) if position.after else self._feed.since(since)
        versions = self._feed.slice(start, size)
        has_more = start + len(versions) < len(self._feed)
        live = None if position.live is None else position.live + sum(not version.deleted for version in versions)
        after = (versions[-1].modified_at, versions[-1].id) if versions and has_more else None
        end = attrs.evolve(position, after=after, live=live if has_more else None)
        return ChangePage(
            records=tuple(self._fields.record(version, fields) for version in versions),
            cursor=end.encode(),
            has_more=has_more,
            complete_scan=not has_more and live == self._feed.live,
            total=len(self._feed) - (0 if position.after else start) if position.live is not None else None,
        )

    def _begin(self, cursor: str | None, now: datetime) -> tuple[FeedPosition, datetime | None]:
        """The position to read from, and from when on if that starts a new pass."""
        given = None if cursor is None else FeedPosition.decode(cursor)
        if given is not None and given.generation != self._generation:
            msg = "the cursor has expired; read from the start"
            raise CursorExpiredError(msg)
        if given is not None and given.after is not None:
            return given, None
        restart = self._stamp(now - self._limits.look_back)
        live = None if given and self._limits.change_feed else 0
        return FeedPosition(self._generation, restart, live=live), given.restart if given else None

    def _scan_page(self, position: FeedPosition, fields: Sequence[str], size: int) -> ChangePage:
        versions = self._feed.live_after(position.after[1] if position.after else "", size + 1)
        has_more = len(versions) > size
        versions = versions[:size]
        seen = (position.live or 0) + len(versions)
        after = (EPOCH, versions[-1].id) if has_more else None
        return ChangePage(
            records=tuple(self._fields.record(version, fields) for version in versions),
            cursor=attrs.evolve(position, after=after, live=seen if has_more else None).encode(),
            has_more=has_more,
            complete_scan=not has_more and seen == self._feed.live,
            total=self._feed.live,
        )

    def _page_size(self, limit: int | None) -> int:
        if limit is not None and limit < 1:
            msg = "a page has at least one record"
            raise ValueError(msg)
        return min(limit or self._limits.read_page, self._limits.read_page)

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        """See `RecordStore.get`."""
        await anyio.lowlevel.checkpoint()
        self._fields.check_readable(fields)
        rows = (self._table.get(id_) for id_ in dict.fromkeys(ids))
        return {row.id: self._fields.record(row, fields) for row in rows if row is not None and not row.deleted}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `RecordStore.find`. E-mail fields are those of that type, or named ``email`` in an open schema."""
        await anyio.lowlevel.checkpoint()
        self._fields.check_readable((field, *fields))
        return [self._fields.record(row, fields) for row in self._table.find(field, values)]

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `RecordStore.find_by_key`."""
        await anyio.lowlevel.checkpoint()
        self._fields.check_readable(fields)
        rows = (self._live(self._table.keys.get(key)) for key in dict.fromkeys(keys))
        return [self._fields.record(row, fields) for row in rows if row is not None]

    async def merged_into(self, survivors: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `SupportsMerges.merged_into`."""
        await anyio.lowlevel.checkpoint()
        found: dict[str, Record] = {}
        wanted = set(survivors)
        while wanted:
            losers = [row for row in self._table if row.merged_into in wanted and row.id not in found]
            found |= {row.id: self._fields.record(row, fields) for row in losers}
            wanted = {row.id for row in losers}
        return list(found.values())

    async def merged_away(self, ids: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """See `SupportsMerges.merged_away`."""
        await anyio.lowlevel.checkpoint()
        found: dict[str, Record] = {}
        trail = list(ids)
        while trail:
            row = self._table.get(trail.pop())
            if row is not None and row.merged_into is not None and row.id not in found:
                found[row.id] = self._fields.record(row, fields)
                trail.append(row.merged_into)
        return list(found.values())

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """See `RecordStore.write`. Takes effect at once or, when cancelled before it began, not at all.

        :raises ValueError: more operations than ``limits.write_batch``.
        """
        await anyio.lowlevel.checkpoint()
        if len(operations) > self._limits.write_batch:
            msg = f"{len(operations)} operations in one write; this store takes {self._limits.write_batch}"
            raise ValueError(msg)
        now = self._clock.now()
        return [self._outcome(operation, now) for operation in operations]

    def _outcome(self, operation: Operation, now: datetime) -> Outcome:
        error = self._fields.fault(operation) or (self._reject(operation) if self._reject else None)
        left = tuple(self._leave(operation)) if self._leave else ()
        if left:
            kept = {name: value for name, value in operation.fields.items() if name not in {e.field for e in left}}
            operation = attrs.evolve(operation, fields=kept)
        try:
            if error is not None:
                raise error
            status, row = self._apply(operation, now)
        except CRMError as refused:
            return Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, refused)
        if row is None:
            return Outcome(operation.op_id, status, operation.id)
        stored = self._fields.record(row, tuple(row.fields)) if self._returns_stored else None
        return Outcome(operation.op_id, status, row.id, stored=stored, unwritten=left)

    def _apply(self, operation: Operation, now: datetime) -> tuple[OutcomeStatus, RecordVersion | None]:
        key = operation.key if self._limits.external_key else None
        if operation.kind is OperationKind.CREATE:
            return self._create(operation, key, now)
        row = self._live(operation.id)
        if row is None:
            return OutcomeStatus.MISSING, None
        if operation.kind is OperationKind.DELETE:
            return OutcomeStatus.DELETED, self._put(attrs.evolve(row, deleted=True), {}, now, by_self=True)
        self._check_key(key, row.id)
        kept = row.key if key is None else key or None
        return OutcomeStatus.UPDATED, self._put(attrs.evolve(row, key=kept), operation.fields, now, by_self=True)

    def _create(self, operation: Operation, key: str | None, now: datetime) -> tuple[OutcomeStatus, RecordVersion]:
        given = operation.id if self._limits.accepts_ids else None
        known = self._table.keys.get(key) if key is not None else None
        row = self._live(known if known is not None else given)
        if row is not None:
            changed = self._put(attrs.evolve(row, key=key or row.key), operation.fields, now, by_self=True)
            return OutcomeStatus.UPDATED, changed
        fresh = RecordVersion(given or self._new_id(), {}, key, now, 0, by_self=True)
        return OutcomeStatus.CREATED, self._put(fresh, operation.fields, now, by_self=True)

    def _check_key(self, key: str | None, id_: str) -> None:
        owner = self._table.keys.get(key) if key is not None else None
        if owner not in (None, id_):
            msg = "another record carries this external key"
            raise DuplicateError(msg, existing_id=owner)

    def add(
        self,
        fields: Mapping[str, object] | None = None,
        /,
        *,
        id: str | None = None,
        key: str | None = None,
        modified_at: datetime | None = None,
        **named: object,
    ) -> str:
        """Add a record as another user, with an id and stamp of its own unless given; its id.

        :raises DuplicateError: the id or key is taken.
        """
        id_ = id or self._new_id()
        if self._live(id_) is not None:
            msg = "there is a record with this id"
            raise DuplicateError(msg, existing_id=id_)
        self._check_key(key, id_)
        now = self._clock.now()
        self._put(RecordVersion(id_, {}, key, now, 0, by_self=False), {**(fields or {}), **named}, now, at=modified_at)
        return id_

    def edit(
        self,
        record_id: str,
        fields: Mapping[str, object] | None = None,
        /,
        *,
        modified_at: datetime | None = None,
        **named: object,
    ) -> None:
        """Change fields of a live record as another user.

        :raises KeyError: there is no such record.
        """
        row = self._live(record_id)
        if row is None:
            raise KeyError(record_id)
        self._put(row, {**(fields or {}), **named}, self._clock.now(), at=modified_at)

    def remove(self, record_id: str, /, *, merged_into: str | None = None) -> None:
        """Delete a live record as another user, by a merge into another one if that is given.

        :raises KeyError: there is no such record.
        """
        row = self._live(record_id)
        if row is None:
            raise KeyError(record_id)
        self._put(attrs.evolve(row, deleted=True, merged_into=merged_into), {}, self._clock.now())

    def restore(self, record_id: str, /) -> None:
        """Bring a deleted record back as another user, as it was; a merged one is its own again.

        :raises KeyError: no such record is deleted. :raises DuplicateError: its key is another one's by now.
        """
        row = self._table.get(record_id)
        if row is None or not row.deleted:
            raise KeyError(record_id)
        self._check_key(row.key, record_id)
        self._put(attrs.evolve(row, deleted=False, merged_into=None), {}, self._clock.now())

    def snapshot(self) -> dict[str, dict[str, object]]:
        """The fields of every live record by id: what is true now, whatever `changes` can see."""
        return {row.id: dict(row.fields) for row in self._table.live()}

    def keys(self) -> dict[str, str]:
        """The id of the live record that carries each external key."""
        return dict(self._table.keys)

    def hide(self, fields: Iterable[str]) -> None:
        """Let these fields, and no others, be ``hidden`` from now on: what an administrator does to permissions."""
        self._fields.hidden = frozenset(fields)

    def expire_cursors(self) -> None:
        """Make every cursor given out so far raise `CursorExpiredError`."""
        self._generation += 1

    def _live(self, id_: str | None) -> RecordVersion | None:
        row = self._table.get(id_) if id_ is not None else None
        return None if row is None or row.deleted else row

    def _put(
        self,
        row: RecordVersion,
        fields: Mapping[str, object],
        now: datetime,
        *,
        by_self: bool = False,
        at: datetime | None = None,
    ) -> RecordVersion:
        self._stamped += 1
        version = attrs.evolve(
            row,
            fields={**row.fields, **self._fields.kept(fields)},
            modified_at=self._stamp(at or now),
            number=self._stamped,
            by_self=by_self,
        )
        self._table.put(version)
        self._feed.put(version, now)
        return version

    def _stamp(self, moment: datetime) -> datetime:
        precision = self._limits.time_precision
        return EPOCH + (moment - EPOCH) // precision * precision

    def _new_id(self) -> str:
        self._made += 1
        return f"{self._id_prefix}{self._made:06d}"
