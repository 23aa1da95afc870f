"""Created, changed and deleted records since a position, page by page.

A pass over everything goes by `FirstLoad`, if it is large. Otherwise a page is one query, ordered by (SystemModstamp,
Id) and continued after the last pair read, so ties cost nothing. Such a pass has no upper bound: a record that changes
while it runs moves towards its end and is still met. The next pass begins look-back before the server's time at this
one's start, because a transaction commits later than its SystemModstamp says.

Soft-deleted records come with the same query (``queryAll``); `getDeleted` adds those that left the recycle bin already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from crmsync.errors import CursorExpiredError, UnexpectedResponseError
from crmsync.models.records import ChangePage, Record
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.cursor import Cursor
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.loading.first_load import FirstLoad
from crmsync.providers.salesforce.loading.results import LoadLostError
from crmsync.providers.salesforce.objects.parents import followed
from crmsync.providers.salesforce.retrieving import query, retrieve
from crmsync.providers.salesforce.rows import RowReader
from crmsync.providers.salesforce.values import format_datetime, parse_datetime

DELETE_LOG: Final = timedelta(days=15)
"""How long `getDeleted` remembers ("getDeleted()", SOAP API guide)."""
_MIN_SPAN = timedelta(minutes=2)  # start must precede end by more than a minute, and seconds are ignored
_TOLD = 200
_ORDER = ("SystemModstamp", "Id")


@attrs.frozen(slots=True)
class ChangeReader:
    """Reads the changes of one object."""

    client: SalesforceClient
    reader: RowReader
    load: FirstLoad

    async def page(self, cursor: Cursor, fields: Sequence[str], size: int) -> ChangePage:
        """The page at a position.

        :raises CursorExpiredError: deletions since the position are no longer known.
        """
        if cursor.whole and cursor.started is None:
            cursor = await self.load.begin(await self._counted(cursor), self.reader, fields, size)
            if cursor.job is not None:
                return _nothing_yet(cursor)
        if cursor.job is not None or cursor.ranges:
            return await self._loaded(cursor, fields, size)
        if cursor.child_after is not None:
            return await self._children(cursor, fields, size)
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
            seen=cursor.seen + _unchanged(records, started),
            told=(*cursor.told, *(record.id for record in records if record.deleted))[-_TOLD:],
        )
        if has_more and records:
            return ChangePage(records, cursor.encode(), has_more=True, total=cursor.expected)
        if not cursor.whole and self._followed(fields):
            following = attrs.evolve(cursor, child_after="")
            return ChangePage(records, following.encode(), has_more=True, total=cursor.expected)
        return await self._last_page(cursor, records, answer.at)

    async def _loaded(self, cursor: Cursor, fields: Sequence[str], size: int) -> ChangePage:
        """A page of a large pass over everything."""
        assert cursor.started is not None
        try:
            records, reached = await self.load.take(cursor, self.reader, fields, size)
        except LoadLostError:
            # Nothing says which records came already, but they are the same: their sync hash drops them.
            restarted = attrs.evolve(cursor, job=None, seen=0)
            return _nothing_yet(await self.load.begin(restarted, self.reader, fields, size))
        reached = attrs.evolve(reached, seen=cursor.seen + _unchanged(records, cursor.started))
        if reached.job is None and not reached.ranges:
            return await self._last_page(reached, tuple(records), cursor.started)
        return ChangePage(tuple(records), reached.encode(), has_more=True, total=cursor.expected)

    def _followed(self, fields: Sequence[str]) -> tuple[str, ...]:
        return followed(self.reader.sobject, fields) if self.client.settings.parents.follow else ()

    async def _children(self, cursor: Cursor, fields: Sequence[str], size: int) -> ChangePage:
        """The living records whose parents changed in this pass's time, by Id: one query for each ``size`` of them."""
        assert cursor.since is not None
        since = cursor.since - self.client.settings.look_back
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
        answer = await self.client.call("GET", "/query", params={"q": statement})
        try:
            expected = int(answer.body["totalSize"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnexpectedResponseError("Salesforce's answer to a count is not as documented") from error
        return attrs.evolve(cursor, started=answer.at, expected=expected)

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
            return soql.compare("SystemModstamp", ">=", cursor.since - self.client.settings.look_back)
        return None

    def _check_age(self, cursor: Cursor, now: datetime) -> None:
        start = cursor.deleted_since or cursor.since
        if start is not None and now - start > DELETE_LOG - _MIN_SPAN:
            raise CursorExpiredError("the position is older than Salesforce's log of deletions; read from the start")

    async def _last_page(self, cursor: Cursor, records: tuple[Record, ...], now: datetime) -> ChangePage:
        assert cursor.started is not None
        deletions: tuple[Record, ...] = ()
        covered = cursor.started
        if not cursor.whole and self.reader.sobject.tells_deletes:
            deletions, covered = await self._deleted(cursor, now)
        told = (*cursor.told, *(record.id for record in deletions))[-_TOLD:]
        safety = timedelta(seconds=self.client.settings.safety_seconds)
        following = Cursor(since=cursor.started - safety, deleted_since=min(covered, cursor.started), told=told)
        return ChangePage(
            (*records, *deletions),
            following.encode(),
            has_more=False,
            complete_scan=cursor.whole and cursor.seen == cursor.expected,
            total=cursor.expected,
        )

    async def _deleted(self, cursor: Cursor, end: datetime) -> tuple[tuple[Record, ...], datetime]:
        """Deletions that the queries of this pass did not show, and until when they are all known."""
        start = min(cursor.deleted_since or cursor.since or end, end - _MIN_SPAN)
        answer = await self.client.call(
            "GET",
            f"/sobjects/{self.reader.sobject.schema.name}/deleted/",
            params={"start": format_datetime(start), "end": format_datetime(end)},
        )
        try:
            covered = parse_datetime(answer.body["latestDateCovered"])
            found = {
                record_id: parse_datetime(entry["deletedDate"])
                for entry in answer.body["deletedRecords"]
                if (record_id := full_id(entry["id"]))
            }
        except (KeyError, TypeError, ValueError) as error:
            raise UnexpectedResponseError("Salesforce's answer to getDeleted is not as documented") from error
        new = [record_id for record_id in found if record_id not in set(cursor.told)]
        # A record that was brought back from the recycle bin stays in the log of deletions.
        living = await retrieve(self.client, self.reader, new, ("Id",)) if new else {}
        gone = (Record(id=key, modified_at=found[key], deleted=True) for key in new if key not in living)
        return tuple(gone), covered


def _nothing_yet(cursor: Cursor) -> ChangePage:
    """A page that only moves the position, so that a job is known to whoever goes on after a crash."""
    return ChangePage((), cursor.encode(), has_more=True, total=cursor.expected)


def _unchanged(records: Iterable[Record], since: datetime) -> int:
    return sum(record.modified_at is not None and record.modified_at <= since for record in records)


def _position(record: Record) -> tuple[datetime, str]:
    if record.modified_at is None:
        raise UnexpectedResponseError("Salesforce sent a record without SystemModstamp")
    return record.modified_at, record.id
