"""`getUpdated` and `getDeleted`: the ids that changed or went in a stretch of time, and until when they are all known.

Of both the seconds are cut off ("Polling for Changes", SOAP API Developer Guide), and `latestDateCovered` is where the
next question has to begin: while a long transaction runs, its own beginning ("GetUpdatedResult", same guide). That may
be before the start asked for, and hours ago (help 000199029), because any transaction on the instance counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from crmsync.errors import CursorExpiredError, UnexpectedResponseError
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.cursor import Stretch
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.values import format_datetime, parse_datetime

MIN_SPAN: Final = timedelta(minutes=2)
"""The start must precede the end by more than a minute, once the seconds are cut off."""
_TOO_MANY: Final = "EXCEEDED_ID_LIMIT"
"""More than 600,000 ids ("sObject Get Updated", REST API Developer Guide)."""


@attrs.frozen(slots=True)
class Deleted:
    """When each record went, by its 18-character id, and until when all that went is known."""

    at: Mapping[str, datetime]
    until: datetime


def not_replicated(sobject: SObject) -> str:
    """What the setting ``changes = get_updated`` is worth for an object that cannot be replicated."""
    return (
        f'changes = "get_updated" is of no use to {sobject.schema.name}, which cannot be replicated: its changes are'
        " read by query, and its deletions are known as long as they are in the recycle bin"
    )


async def deleted(client: SalesforceClient, object_name: str, start: datetime, end: datetime) -> Deleted:
    """The records of an object that went in a stretch of time.

    :raises CursorExpiredError: the log does not go back so far.
    """
    body, until, _ = await _ask(client, object_name, "deleted", min(start, end - MIN_SPAN), end)
    try:
        gone = {
            record_id: parse_datetime(entry["deletedDate"])
            for entry in body["deletedRecords"]
            if (record_id := full_id(entry["id"]))
        }
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedResponseError("Salesforce's answer to getDeleted is not as documented") from error
    return Deleted(gone, until)


class ChangedIds:
    """The ids that changed, asked for once a stretch of time. Whoever goes on after a crash asks for them again."""

    def __init__(self, client: SalesforceClient, object_name: str) -> None:
        self._client = client
        self._object = object_name
        self._stretch: tuple[datetime, datetime] | None = None
        self._ids: Sequence[str] = ()

    async def known_until(self) -> datetime:
        """Until when all changes are known that are committed now."""
        now = self._client.server_now()
        _, known_until = await self._asked(now - MIN_SPAN, _next_minute(now))
        return known_until

    async def begin(self, since: datetime) -> tuple[Stretch, datetime]:
        """The stretch from a time to now, or as much of it as one answer can hold, and until when all is known.

        :raises CursorExpiredError: the log does not go back so far.
        """
        now = self._client.server_now()
        start, end = min(since, now - MIN_SPAN), _next_minute(now)
        while True:
            try:
                self._ids, known_until = await self._asked(start, end)
            except CursorExpiredError as error:
                middle = _minute(start + (end - start) / 2)
                if _TOO_MANY not in error.message or middle - start < MIN_SPAN:
                    raise
                end = middle
            else:
                self._stretch = (start, end)
                return Stretch(start, end), known_until

    async def after(self, stretch: Stretch, size: int) -> tuple[Sequence[str], bool]:
        """The next ids of a stretch, in order, and whether there are more.

        What a second question adds was committed meanwhile, and is after what was said to be known.
        """
        if self._stretch != (stretch.start, stretch.end):
            self._ids, _ = await self._asked(stretch.start, stretch.end)
            self._stretch = (stretch.start, stretch.end)
        place = bisect_right(self._ids, stretch.after or "")
        return self._ids[place : place + size], place + size < len(self._ids)

    def forget(self) -> None:
        """Drop the ids that are held."""
        self._stretch, self._ids = None, ()

    async def _asked(self, start: datetime, end: datetime) -> tuple[Sequence[str], datetime]:
        body, until, asked_at = await _ask(self._client, self._object, "updated", start, end)
        try:
            ids = sorted({record_id for each in body["ids"] if (record_id := full_id(each))})
        except (KeyError, TypeError) as error:
            raise UnexpectedResponseError("Salesforce's answer to getUpdated is not as documented") from error
        # The end may lie ahead, so that nothing waits for the minute to be over; what is known never does. It does by a
        # day in "Get a List of Updated Records Within a Given Timeframe" (REST API Developer Guide).
        safety = timedelta(seconds=self._client.settings.safety_seconds)
        return ids, min(until, asked_at - safety)


async def _ask(
    client: SalesforceClient, object_name: str, what: str, start: datetime, end: datetime
) -> tuple[Mapping[str, Any], datetime, datetime]:
    """The answer, its `latestDateCovered` (the end, if it has none), and the server's time when it was asked."""
    before = client.clock.now()
    answer = await client.call(
        "GET",
        f"/sobjects/{object_name}/{what}/",
        params={"start": format_datetime(start), "end": format_datetime(end)},
    )
    asked_at = answer.at - (client.clock.now() - before)
    try:
        covered = answer.body["latestDateCovered"]
        return answer.body, end if covered is None else parse_datetime(covered), asked_at
    except (KeyError, TypeError, ValueError) as error:
        msg = f"Salesforce's answer to get{what.capitalize()} is not as documented"
        raise UnexpectedResponseError(msg) from error


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _next_minute(moment: datetime) -> datetime:
    return _minute(moment) + timedelta(minutes=1)
