"""An installation that is connected to an emulated org."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from crmsync.models.mappings import ObjectMapping
from crmsync.protocols.repository import SyncRepository
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.salesforce import DEFAULT_TOKEN, RunningEmulator


@asynccontextmanager
async def connected(
    emulator: RunningEmulator,
    mappings: Mapping[str, ObjectMapping] | None = None,
    repository: SyncRepository | None = None,
    **settings: Any,
) -> AsyncIterator[CRMSync]:
    """An integration ``main`` with the org, whose changes count at once; the bookkeeping is in memory, and fresh."""
    given = {"instance_url": emulator.url, "allow_insecure_loopback": True, "safety_seconds": 0, **settings}
    app = CRMSync(repository or MemoryRepository(), vault=Vault.from_key(Vault.generate_key()))
    credentials = {"access_token": SecretStr(DEFAULT_TOKEN)}
    await app.add_integration("main", provider="salesforce", settings=given, credentials=credentials, mappings=mappings)
    yield app
