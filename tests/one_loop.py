"""One event loop for each async test that is not about the core, half of them on either: both would double their time.

``CRMSYNC_OTHER_LOOP=1`` gives each test the other one. The core's tests run on both.
"""

from __future__ import annotations

import os
import zlib

import pytest


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop that falls to this test by its name."""
    turn = zlib.crc32(request.node.nodeid.encode()) + bool(os.environ.get("CRMSYNC_OTHER_LOOP"))
    return "trio" if turn % 2 else "asyncio"
