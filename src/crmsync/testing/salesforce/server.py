"""Serving the emulator over HTTP on loopback, in the foreground or in a thread."""

from __future__ import annotations

import signal
import socket
import threading
from contextlib import contextmanager
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from attrs import frozen
from uvicorn.protocols.http.h11_impl import H11Protocol

from crmsync.testing.salesforce.app import create_app
from crmsync.testing.salesforce.bulk.settling import settle
from crmsync.testing.salesforce.gateway import ABORT
from crmsync.testing.salesforce.org import SalesforceOrg
from crmsync.testing.salesforce.soql.parsing import parse
from crmsync.testing.salesforce.state import load_file, save_file

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

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

    def __init__(self, org: SalesforceOrg) -> None:
        self._org = org
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
        """Return the application with a way to cut the connection in each request's scope, and the org's Date."""

        async def serve_scope(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_dated(message: Message) -> None:
                if message["type"] == "http.response.start":
                    date = format_datetime(self._org.now(), usegmt=True).encode()
                    message = {**message, "headers": [*message["headers"], (b"date", date)]}
                await send(message)

            if scope["type"] == "http":
                scope = {**scope, ABORT: self._abort_of(scope)}
            await app(scope, receive, send_dated)

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
    """Tells when it listens, and returns after a signal, where uvicorn would raise it again and end the process.

    Bulk jobs go on between the requests too: a client that asks seldom shall not wait for what was due long before.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], org: SalesforceOrg) -> None:
        super().__init__(config)
        self._ready = ready
        self._org = org

    async def on_tick(self, counter: int) -> bool:
        with self._org.lock:
            settle(self._org)
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class EmulatorServer:
    """An emulator bound to an address, to be run once. Prints nothing.

    :param port: 0 takes a free one.
    :param control: whether the control API is served.
    :param certificate: PEM files, a certificate chain and its key; with them it speaks https alone.
    :param state_file: loaded now if it exists, written when the server stops and by ``POST /__emulator__/save``.
    :raises OSError: the address cannot be bound, or the state file cannot be read.
    :raises ValueError: the state file is not one.
    """

    def __init__(
        self,
        org: SalesforceOrg,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        control: bool = True,
        certificate: tuple[Path, Path] | None = None,
        state_file: Path | None = None,
    ) -> None:
        self.org = org
        if state_file is not None:
            load_file(org, state_file)
        org.state_file = state_file
        self._listener, address = _listen(host, port)
        self.url = f"{'https' if certificate else 'http'}://{address}"
        # The parser of queries is made once, which takes longer than a query: not in the first client's time.
        parse("SELECT Id FROM Contact")
        connections = _Connections(org)
        config = uvicorn.Config(
            connections.wrap(create_app(org, control=control)),
            http=connections.protocol(),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            date_header=False,
            h11_max_incomplete_event_size=64 * 1024,
            timeout_graceful_shutdown=2,
            ssl_certfile=certificate[0] if certificate else None,
            ssl_keyfile=certificate[1] if certificate else None,
        )
        self._ready: Callable[[str], None] | None = None
        self._server = _Server(config, self._announce, org)

    def run(self, ready: Callable[[str], None] | None = None) -> None:
        """Serve until :meth:`stop`, SIGINT or SIGTERM (signals only in the main thread).

        :param ready: called with the URL once connections are accepted.
        """
        self._ready = ready
        try:
            self._server.run(sockets=[self._listener])
        finally:
            self._listener.close()
            if self.org.state_file is not None:
                save_file(self.org, self.org.state_file)

    def stop(self) -> None:
        """Make :meth:`run` return soon; from any thread."""
        self._server.should_exit = True

    def _announce(self) -> None:
        if self._ready is not None:
            self._ready(self.url)


def _listen(host: str, port: int) -> tuple[socket.socket, str]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it every answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    shown = f"[{host}]" if ":" in host else host
    return listener, f"{shown}:{listener.getsockname()[1]}"


def serve(
    org: SalesforceOrg,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    control: bool = True,
    certificate: tuple[Path, Path] | None = None,
    ready: Callable[[str], None] | None = None,
    state_file: Path | None = None,
) -> None:
    """Serve the emulator in the foreground until SIGINT or SIGTERM. Arguments and errors as :class:`EmulatorServer`."""
    EmulatorServer(org, host, port, control=control, certificate=certificate, state_file=state_file).run(ready)


@contextmanager
def running_emulator(
    org: SalesforceOrg | None = None, *, certificate: tuple[Path, Path] | None = None, **options: Any
) -> Iterator[RunningEmulator]:
    """Serve an emulator, with its control API, in a thread on a free loopback port for the length of a ``with`` block.

    :param certificate: as :class:`EmulatorServer`.
    :param options: of :class:`SalesforceOrg`, where no org is given.
    """
    served = SalesforceOrg(**options) if org is None else org
    server = EmulatorServer(served, certificate=certificate)
    started = threading.Event()
    thread = threading.Thread(
        target=server.run, args=(lambda _: started.set(),), name="salesforce-emulator", daemon=True
    )
    thread.start()
    try:
        if not started.wait(_START_TIMEOUT):
            raise TimeoutError("the emulator did not start")
        yield RunningEmulator(server.url, served)
    finally:
        server.stop()
        thread.join(_START_TIMEOUT)
