"""What stands before the routes: odd URLs, latency, and calls that fail before or after their effect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import anyio

from crmsync.testing.salesforce.faults import CallFault, ConnectionDroppedError, concurrency_exceeded

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        self._in_flight = 0

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
        self._in_flight += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._in_flight -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        org = self.org
        if org.faults.concurrent_limit is not None and self._in_flight > org.faults.concurrent_limit:
            await _drain(receive)
            await _send_body(send, 403, concurrency_exceeded(), {})
            return
        latency = org.faults.next_latency()
        if not org.locks.contention:
            await _pause(latency)
            await self._act(scope, receive, send)
            return
        # The call acts halfway, so that what it locks stays locked for the other half.
        answer = _Held(send)
        await _pause(latency / 2)
        with org.locks.call():
            await self._act(scope, receive, answer)
            await _pause(latency / 2)
        await answer.release()

    async def _act(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.org.lock:
            fault = self.org.faults.take(scope["method"], scope["path"])
        if fault is None:
            await self.app(scope, receive, send)
            return
        if fault.hold:
            answer = _Held(send)
            await self.app(scope, receive, answer)
            await self._hold(fault.hold)
            await answer.release()
            return
        if fault.after_commit:
            await self.app(scope, receive, _discard)
        await _fail(fault, scope, receive, send)

    async def _hold(self, seconds: float) -> None:
        faults = self.org.faults
        before, until = faults.releases, anyio.current_time() + seconds
        # They are released from any thread, which no event of this loop would learn of.
        while faults.releases == before and anyio.current_time() < until:  # noqa: ASYNC110 - as said
            await anyio.sleep(min(seconds, 0.02))


class _Held:
    """An answer that is not sent before it is released."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self._messages.append(message)

    async def release(self) -> None:
        for message in self._messages:
            await self._send(message)


async def _pause(seconds: float) -> None:
    if seconds:
        await anyio.sleep(seconds)


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
        await _send_body(send, fault.status, fault.body, fault.headers)
        return
    abort: Any = scope.get(ABORT)
    if abort is None:
        raise ConnectionDroppedError
    await abort()


async def _send_body(send: Send, status: int, body: Any, headers: Mapping[str, str]) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    kind = "text/html; charset=UTF-8" if isinstance(body, str) else "application/json;charset=UTF-8"
    await _send(send, status, text.encode(), {"content-type": kind, **headers})


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
