"""Composite Batch: up to 25 subrequests that know nothing of each other, each committed by itself.

"Composite Batch" (REST API Developer Guide): each subrequest counts against rate limits, unlike those of the other
composite resources. A batch of n subrequests is n API calls here.
"""

from __future__ import annotations

from typing import Any, Final

from crmsync.testing.salesforce.composition.subrequests import perform, target_of
from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.part_faults import BATCH
from crmsync.testing.salesforce.routes.call import Call, Reply, truth

MAX_SUBREQUESTS: Final = 25
_METHODS: Final = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})
_DATA: Final = "/services/data/"


def batch(call: Call) -> Reply:
    """Perform the subrequests in order, with ``haltOnError`` only up to the first that fails."""
    body = call.json_object()
    requests = _requests(body.get("batchRequests"))
    halts = truth(body.get("haltOnError", False))
    results: list[dict[str, Any]] = []
    halted = False
    for place, request in enumerate(requests):
        reply = _HALTED if halted else _performed(call, request, is_first=place == 0)
        halted = halted or (halts and reply.status >= 400)
        results.append({"statusCode": reply.status, "result": reply.body})
    return Reply({"hasErrors": any(entry["statusCode"] >= 400 for entry in results), "results": results})


def _requests(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise CallError(400, "JSON_PARSER_ERROR", "The request needs a list 'batchRequests'")
    if len(value) > MAX_SUBREQUESTS:
        raise CallError(400, "LIMIT_EXCEEDED", f"The batch can't contain more than {MAX_SUBREQUESTS} subrequests.")
    for entry in value:
        if not isinstance(entry, dict) or entry.get("method") not in _METHODS or not isinstance(entry.get("url"), str):
            raise CallError(400, "JSON_PARSER_ERROR", "A subrequest needs a valid method and url")
    return value


def _performed(call: Call, request: dict[str, Any], *, is_first: bool) -> Reply:
    # The first is paid for by the call around it.
    if not is_first and not call.org.spend_call(f"{request['method']} by batch"):
        body = [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
        return Reply(body, status=403)
    path = request["url"].lstrip("/")
    url = f"/{path}" if path.startswith(_DATA[1:]) else f"{_DATA}{path}"
    return perform(call, target_of(url), request["method"], request.get("richInput"), {}, within=BATCH)


_HALTED: Final = Reply(
    [{"errorCode": "BATCH_PROCESSING_HALTED", "message": "Batch processing halted as an earlier subrequest failed"}],
    status=412,
)
