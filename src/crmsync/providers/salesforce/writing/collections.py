"""Rows through sObject Collections: up to 200 a call, several calls at once, each row with its own result.

"sObject Collections", REST API Developer Guide. Rows that met a lock are sent again in halves, and what is still locked
then one call after the other: most often it is our own parallel calls that want the same account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import anyio

from crmsync.errors import CRMError, UnexpectedResponseError
from crmsync.providers.salesforce.backoff import LostAnswerError
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.errors import is_malformed
from crmsync.providers.salesforce.values import encode_rows
from crmsync.providers.salesforce.writing.outcomes import Sent, of_result
from crmsync.providers.salesforce.writing.reconciling import Reconciler
from crmsync.providers.salesforce.writing.rows import Row, Verb, by_parent, chunks

MAX_ROWS: Final = 200
SERIAL_ROUNDS: Final = 3
"""How often rows are sent one call after the other before their lock is reported."""
_SERIAL_ROWS: Final = 25
_LOCKED: Final = "UNABLE_TO_LOCK_ROW"


class CollectionsChannel:
    """A `Channel`. Safe for concurrent calls, which share ``limiter``."""

    def __init__(
        self,
        client: SalesforceClient,
        object_name: str,
        key_field: str | None,
        limiter: anyio.CapacityLimiter,
        reconciler: Reconciler,
    ) -> None:
        self._client = client
        self._object = object_name
        self._key_field = key_field
        self._limiter = limiter
        self._reconciler = reconciler

    async def send(self, verb: Verb, rows: Sequence[Row]) -> Sent:
        """See `Channel`. The first attempts of all calls are taken from the budget before any is made."""
        sent, locked = Sent(), list[Row]()
        batches = list(chunks(rows, MAX_ROWS))
        await self._client.spend(len(batches))
        async with anyio.create_task_group() as group:
            for batch in batches:
                group.start_soon(self._batch, verb, batch, sent, locked)
        if locked:
            await self._serially(verb, by_parent(locked), sent)
        return sent

    async def _batch(self, verb: Verb, rows: Sequence[Row], sent: Sent, locked: list[Row]) -> None:
        async with self._limiter:
            waiting = await self._call(verb, rows, sent, prepaid=True)
            if not waiting:
                return
            await self._back_off(0)
            for half in chunks(waiting, (len(waiting) + 1) // 2):
                locked += await self._call(verb, half, sent)

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
            taken = self._client.clock.now() - before
            self._client.keep_pace(self._client.pace.with_collection(taken.total_seconds(), len(rows)))
        except LostAnswerError:
            resend = partial(self._call, verb, resends=False) if resends else None
            await self._reconciler.settle(rows, began, sent, resend)
            return []
        except CRMError as error:
            sent.fail(rows, error)
            return []
        locked = []
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, CRMError):
                sent.fail([row], result)
                continue
            sent.answer(row, of_result(row, result))
            if _is_locked(result):
                locked.append(row)
        return locked

    async def _results(self, verb: Verb, rows: Sequence[Row], *, prepaid: bool) -> list[Any]:
        """Each row's result or error. Rows that make a call malformed are found by halving it."""
        try:
            answer = await self._client.call(**self._request(verb, rows), prepaid=prepaid)
        except CRMError as error:
            if not is_malformed(error) or len(rows) == 1:
                raise
            return await self._halves(verb, rows)
        results = answer.body
        if not isinstance(results, list) or len(results) != len(rows):
            raise UnexpectedResponseError("Salesforce's answer to a collection has not one result for each row")
        return results

    async def _halves(self, verb: Verb, rows: Sequence[Row]) -> list[Any]:
        results: list[Any] = []
        for half in chunks(rows, (len(rows) + 1) // 2):
            try:
                results += await self._results(verb, half, prepaid=False)
            except CRMError as error:
                results += [error] * len(half)
        return results

    def _request(self, verb: Verb, rows: Sequence[Row]) -> dict[str, Any]:
        if verb is Verb.DELETE:
            params = {"ids": ",".join(row.target for row in rows), "allOrNone": "false"}
            return {"method": "DELETE", "path": "/composite/sobjects", "params": params}
        attributes = {"attributes": {"type": self._object}}
        content = encode_rows(({**attributes, **row.values} for row in rows), allOrNone=False)
        body = {"content": content, "headers": self._client.settings.saving_headers}
        if verb is Verb.UPSERT:
            path = f"/composite/sobjects/{self._object}/{self._key_field}"
            return {"method": "PATCH", "path": path, **body}
        if verb is Verb.UPDATE:
            return {"method": "PATCH", "path": "/composite/sobjects", **body}
        return {"method": "POST", "path": "/composite/sobjects", **body, "repeatable": False}


def _is_locked(result: Any) -> bool:
    errors = result.get("errors") if isinstance(result, Mapping) else None
    return any(isinstance(error, Mapping) and error.get("statusCode") == _LOCKED for error in errors or ())
