"""Each async test here runs on one event loop; an emulated org for those that want one of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crmsync.testing.salesforce import RunningEmulator, SalesforceOrg, running_emulator
from tests.one_loop import anyio_backend

__all__ = ["anyio_backend"]


@pytest.fixture
def emulator() -> Iterator[RunningEmulator]:
    """A server with an org that is as new."""
    with running_emulator() as running:
        yield running


@pytest.fixture
def org(emulator: RunningEmulator) -> SalesforceOrg:
    """The org of the server."""
    org: SalesforceOrg = emulator.org
    return org
