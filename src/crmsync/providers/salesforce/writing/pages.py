"""What a page of a collection says, alone or several in one call, and what is told of each. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from crmsync.errors import CRMError, UnexpectedResponseError
from crmsync.providers.salesforce import composite
from crmsync.providers.salesforce.errors import call_error
from crmsync.providers.salesforce.values import encode_rows
from crmsync.providers.salesforce.writing.rows import Row, Verb, chunks

MAX_ROWS: Final = 200
"""Of a page ("sObject Collections", REST API Developer Guide)."""

Page: TypeAlias = Sequence[Row]

_REFERENCE: Final = "@{"
"""Begins a reference to another subrequest's answer ("Composite Request Body"); there is no way to quote one."""
_NOTHING_DONE: Final = range(400, 500)


@attrs.frozen(slots=True)
class Told:
    """What a call told of one of its pages: a result for each row, or the error of the page as a whole.

    ``refused``: that error says that nothing of the page took effect; otherwise nobody knows what did.
    """

    results: Sequence[Any] = attrs.field(default=(), repr=False)
    error: CRMError | None = None
    refused: bool = False


@attrs.frozen(slots=True)
class Pages:
    """The requests of one object's pages. ``headers`` are those of calls that save records."""

    object_name: str
    key_field: str | None
    headers: Mapping[str, str]
    size: int = MAX_ROWS

    def calls(self, rows: Sequence[Row], together: int) -> Iterator[list[Page]]:
        """The pages of rows, in as few calls of so many pages as there can be.

        A page with a value that reads as a reference is alone in its call.
        """
        waiting: list[Page] = []
        for page in chunks(rows, self.size):
            if together > 1 and _refers(page):
                yield [page]
                continue
            waiting.append(page)
            if len(waiting) == together:
                yield waiting
                waiting = []
        if waiting:
            yield waiting

    def alone(self, verb: Verb, page: Page) -> dict[str, Any]:
        """The call of a single page, as `SalesforceClient.call` takes it."""
        method, path = self._target(verb)
        if verb is Verb.DELETE:
            return {"method": method, "path": path, "params": _deleted(page)}
        request = {"method": method, "path": path, "content": self._records(page), "headers": self.headers}
        return request if verb.repeatable else {**request, "repeatable": False}

    def together(self, verb: Verb, pages: Sequence[Page], version: str) -> bytes:
        """The body of a call with several pages."""
        method, path = self._target(verb)
        url = f"/services/data/v{version}{path}"
        if verb is Verb.DELETE:
            return composite.body_of([({"method": method, "url": f"{url}?{_query(page)}"}, None) for page in pages])
        head: dict[str, object] = {"method": method, "url": url}
        if self.headers:
            head["httpHeaders"] = dict(self.headers)
        return composite.body_of([(head, self._records(page).decode()) for page in pages])

    def told(self, body: Any, pages: Sequence[Page]) -> list[Told]:
        """What the answer to `together` says of each page."""
        answers = composite.answers_of(body, len(pages))
        return [_told(answer, page) for answer, page in zip(answers, pages, strict=True)]

    def _target(self, verb: Verb) -> tuple[str, str]:
        match verb:
            case Verb.UPSERT:
                return "PATCH", f"/composite/sobjects/{self.object_name}/{self.key_field}"
            case Verb.UPDATE:
                return "PATCH", "/composite/sobjects"
            case Verb.DELETE:
                return "DELETE", "/composite/sobjects"
            case Verb.INSERT:
                return "POST", "/composite/sobjects"

    def _records(self, page: Page) -> bytes:
        attributes = {"attributes": {"type": self.object_name}}
        return encode_rows(({**attributes, **row.values} for row in page), allOrNone=False)


def results_of(body: Any, page: Page) -> Sequence[Any]:
    """Each row's result.

    :raises UnexpectedResponseError: there is not one for each.
    """
    if not isinstance(body, list) or len(body) != len(page):
        raise UnexpectedResponseError("Salesforce's answer to a collection has not one result for each row")
    return body


def _told(answer: Mapping[str, Any], page: Page) -> Told:
    status, body = answer.get("httpStatusCode"), answer.get("body")
    if isinstance(status, int) and status >= 300:  # noqa: PLR2004 - no success
        return Told(error=call_error(status, json.dumps(body, default=str).encode()), refused=status in _NOTHING_DONE)
    try:
        return Told(results_of(body, page))
    except UnexpectedResponseError as error:
        return Told(error=error)


def _deleted(page: Page) -> dict[str, str]:
    return {"ids": ",".join(row.target for row in page), "allOrNone": "false"}


def _query(page: Page) -> str:
    return "&".join(f"{name}={value}" for name, value in _deleted(page).items())


def _refers(page: Page) -> bool:
    return any(isinstance(value, str) and _REFERENCE in value for row in page for value in row.values.values())
