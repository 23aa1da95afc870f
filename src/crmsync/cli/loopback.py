"""Where the browser comes back to after a sign-in: one request to this machine, once."""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.to_thread

from crmsync.cli.exits import UsageProblemError
from crmsync.errors import AuthenticationError

PATH: Final = "/OauthRedirect"
_PAGE: Final = (
    b"<!DOCTYPE html><html lang='en'><head><title>crmsync</title></head>"
    b"<body><h1>crmsync</h1><p>You can close this page and go back to the terminal.</p></body></html>"
)
_POLL: Final = 0.2
_CLIENT_TIMEOUT: Final = 5.0


class Loopback:
    """A listener on 127.0.0.1 that waits for the one request whose ``state`` is right."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    @property
    def redirect_uri(self) -> str:
        """What the app must have as a Callback URL, character by character.

        By name and with this path, as "Create an External Client App in Your Org" (Salesforce DX Developer Guide) has
        it: other plain http is not accepted there.
        """
        return f"http://localhost:{self._server.port}{PATH}"

    async def callback(self, state: str, *, time_limit: float) -> str:
        """The URL that the browser came back to.

        :raises AuthenticationError: it did not within so many seconds.
        """
        self._server.state = state
        self._server.deadline = time.monotonic() + time_limit
        try:
            await anyio.to_thread.run_sync(self._server.wait, abandon_on_cancel=True)
        finally:
            self._server.deadline = 0.0
        if self._server.callback is None:
            raise AuthenticationError(f"nobody signed in within {time_limit:.0f} seconds; run it again. {self._clue()}")
        return self._server.callback

    def _clue(self) -> str:
        if self._server.strangers:
            return "A page of another sign-in came back: its state differs. Use the address that this one opens"
        return (
            f"If the browser shows an error, that says why: the app's callback URL has to be {self.redirect_uri}, say"
        )


@contextmanager
def listening(port: int) -> Iterator[Loopback]:
    """Listen for the length of a ``with`` block; port 0 takes a free one.

    :raises UsageProblemError: the port is taken.
    """
    try:
        server = _Server(("127.0.0.1", port), _Handler)
    except OSError as error:
        msg = f"port {port} cannot be listened on ({error.strerror}): name another with --port, and in the app"
        raise UsageProblemError(msg) from None
    with server:
        yield Loopback(server)


class _Server(TCPServer):
    """``state`` is awaited until ``deadline``; ``callback`` is what came, ``strangers`` came with another state.

    No ``HTTPServer``: that asks the name service who 127.0.0.1 is.
    """

    allow_reuse_address = True
    timeout = _POLL
    state = ""
    deadline = 0.0
    callback: str | None = None
    strangers = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def wait(self) -> None:
        while self.callback is None and time.monotonic() < self.deadline:
            self.handle_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that broke off is nobody's concern; the default would print it."""


class _Handler(BaseHTTPRequestHandler):
    """Takes the callback; whatever else a browser or a stranger asks for is not here."""

    server: _Server
    timeout = _CLIENT_TIMEOUT

    def do_GET(self) -> None:
        """Answer one request."""
        parts = urlsplit(self.path)
        given = parse_qs(parts.query).get("state", [""])[0]
        ours = parts.path == PATH and hmac.compare_digest(given.encode(), self.server.state.encode())
        if not ours or not self.server.state:
            self.server.strangers += parts.path == PATH
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(_PAGE)
        self.server.callback = f"http://localhost:{self.server.port}{self.path}"

    def log_message(self, format: str, *args: Any) -> None:
        """The default would print the request, and with it the code."""
