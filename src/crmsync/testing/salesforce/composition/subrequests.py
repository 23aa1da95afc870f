"""Subrequests: they go through the handlers of the calls that they stand for."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import evolve, field, frozen
from starlette.routing import compile_path

from crmsync.testing.salesforce.errors import CallError, not_found
from crmsync.testing.salesforce.gateway import normal_path
from crmsync.testing.salesforce.routes import changes, collections, limits, metadata, query, rows, search
from crmsync.testing.salesforce.routes.answering import answer, handler_for, live_version, refused
from crmsync.testing.salesforce.routes.call import Call, Handler, Reply, RouteTable

if TYPE_CHECKING:
    from collections.abc import Mapping

_DATA: Final = re.compile(r"/services/data/v([^/]+)(.*)", re.DOTALL)
#: What a subrequest may ask for; the order matters as it does outside.
_TABLES: Final[tuple[RouteTable, ...]] = (
    metadata.ROUTES,
    limits.ROUTES,
    search.ROUTES,
    changes.ROUTES,
    query.ROUTES,
    collections.ROUTES,
    rows.ROUTES,
)
_ROUTES: Final = [(template, compile_path(template)[0], handlers) for table in _TABLES for template, handlers in table]
#: "Composite Subrequest": taken over from the request around it.
_INHERITED: Final = ("accept", "authorization", "content-type")


@frozen
class Target:
    """What a URL asks for. ``template`` names the resource as in the route tables, ``None`` if there is none such."""

    path: str
    version: str
    template: str | None
    params: Mapping[str, str]
    query: Mapping[str, str]
    handlers: Mapping[str, Handler] = field(repr=False)


def target_of(url: str) -> Target:
    """Return what a URL, path and query, asks for."""
    parts = urlsplit(url)
    path = normal_path(unquote(parts.path))
    match = _DATA.fullmatch(path)
    params = dict(parse_qsl(parts.query, keep_blank_values=True))
    version, rest = (match[1], match[2]) if match else ("", "")
    for template, pattern, handlers in _ROUTES:
        found = pattern.fullmatch(rest) if match else None
        if found is not None:
            return Target(path, version, template, found.groupdict(), params, handlers)
    return Target(path, version, None, {}, params, {})


def perform(call: Call, target: Target, method: str, body: Any, headers: Mapping[str, str], *, within: str) -> Reply:
    """Return the answer to a subrequest of a call, by the call's user. ``within`` is its kind, as faults name it."""
    fault = call.org.faults.parts.take(within, method, target.path)
    if fault is None:
        return _performed(call, target, method, body, headers)
    if fault.after_effect:
        _performed(call, target, method, body, headers)
    return Reply(fault.body, status=fault.status)


def _performed(call: Call, target: Target, method: str, body: Any, headers: Mapping[str, str]) -> Reply:
    inherited = {name: call.headers[name] for name in _INHERITED if name in call.headers}
    try:
        if target.template is None:
            raise not_found()
        subcall = evolve(
            call,
            method=method,
            version=live_version(call.org, target.version),
            params=target.params,
            query=target.query,
            headers={**inherited, **{name.lower(): str(value) for name, value in headers.items()}},
            body=b"" if body is None else json.dumps(body).encode(),
        )
        return answer(handler_for(target.handlers, method), subcall)
    except CallError as error:
        return refused(error)


def is_failure(reply: Reply) -> bool:
    """Whether a subrequest failed, as a whole or in one of the records of a collection."""
    if reply.status >= 400:
        return True
    records = reply.body if isinstance(reply.body, list) else []
    return any(isinstance(record, dict) and record.get("success") is False for record in records)
