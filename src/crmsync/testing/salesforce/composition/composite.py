"""Composite: up to 25 subrequests, later ones with values from the answers to earlier ones.

"Composite" (REST API Developer Guide): the entire series counts as a single call toward the API limits.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from crmsync.testing.salesforce.composition.references import FIRST_STRICT_VERSION, UnresolvedError, resolved
from crmsync.testing.salesforce.composition.subrequests import is_failure, perform, target_of
from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.part_faults import COMPOSITE
from crmsync.testing.salesforce.routes.call import Call, Reply, truth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_SUBREQUESTS: Final = 25
#: Of the subrequests, how many may be queries or sObject Collections.
MAX_QUERIES: Final = 5
_METHODS: Final = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})
_REFERENCE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
_FORBIDDEN_HEADERS: Final = frozenset({"accept", "authorization", "content-type"})
ROLLED_BACK: Final = "The transaction was rolled back since another operation in the same transaction failed."


@frozen
class Subrequest:
    """One subrequest, as it was sent."""

    method: str
    url: str
    reference_id: str
    body: Any = field(repr=False)
    headers: Mapping[str, Any] = field(repr=False)


class _HaltedError(Exception):
    """The subrequest at ``place`` failed, and all the others with it."""

    def __init__(self, place: int, reply: Reply) -> None:
        super().__init__(place)
        self.place = place
        self.reply = reply


def composite(call: Call) -> Reply:
    """Perform the subrequests, in a transaction with ``allOrNone``."""
    body = call.json_object()
    requests = subrequests_of(body.get("compositeRequest"))
    if refusal := _refusal(call, requests):
        # Seen with a referenceId of null in a real org's answer (guardian/support-service-lambdas, pull request 766).
        return Reply({"compositeResponse": [result(refusal, None)]}, status=400)
    results, _ = run(call, requests, all_or_none=truth(body.get("allOrNone", False)))
    return Reply({"compositeResponse": results})


def subrequests_of(value: Any) -> list[Subrequest]:
    """Return the subrequests of a body.

    :raises CallError: it has none, or one of them is malformed.
    """
    if not isinstance(value, list) or not value:
        raise CallError(400, "JSON_PARSER_ERROR", "The request needs a list 'compositeRequest'")
    return [_subrequest(entry) for entry in value]


def _subrequest(entry: Any) -> Subrequest:
    if not isinstance(entry, dict) or entry.get("method") not in _METHODS:
        raise CallError(400, "JSON_PARSER_ERROR", f"A subrequest needs a method among {', '.join(sorted(_METHODS))}")
    url, reference_id, headers = entry.get("url"), entry.get("referenceId"), entry.get("httpHeaders") or {}
    if not isinstance(url, str) or not url.startswith("/services/data/v"):
        raise CallError(400, "JSON_PARSER_ERROR", "A subrequest's url must start with /services/data/vXX.X/")
    if not isinstance(reference_id, str) or not reference_id:
        raise CallError(400, "JSON_PARSER_ERROR", "A subrequest needs a referenceId")
    if not isinstance(headers, dict) or {name.lower() for name in headers} & _FORBIDDEN_HEADERS:
        raise CallError(400, "JSON_PARSER_ERROR", "A subrequest must not have the headers of the request around it")
    return Subrequest(entry["method"], url, reference_id, entry.get("body"), headers)


def _refusal(call: Call, requests: Sequence[Subrequest]) -> Reply | None:
    if len(requests) > MAX_SUBREQUESTS:
        return _error("LIMIT_EXCEEDED", f"The request can\u2019t contain more than {MAX_SUBREQUESTS} operations.")
    queries = sum(1 for request in requests if _is_costly(request))
    if queries > MAX_QUERIES:
        message = f"The request can\u2019t contain more than {MAX_QUERIES} query or sObject Collections operations."
        return _error("LIMIT_EXCEEDED", message)
    return odd_reference(call, requests)


def odd_reference(call: Call, requests: Sequence[Subrequest]) -> Reply | None:
    """Return the refusal of a reference id that is malformed or used twice. Before v52.0 only its users fail."""
    seen: set[str] = set()
    for request in requests:
        name = request.reference_id
        if float(call.version) >= FIRST_STRICT_VERSION and not _REFERENCE_ID.fullmatch(name):
            message = (
                f"Provided referenceId ('{name}') must start with a letter or a number, and it can contain only"
                " letters, numbers and underscores ('_')."
            )
            return _error("INVALID_INPUT", message)
        if name in seen:
            return _error("INVALID_INPUT", f"Duplicate ReferenceId provided in the request: '{name}'.")
        seen.add(name)
    return None


def _is_costly(request: Subrequest) -> bool:
    template = target_of(request.url).template or ""
    return template.startswith(("/query", "/queryAll", "/composite/sobjects"))


def run(
    call: Call, requests: Sequence[Subrequest], *, all_or_none: bool, within: str = COMPOSITE
) -> tuple[list[dict[str, Any]], bool]:
    """Return the results of subrequests, and whether all of them succeeded. ``within``: see `perform`."""
    replies: list[Reply] = []
    answers: dict[str, Any] = {}
    try:
        with call.org.transaction() if all_or_none else nullcontext():
            for place, request in enumerate(requests):
                reply = _performed(call, request, answers, within)
                replies.append(reply)
                if all_or_none and is_failure(reply):
                    raise _HaltedError(place, reply)
                if reply.status < 400:
                    answers[request.reference_id] = reply.body
    except _HaltedError as error:
        # A collection keeps its own answer, in which records that were undone still succeed ("allOrNone Parameters in
        # Composite and Collections Requests", case 4).
        halted = _error("PROCESSING_HALTED", ROLLED_BACK)
        replies = [error.reply if place == error.place else halted for place in range(len(requests))]
    results = [result(reply, request.reference_id) for reply, request in zip(replies, requests, strict=True)]
    return results, not any(is_failure(reply) for reply in replies)


def _performed(call: Call, request: Subrequest, answers: Mapping[str, Any], within: str) -> Reply:
    try:
        url = resolved(request.url, answers, call.version)
        body = resolved(request.body, answers, call.version)
    except UnresolvedError as error:
        return _error("PROCESSING_HALTED", error.message)
    return perform(call, target_of(str(url)), request.method, body, request.headers, within=within)


def result(reply: Reply, reference_id: str | None) -> dict[str, Any]:
    """Return the answer to a subrequest as it stands among the others."""
    return {
        "body": reply.body,
        "httpHeaders": dict(reply.headers),
        "httpStatusCode": reply.status,
        "referenceId": reference_id,
    }


def halted_results(requests: Sequence[Subrequest], message: str) -> list[dict[str, Any]]:
    """Return the results of subrequests that were not tried."""
    return [result(_error("PROCESSING_HALTED", message), request.reference_id) for request in requests]


def _error(code: str, message: str) -> Reply:
    return Reply([{"errorCode": code, "message": message}], status=400)
