"""Serving the emulator over HTTP on loopback: in the foreground, in a thread, in a child process."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from attrs import frozen
from uvicorn.protocols.http.h11_impl import H11Protocol

from crmsync.testing.salesforce.app import create_app
from crmsync.testing.salesforce.gateway import ABORT
from crmsync.testing.salesforce.org import SalesforceOrg

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

_START_TIMEOUT = 30.0


@frozen
class RunningEmulator:
    """An emulator that answers at ``url``."""

    url: str
    org: SalesforceOrg

    @property
    def access_token(self) -> str:
        """The API user's token."""
        return self.org.access_token


class _Connections:
    """The open connections by the client's address, so that a fault can cut one."""

    def __init__(self) -> None:
        self.by_client: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """Return a protocol class that keeps track of its connections here."""
        by_client = self.by_client

        class TrackedProtocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                by_client[transport.get_extra_info("peername")[:2]] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                by_client.pop(self.transport.get_extra_info("peername", ("", 0))[:2], None)
                super().connection_lost(exc)

        return TrackedProtocol

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return the application with a way to cut the connection in each request's scope."""

        async def serve_scope(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                scope = {**scope, ABORT: self._abort_of(scope)}
            await app(scope, receive, send)

        return serve_scope

    def _abort_of(self, scope: Scope) -> Callable[[], Any]:
        async def abort() -> None:
            transport = self.by_client.get(tuple(scope["client"] or ("", 0)))
            if transport is not None:
                transport.abort()
            # Let the server learn of the cut before it would miss the answer.
            await anyio.sleep(0.01)

        return abort


class _Server(uvicorn.Server):
    """Tells when it listens; leaves signals to the foreground server."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None], signals: bool) -> None:
        super().__init__(config)
        self._ready = ready
        self._signals = signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if not self._signals:
            yield
            return
        with super().capture_signals():
            yield


def _listen(host: str, port: int) -> tuple[socket.socket, str]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    shown = f"[{host}]" if ":" in host else host
    return listener, f"http://{shown}:{listener.getsockname()[1]}"


def _server(org: SalesforceOrg, *, control: bool, ready: Callable[[], None], signals: bool) -> _Server:
    connections = _Connections()
    config = uvicorn.Config(
        connections.wrap(create_app(org, control=control)),
        http=connections.protocol(),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        h11_max_incomplete_event_size=64 * 1024,
        timeout_graceful_shutdown=2,
    )
    return _Server(config, ready=ready, signals=signals)


def serve(
    org: SalesforceOrg,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    control: bool = True,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the emulator in the foreground until SIGINT or SIGTERM. Prints nothing.

    :param port: 0 takes a free one.
    :param control: whether the control API is served.
    :param ready: called with the URL once connections are accepted.
    :raises OSError: the address cannot be bound.
    """
    listener, url = _listen(host, port)
    with listener:
        server = _server(org, control=control, ready=lambda: ready(url) if ready else None, signals=True)
        server.run(sockets=[listener])


@contextmanager
def running_emulator(org: SalesforceOrg | None = None, **options: Any) -> Iterator[RunningEmulator]:
    """Serve an emulator, with its control API, in a thread on a free loopback port for the length of a ``with`` block.

    :param options: of :class:`SalesforceOrg`, where no org is given.
    """
    served = SalesforceOrg(**options) if org is None else org
    listener, url = _listen("127.0.0.1", 0)
    started = threading.Event()
    server = _server(served, control=True, ready=started.set, signals=False)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="salesforce-emulator", daemon=True
    )
    with listener:
        thread.start()
        try:
            if not started.wait(_START_TIMEOUT):
                raise TimeoutError("the emulator did not start")
            yield RunningEmulator(url, served)
        finally:
            server.should_exit = True
            thread.join(_START_TIMEOUT)
