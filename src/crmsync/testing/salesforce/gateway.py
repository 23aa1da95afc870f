"""What stands before the routes: odd URLs, latency, and calls that fail before or after their effect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import anyio

from crmsync.testing.salesforce.faults import CallFault, ConnectionDroppedError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from crmsync.testing.salesforce.org import SalesforceOrg

#: "Salesforce Help", article 000386264: the URI alone over this is 414, with the headers 431.
MAX_URI_BYTES: Final = 16_384
#: Scope key under which the server puts a function that cuts the connection.
ABORT: Final = "crmsync.abort"
_CONTROL: Final = "/__emulator__"


class Gateway:
    """ASGI middleware around the emulator of one org."""

    def __init__(self, app: ASGIApp, org: SalesforceOrg) -> None:
        self.app = app
        self.org = org

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = normal_path(scope["path"])
        scope = {**scope, "path": path}
        if path.startswith(_CONTROL):
            await self.app(scope, receive, send)
            return
        refusal = _oversize(scope)
        if refusal:
            await _send(send, refusal, b"<html><body>Request too long</body></html>", {"content-type": "text/html"})
            return
        faults = self.org.faults
        if faults.latency:
            await anyio.sleep(faults.latency)
        with self.org.lock:
            fault = faults.take(scope["method"], path)
        if fault is None:
            await self.app(scope, receive, send)
            return
        if fault.after_commit:
            await self.app(scope, receive, _discard)
        await _fail(fault, scope, receive, send)


def normal_path(path: str) -> str:
    """Return a path with one slash in front and none at the end.

    Clients whose instance URL ends in a slash send ``//services/…``, and others ``query/?q=``; Salesforce takes both.
    """
    return "/" + path.strip("/")


def _oversize(scope: Scope) -> int | None:
    uri = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"]) + 1
    if uri > MAX_URI_BYTES:
        return 414
    headers = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return 431 if uri + headers > MAX_URI_BYTES else None


async def _fail(fault: CallFault, scope: Scope, receive: Receive, send: Send) -> None:
    if not fault.after_commit:
        await _drain(receive)
    if fault.status:
        text = fault.body if isinstance(fault.body, str) else json.dumps(fault.body)
        kind = "text/html; charset=UTF-8" if isinstance(fault.body, str) else "application/json;charset=UTF-8"
        await _send(send, fault.status, text.encode(), {"content-type": kind, **fault.headers})
        return
    abort: Any = scope.get(ABORT)
    if abort is None:
        raise ConnectionDroppedError
    await abort()


async def _drain(receive: Receive) -> None:
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)


async def _send(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _discard(_: Message) -> None:
    return
