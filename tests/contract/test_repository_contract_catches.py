"""The repository contract must catch a repository that breaks a promise: each of `breaches` breaks exactly one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crmsync.errors import StorageError
from crmsync.protocols.repository import SyncRepository
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract
from crmsync.testing.repository_subject import integration
from tests.contract.breaches import audit, calls, conflicts, integrations, jobs, leases, links, stops, turns
from tests.contract.breaches.promise import Promise

pytestmark = pytest.mark.anyio

BROKEN = [
    breach
    for subject in (audit, calls, conflicts, integrations, jobs, leases, links, stops, turns)
    for breach in subject.BREACHES
]


class Opened(RepositoryContract):
    """The contract over one repository in memory, however often it is opened."""

    def __init__(self, repository: SyncRepository) -> None:
        self._repository = repository

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SyncRepository]:
        yield self._repository


async def _run(promise: Promise, repository: SyncRepository) -> None:
    for integration_id in ("ours", "theirs"):
        await repository.save_integration(integration(integration_id))
    await promise(Opened(repository), repository)


@pytest.mark.parametrize("broken, promise", BROKEN, ids=lambda value: value.__name__)
async def test_a_broken_repository_is_caught(broken: type[MemoryRepository], promise: Promise) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception, StorageError)):
        await _run(promise, broken())


@pytest.mark.parametrize("promise", {promise: None for _, promise in BROKEN}, ids=lambda value: value.__name__)
async def test_a_sound_repository_passes_the_same_promise(promise: Promise) -> None:
    await _run(promise, MemoryRepository())
