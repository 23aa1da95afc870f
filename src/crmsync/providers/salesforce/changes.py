"""Created, changed and deleted records since a position, page by page.

A pass over everything goes by `FirstLoad`, if it is large. Otherwise a page is one query, ordered by (SystemModstamp,
Id) and continued after the last pair read, so ties cost nothing. Such a pass has no upper bound: a record that changes
while it runs moves towards its end and is still met. The next pass begins look-back before the server's time at this
one's start, because a transaction commits later than its SystemModstamp says.

Soft-deleted records come with the same query (``queryAll``); `getDeleted` adds those that left the recycle bin already,
and tells since when a transaction runs, so that the next pass begins before it.

With the setting ``changes = get_updated``, `getUpdated` names the records instead, which are then read by their ids.
Its `latestDateCovered` is the next position, so no commit is too late, and what is before it needs no second look.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from crmsync.errors import CursorExpiredError, UnexpectedResponseError
from crmsync.models.records import ChangePage, Record
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.cursor import Cursor
from crmsync.providers.salesforce.loading.first_load import FirstLoad, unchanged
from crmsync.providers.salesforce.loading.results import LoadLostError
from crmsync.providers.salesforce.objects.parents import followed
from crmsync.providers.salesforce.replication import MIN_SPAN, ChangedIds, deleted
from crmsync.providers.salesforce.retrieving import count, query, retrieve, retrieve_told, tombstones
from crmsync.providers.salesforce.rows import RowReader
from crmsync.providers.salesforce.settings import ChangeFeed

DELETE_LOG: Final = timedelta(days=15)
"""How long `getDeleted` remembers ("getDeleted()", SOAP API guide)."""
LONGEST_TRANSACTION: Final = timedelta(days=1)
"""How far back the next query begins for a transaction that runs. Another tenant's may be the one, and may take days
(help 000199029): all changes since would be read in every pass."""
_TOLD = 200
_ORDER = ("SystemModstamp", "Id")


@attrs.frozen(slots=True)
class ChangeReader:
    """Reads the changes of one object."""

    client: SalesforceClient
    reader: RowReader
    load: FirstLoad
    changed: ChangedIds

    async def page(self, cursor: Cursor, fields: Sequence[str], size: int) -> ChangePage:
        """The page at a position.

        :raises CursorExpiredError: deletions since the position are no longer known.
        """
        if cursor.whole and cursor.started is None:
            cursor = await self.load.begin(await self._counted(cursor), self.reader, fields, size)
            if cursor.jobs:
                return _nothing_yet(cursor)
        if cursor.loading:
            return await self._loaded(cursor, fields, size)
        if cursor.child_after is not None:
            return await self._children(cursor, fields, size)
        if cursor.stretch is not None or (cursor.started is None and self._by_ids):
            return await self._by_stretch(cursor, fields, size)
        with_deleted = not cursor.whole and self.reader.sobject.keeps_deletes
        statement = soql.select(
            self.reader.columns(fields, deleted=with_deleted),
            self.reader.sobject.schema.name,
            where=self._where(cursor),
            order_by=_ORDER,
            limit=size,
        )
        answer, rows, done = await query(self.client, statement, deleted=with_deleted)
        started = cursor.started or answer.at
        self._check_age(cursor, started)
        records = tuple(self.reader.records(rows, fields))
        has_more = len(records) == size or not done
        cursor = attrs.evolve(
            cursor,
            started=started,
            after=_position(records[-1]) if records else cursor.after,
            seen=cursor.seen + unchanged(records, started),
            told=(*cursor.told, *(record.id for record in records if record.deleted))[-_TOLD:],
        )
        if has_more and records:
            return ChangePage(records, cursor.encode(), has_more=True, total=cursor.expected)
        return await self._own_changes_end(cursor, records, fields, answer.at)

    async def _own_changes_end(
        self, cursor: Cursor, records: tuple[Record, ...], fields: Sequence[str], now: datetime
    ) -> ChangePage:
        """The page with the last records that changed themselves."""
        if not cursor.whole and self._followed(fields):
            following = attrs.evolve(cursor, child_after="")
            return ChangePage(records, following.encode(), has_more=True, total=cursor.expected)
        return await self._last_page(cursor, records, now)

    @property
    def _by_ids(self) -> bool:
        return self.client.settings.changes is ChangeFeed.GET_UPDATED and self.reader.sobject.replicateable

    async def _by_stretch(self, cursor: Cursor, fields: Sequence[str], size: int) -> ChangePage:
        """A page of the records that `getUpdated` names. A pass has one stretch, unless there are too many ids."""
        if cursor.stretch is None:
            cursor = await self._begun(cursor)
        stretch, started = cursor.stretch, cursor.started
        assert stretch is not None
        assert started is not None
        ids, more = await self.changed.after(stretch, size)
        records = tuple(await retrieve_told(self.client, self.reader, ids, fields)) if ids else ()
        if more:
            cursor = attrs.evolve(cursor, stretch=attrs.evolve(stretch, after=ids[-1]))
            return ChangePage(records, cursor.encode(), has_more=True)
        self.changed.forget()
        if stretch.end < started:
            following, known_until = await self.changed.begin(stretch.end)
            held_back = cursor.covered is not None and cursor.covered < stretch.end
            covered = cursor.covered if held_back else known_until
            return ChangePage(records, attrs.evolve(cursor, stretch=following, covered=covered).encode(), has_more=True)
        cursor = attrs.evolve(cursor, stretch=None)
        return await self._own_changes_end(cursor, records, fields, self.client.server_now())

    async def _begun(self, cursor: Cursor) -> Cursor:
        """The cursor of a pass by `getUpdated`, with its first ids asked for."""
        start = self._start(cursor)
        now = self.client.server_now()
        self._check_age(cursor, now)
        stretch, known_until = await self.changed.begin(start)
        return attrs.evolve(cursor, started=now, covered=known_until, stretch=stretch)

    def _start(self, cursor: Cursor) -> datetime:
        """From when on the changes of a pass count: some of before are committed only now, unless all were known."""
        assert cursor.since is not None
        return cursor.since if cursor.exact else cursor.since - self.client.settings.look_back

    async def _loaded(self, cursor: Cursor, fields: Sequence[str], size: int) -> ChangePage:
        """A page of a large pass over everything."""
        assert cursor.started is not None
        asked = await self.load.ask(cursor, self.reader, fields, size)
        if asked != cursor:
            return _nothing_yet(asked)
        try:
            records, reached = await self.load.take(cursor, self.reader, fields, size)
        except LoadLostError as lost:
            return _nothing_yet(await self.load.recover(cursor, self.reader, size, lost))
        if reached.loading:
            return ChangePage(tuple(records), reached.encode(), has_more=True, total=cursor.expected)
        return await self._last_page(reached, tuple(records), cursor.started)

    def _followed(self, fields: Sequence[str]) -> tuple[str, ...]:
        return followed(self.reader.sobject, fields) if self.client.settings.parents.follow else ()

    async def _children(self, cursor: Cursor, fields: Sequence[str], size: int) -> ChangePage:
        """The living records whose parents changed in this pass's time, by Id: one query for each ``size`` of them."""
        since = self._start(cursor)
        changed = [soql.compare(f"{name}.SystemModstamp", ">=", since) for name in self._followed(fields)]
        rows: list[Any] = []
        now, done = self.client.server_now(), True
        if changed:
            after = (soql.compare("Id", ">", cursor.child_after),) if cursor.child_after else ()
            statement = soql.select(
                self.reader.columns(fields),
                self.reader.sobject.schema.name,
                where=soql.every(soql.some(*changed), *after),
                order_by=("Id",),
                limit=size,
            )
            answer, rows, done = await query(self.client, statement)
            now = answer.at
        records = tuple(self.reader.records(rows, fields))
        if records and (len(records) == size or not done):
            return ChangePage(records, attrs.evolve(cursor, child_after=records[-1].id).encode(), has_more=True)
        return await self._last_page(cursor, records, now)

    async def _counted(self, cursor: Cursor) -> Cursor:
        statement = soql.count(self.reader.sobject.schema.name, self.reader.living)
        answer, expected = await count(self.client, statement)
        # What is committed while the pass runs may be stamped before it, and behind what it has read.
        covered = await self.changed.known_until() if self._by_ids else None
        return attrs.evolve(cursor, started=answer.at, expected=expected, covered=covered)

    def _where(self, cursor: Cursor) -> soql.Soql | None:
        living, start = self.reader.living if cursor.whole else None, self._from(cursor)
        return soql.every(living, start) if living and start else living or start

    def _from(self, cursor: Cursor) -> soql.Soql | None:
        if cursor.after is not None:
            stamp, record_id = cursor.after
            return soql.some(
                soql.every(soql.compare("SystemModstamp", "=", stamp), soql.compare("Id", ">", record_id)),
                soql.compare("SystemModstamp", ">", stamp),
            )
        if cursor.since is not None:
            return soql.compare("SystemModstamp", ">=", self._start(cursor))
        return None

    def _check_age(self, cursor: Cursor, now: datetime) -> None:
        start = cursor.deleted_since or cursor.since
        if start is not None and now - start > DELETE_LOG - MIN_SPAN:
            raise CursorExpiredError("the position is older than Salesforce's log of deletions; read from the start")

    async def _last_page(self, cursor: Cursor, records: tuple[Record, ...], now: datetime) -> ChangePage:
        assert cursor.started is not None
        deletions: tuple[Record, ...] = ()
        covered = cursor.started
        if not cursor.whole and self.reader.sobject.replicateable:
            deletions, covered = await self._deleted(cursor, now)
        told = (*cursor.told, *(record.id for record in deletions))[-_TOLD:]
        following = Cursor(
            since=self._next_since(cursor, covered),
            deleted_since=min(covered, cursor.started),
            told=told,
            exact=cursor.covered is not None,
        )
        return ChangePage(
            (*records, *deletions),
            following.encode(),
            has_more=False,
            complete_scan=cursor.whole and cursor.seen == cursor.expected,
            total=cursor.expected,
        )

    def _next_since(self, cursor: Cursor, covered: datetime) -> datetime:
        """Where the next pass begins; ``covered`` is until when the deletions are known."""
        assert cursor.started is not None
        since = cursor.started - timedelta(seconds=self.client.settings.safety_seconds)
        if cursor.covered is not None:
            return min(since, cursor.covered)
        return min(since, max(covered, cursor.started - LONGEST_TRANSACTION))

    async def _deleted(self, cursor: Cursor, end: datetime) -> tuple[tuple[Record, ...], datetime]:
        """Deletions that this pass did not show yet, and until when they are all known."""
        name = self.reader.sobject.schema.name
        found = await deleted(self.client, name, cursor.deleted_since or cursor.since or end, end)
        new = [record_id for record_id in found.at if record_id not in set(cursor.told)]
        if not new:
            return (), found.until
        if self.reader.sobject.tells_merges and self.reader.sobject.keeps_deletes:
            shown = await tombstones(self.client, self.reader, new)
        else:
            shown = await retrieve(self.client, self.reader, new, ("Id",))
        gone = (shown.get(key) or Record(id=key, modified_at=found.at[key], deleted=True) for key in new)
        # A record that was brought back from the recycle bin stays in the log of deletions.
        return tuple(record for record in gone if record.deleted), found.until


def _nothing_yet(cursor: Cursor) -> ChangePage:
    """A page that only moves the position, so that a job is known to whoever goes on after a crash."""
    return ChangePage((), cursor.encode(), has_more=True, total=cursor.expected)


def _position(record: Record) -> tuple[datetime, str]:
    if record.modified_at is None:
        raise UnexpectedResponseError("Salesforce sent a record without SystemModstamp")
    return record.modified_at, record.id
