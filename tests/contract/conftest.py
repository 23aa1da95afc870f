"""Each async test here runs on one event loop."""

from __future__ import annotations

from tests.one_loop import anyio_backend

__all__ = ["anyio_backend"]
