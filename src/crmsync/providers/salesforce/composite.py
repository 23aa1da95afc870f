"""Several requests in one call: what is sent, and what is answered to each. Pure.

"Composite", REST API Developer Guide: of its 25 subrequests 5 may be sObject Collections, whether they save, delete or
retrieve, and "the entire series of requests counts as a single call toward your API limits". With ``allOrNone`` false
each behaves by its own ("allOrNone Parameters in Composite and Collections Requests").
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

PATH: Final = "/composite"


def body_of(requests: Sequence[tuple[Mapping[str, object], str | None]]) -> bytes:
    """The call's body. Each request is its ``method``, ``url`` and so on, and its own body as JSON, if it has one."""
    inner = ",".join(_request(number, head, body) for number, (head, body) in enumerate(requests))
    return f'{{"allOrNone":false,"collateSubrequests":false,"compositeRequest":[{inner}]}}'.encode()


def _request(number: int, head: Mapping[str, object], body: str | None) -> str:
    text = json.dumps({**head, "referenceId": f"page{number}"})
    return text if body is None else f'{text[:-1]},"body":{body}}}'


def answers_of(body: Any, count: int) -> Iterator[Mapping[str, Any]]:
    """The answer to each of so many requests, in order; empty where there is none."""
    answers = body.get("compositeResponse") if isinstance(body, Mapping) else None
    found = {one.get("referenceId"): one for one in answers or () if isinstance(one, Mapping)}
    return (found.get(f"page{number}", {}) for number in range(count))
