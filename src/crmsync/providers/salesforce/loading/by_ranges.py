"""Everything there is of an object, by REST queries over ranges of ids side by side.

A record keeps its id, so none is missed while records change. The ranges are cut evenly between the first and the last
id; where one holds many more records than the others, its rest is read alone, page by page: slower, but as complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import anyio
import attrs

from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.cursor import Cursor, IdRange
from crmsync.providers.salesforce.loading.choice import LANES
from crmsync.providers.salesforce.loading.cutting import cut, last_id, within
from crmsync.providers.salesforce.retrieving import query
from crmsync.providers.salesforce.rows import RowReader
from crmsync.providers.salesforce.together import together


@attrs.frozen(slots=True)
class _Query:
    """A page of a pass: which, so that one that was fetched ahead is found again, and is as new as the pass."""

    columns: tuple[str, ...]
    object_name: str
    started: datetime | None
    part: IdRange
    size: int
    living: soql.Soql | None = None

    @property
    def soql(self) -> str:
        where = within(self.part, self.living)
        return soql.select(self.columns, self.object_name, where=where, order_by=("Id",), limit=self.size)


@attrs.frozen(slots=True)
class _Page:
    rows: list[Any] = attrs.field(repr=False)
    last: bool


class RangeLoad:
    """Reads ranges of ids side by side; what is not asked for yet waits here. Safe for concurrent calls."""

    def __init__(self, client: SalesforceClient) -> None:
        self._client = client
        self._ahead: dict[_Query, _Page] = {}
        self._lock = anyio.Lock()

    async def begin(self, object_name: str, expected: int, size: int) -> tuple[IdRange, ...]:
        """Ranges that are worth reading side by side; none if there is too little for two."""
        parts = min(LANES, expected // (2 * size))
        return await cut(self._client, object_name, parts) if parts > 1 else ()

    async def take(
        self, cursor: Cursor, reader: RowReader, fields: Sequence[str], size: int
    ) -> tuple[list[Any], tuple[IdRange, ...]]:
        """The rows of a page, and the ranges that are left after it."""
        columns, object_name = reader.columns(fields), reader.sobject.schema.name
        following = cursor.ranges[:LANES]
        queries = [_Query(columns, object_name, cursor.started, part, size, reader.living) for part in following]
        async with self._lock:
            if queries[0] not in self._ahead:
                # Of what an earlier call has left only these are kept.
                self._ahead = {each: page for each, page in self._ahead.items() if each in queries}
                await together([partial(self._fetch, each) for each in queries if each not in self._ahead])
            page = self._ahead.pop(queries[0])
        part, *others = cursor.ranges
        if page.last:
            return page.rows, tuple(others)
        # The other ranges' pages were fetched with this one: they come first.
        return page.rows, (*others, IdRange(last_id(page.rows), part.until))

    def forget(self) -> None:
        """Drop what was fetched ahead."""
        self._ahead.clear()

    async def _fetch(self, wanted: _Query) -> None:
        clock = self._client.clock
        began = clock.now()
        _, rows, done = await query(self._client, wanted.soql)
        seconds = (clock.now() - began).total_seconds()
        self._client.keep_pace(self._client.pace.with_page(seconds, len(rows)))
        self._ahead[wanted] = _Page(rows, last=not rows or (done and len(rows) < wanted.size))
