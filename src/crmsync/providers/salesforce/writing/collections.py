"""Rows through sObject Collections: pages of 200, up to five pages a call, several calls at once.

"sObject Collections" and "Composite", REST API Developer Guide. How many pages go in a call is what the org saves in
some seconds, by its pace; of an org whose pace is not known one page goes ahead. A page that fails in company, for
whatever reason, goes again by itself, as each page would without company. Rows that met a lock are sent again in
halves, and what is still locked then one call after the other: most often it is our own parallel calls that want the
same account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, Final

import anyio
import attrs

from crmsync.errors import CRMError, SchemaChangedError
from crmsync.providers.salesforce import composite
from crmsync.providers.salesforce.backoff import LostAnswerError
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.errors import is_malformed
from crmsync.providers.salesforce.pace import SHORT
from crmsync.providers.salesforce.writing.outcomes import Sent, of_result
from crmsync.providers.salesforce.writing.pages import MAX_ROWS, Page, Pages, Told, results_of
from crmsync.providers.salesforce.writing.reconciling import Settler
from crmsync.providers.salesforce.writing.rows import Row, Verb, by_parent, chunks

SERIAL_ROUNDS: Final = 3
"""How often rows are sent one call after the other before their lock is reported."""
_SERIAL_ROWS: Final = 25
_LOCKED: Final = "UNABLE_TO_LOCK_ROW"
_GOVERNED: Final = "System.LimitException"
"""In a row's message: the org's own code used up what a transaction may ("Execution Governors and Limits", Apex
Developer Guide). Pages in one call may share that."""


@attrs.define(slots=True)
class _Paid:
    """Calls that were taken from the budget ahead."""

    left: int

    def take(self) -> bool:
        """Whether the next call is among them."""
        self.left -= 1
        return self.left >= 0


class CollectionsChannel:
    """A `Channel`. Safe for concurrent calls, which share ``limiter``. ``page_rows`` is how many rows a page has."""

    def __init__(
        self,
        client: SalesforceClient,
        object_name: str,
        key_field: str | None,
        limiter: anyio.CapacityLimiter,
        reconciler: Settler,
        *,
        page_rows: int = MAX_ROWS,
    ) -> None:
        self._client = client
        self._pages = Pages(object_name, key_field, client.settings.saving_headers, page_rows)
        self._limiter = limiter
        self._reconciler = reconciler
        self._apart = False

    async def send(self, verb: Verb, rows: Sequence[Row]) -> Sent:
        """See `Channel`. The first attempts of all calls are taken from the budget before any is made, as far as their
        number is known: where the pace is not, as if it were good.
        """
        sent, locked = Sent(), list[Row]()
        size = self._pages.size
        first = rows[:size] if self._may_join and self._client.pace.collection is None and len(rows) > 2 * size else ()
        rest = rows[len(first) :]
        most = self._client.settings.collections_per_call if first else self._together
        paid = _Paid(bool(first) + len(list(self._pages.calls(rest, most))))
        await self._client.spend(paid.left)
        if first:
            await self._sent(verb, [first], sent, locked, paid)
        async with anyio.create_task_group() as group:
            for pages in self._pages.calls(rest, self._together):
                group.start_soon(self._sent, verb, pages, sent, locked, paid)
        if locked:
            await self._serially(verb, by_parent(locked), sent)
        return sent

    @property
    def _may_join(self) -> bool:
        return self._client.settings.collections_per_call > 1 and not self._apart

    @property
    def _together(self) -> int:
        """How many pages go in a call at present."""
        pace, most = self._client.pace, self._client.settings.collections_per_call
        return pace.pages_together(most) if self._may_join and pace.collection is not None else 1

    async def _sent(self, verb: Verb, pages: Sequence[Page], sent: Sent, locked: list[Row], paid: _Paid) -> None:
        async with self._limiter:
            if len(pages) == 1 or self._apart:
                waiting = await self._singly(verb, pages, sent, paid)
            else:
                waiting = await self._joined(verb, pages, sent, paid)
            if not waiting:
                return
            await self._back_off(0)
            for half in chunks(waiting, min((len(waiting) + 1) // 2, self._pages.size)):
                locked += await self._call(verb, half, sent)

    async def _singly(self, verb: Verb, pages: Sequence[Page], sent: Sent, paid: _Paid | None = None) -> list[Row]:
        """Send pages in a call each; the rows that met a lock."""
        waiting: list[Row] = []
        for page in pages:
            waiting += await self._call(verb, page, sent, prepaid=paid is not None and paid.take())
        return waiting

    async def _joined(self, verb: Verb, pages: Sequence[Page], sent: Sent, paid: _Paid) -> list[Row]:
        """Send pages in one call and note their rows' answers; the rows that met a lock. Never raises a `CRMError`.

        The call is never repeated as it is: if it was too long for the org, it would be so again.
        """
        rows = list(chain.from_iterable(pages))
        began, before = self._client.server_now(), self._client.clock.now()
        try:
            content = self._pages.together(verb, pages, await self._client.version())
            answer = await self._client.call(
                "POST", composite.PATH, content=content, repeatable=False, prepaid=paid.take()
            )
        except LostAnswerError as error:
            taken = (self._client.clock.now() - before).total_seconds()
            if taken > SHORT:
                self._keep_pace(taken, len(rows), len(pages))
            # The org may still be at work on it, and was not to be for longer.
            await self._client.clock.sleep(max(0.0, SHORT - taken))
            return await self._again(verb, [(page, Told(error=error)) for page in pages], began, sent)
        except CRMError as error:
            if not is_malformed(error) and not isinstance(error, SchemaChangedError):
                sent.fail(rows, error)
                return []
            # Refused before any page was looked at.
            self._apart = True
            return await self._singly(verb, pages, sent)
        self._keep_pace((self._client.clock.now() - before).total_seconds(), len(rows), len(pages))
        told = list(zip(pages, self._pages.told(answer.body, pages), strict=True))
        return await self._followed(verb, told, began, sent)

    async def _followed(self, verb: Verb, told: Sequence[tuple[Page, Told]], began: datetime, sent: Sent) -> list[Row]:
        """Note what a call with several pages told, and send again what it did not do; the rows that met a lock."""
        locked: list[Row] = []
        governed: list[Row] = []
        for page, one in told:
            if one.error is None:
                locked += _noted(page, one.results, sent)
                governed += [row for row, result in zip(page, one.results, strict=True) if _says(result, _GOVERNED)]
        failed = [(page, one) for page, one in told if one.error is not None]
        locked += await self._again(verb, failed, began, sent)
        if governed:
            self._apart = True
            locked += await self._singly(verb, list(chunks(governed, self._pages.size)), sent)
        return locked

    async def _again(self, verb: Verb, failed: Sequence[tuple[Page, Told]], began: datetime, sent: Sent) -> list[Row]:
        """Send pages by themselves that failed in company; of what may have taken effect find that out before."""
        await self._client.back_off.heed_parts(
            one.error for _, one in failed if not isinstance(one.error, LostAnswerError)
        )
        safe = [page for page, one in failed if verb.repeatable or one.refused]
        unsure = [row for page, one in failed if not (verb.repeatable or one.refused) for row in page]
        if unsure:
            await self._reconciler.settle(unsure, began, sent, partial(self._once_more, verb))
        return await self._singly(verb, safe, sent)

    async def _once_more(self, verb: Verb, rows: Sequence[Row], sent: Sent) -> None:
        for page in chunks(rows, self._pages.size):
            await self._call(verb, page, sent, resends=False)

    async def _serially(self, verb: Verb, rows: Sequence[Row], sent: Sent) -> None:
        for attempt in range(1, SERIAL_ROUNDS + 1):
            await self._back_off(attempt)
            still: list[Row] = []
            for part in chunks(rows, _SERIAL_ROWS):
                still += await self._call(verb, part, sent)
            if not still:
                return
            rows = still

    async def _back_off(self, attempt: int) -> None:
        settings = self._client.settings
        await self._client.clock.sleep(min(settings.retry_wait * 2**attempt, settings.retry_wait_max))

    async def _call(
        self, verb: Verb, rows: Sequence[Row], sent: Sent, *, prepaid: bool = False, resends: bool = True
    ) -> list[Row]:
        """Send rows in one call and note their answers; the rows that met a lock. Never raises a `CRMError`."""
        began, before = self._client.server_now(), self._client.clock.now()
        try:
            results = await self._results(verb, rows, prepaid=prepaid)
        except LostAnswerError:
            resend = partial(self._once_more, verb) if resends else None
            await self._reconciler.settle(rows, began, sent, resend)
            return []
        except CRMError as error:
            sent.fail(rows, error)
            return []
        self._keep_pace((self._client.clock.now() - before).total_seconds(), len(rows))
        return _noted(rows, results, sent)

    def _keep_pace(self, seconds: float, rows: int, pages: int = 1) -> None:
        self._client.keep_pace(self._client.pace.with_collection(seconds, rows, pages))

    async def _results(self, verb: Verb, rows: Sequence[Row], *, prepaid: bool) -> Sequence[Any]:
        """Each row's result or error. Rows that make a call malformed are found by halving it."""
        try:
            answer = await self._client.call(**self._pages.alone(verb, rows), prepaid=prepaid)
        except CRMError as error:
            if not is_malformed(error) or len(rows) == 1:
                raise
            return await self._halves(verb, rows)
        return results_of(answer.body, rows)

    async def _halves(self, verb: Verb, rows: Sequence[Row]) -> list[Any]:
        results: list[Any] = []
        for half in chunks(rows, (len(rows) + 1) // 2):
            try:
                results += await self._results(verb, half, prepaid=False)
            except CRMError as error:
                results += [error] * len(half)
        return results


def _noted(rows: Sequence[Row], results: Sequence[Any], sent: Sent) -> list[Row]:
    """Note each row's result or error; the rows that met a lock."""
    for row, result in zip(rows, results, strict=True):
        if isinstance(result, CRMError):
            sent.fail([row], result)
        else:
            sent.answer(row, of_result(row, result))
    return [row for row, result in zip(rows, results, strict=True) if _is_locked(result)]


def _is_locked(result: Any) -> bool:
    return any(error.get("statusCode") == _LOCKED for error in _errors(result))


def _says(result: Any, text: str) -> bool:
    return any(text in str(error.get("message")) for error in _errors(result))


def _errors(result: Any) -> list[Mapping[str, Any]]:
    errors = result.get("errors") if isinstance(result, Mapping) else None
    return [error for error in errors or () if isinstance(error, Mapping)]
