"""The TLS context that HTTP clients share: to read the certificates for each takes longer than most requests."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable
from typing import Final

import httpx2

_LASTS: Final = 3600.0
"""Seconds for which the certificates that were read are good: a process that runs for weeks takes in renewed ones."""


class TlsContexts(threading.local):
    """httpx2's own context, one for each thread.

    One thread's connections may share it, another's may not: httpcore2 sets the protocols anew before each connection,
    which OpenSSL must not read meanwhile.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made = -_LASTS
        self._named: tuple[str | None, ...] = ()
        self._context: ssl.SSLContext | None = None

    def current(self) -> ssl.SSLContext:
        """The one to connect with now. It verifies; as httpx2's does by itself, it heeds the two variables below."""
        now = self._clock()
        named = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        if self._context is None or named != self._named or now - self._made >= _LASTS:
            self._context = httpx2.create_ssl_context()
            self._named, self._made = named, now
        return self._context


SHARED: Final = TlsContexts()
