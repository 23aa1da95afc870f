from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from crmsync.errors import ConfigurationError
from crmsync.models.state import Acknowledgement
from crmsync.protocols.repository import RepositoryFactory, SyncRepository
from crmsync.registry import STORAGE, Registry
from crmsync.storage.memory import MemoryRepository, open_repository
from crmsync.testing.repository_subject import CONTACT, OURS, integration, lease_of, link

pytestmark = pytest.mark.anyio


async def test_the_registry_finds_it_by_its_scheme() -> None:
    factory: RepositoryFactory = Registry().load(STORAGE, "memory")
    async with factory("memory://") as repository:
        assert isinstance(repository, SyncRepository)


async def test_a_name_is_one_repository_for_the_whole_process() -> None:
    name = uuid.uuid4().hex
    async with open_repository(f"memory://{name}") as first:
        await first.save_integration(integration())
    async with open_repository(f"memory://{name}") as again, open_repository(f"memory://{name}2") as other:
        assert await again.get_integration(OURS) == integration()
        assert await other.list_integrations() == []


async def test_without_a_name_every_opening_is_a_new_repository() -> None:
    async with open_repository() as first:
        await first.save_integration(integration())
        async with open_repository("memory://") as second:
            assert await second.list_integrations() == []


async def test_its_clock_can_be_given() -> None:
    moment = datetime(2020, 2, 29, tzinfo=UTC)
    async with open_repository("memory://", now=lambda: moment) as repository:
        await repository.save_integration(integration())
        await repository.acknowledge(await lease_of(repository), Acknowledgement(links=(link(1),)))
        [stored] = await repository.scan_links(OURS, CONTACT)
        assert (stored.created_at, stored.updated_at) == (moment, moment)


@pytest.mark.parametrize("url,options", [("sqlite://", {}), ("memory", {}), ("memory://", {"pool": 1})])
async def test_another_url_or_option_is_refused(url: str, options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="memory"):
        async with open_repository(url, **options):
            pass


async def test_a_refused_page_leaves_the_index_of_crm_ids_whole() -> None:
    repository = MemoryRepository()
    await repository.save_integration(integration())
    lease = await repository.acquire_lease(OURS, CONTACT, "me", now=datetime.now(UTC), ttl=timedelta(minutes=1))
    for number in range(50):
        turned = [link(index, crm_id=f"c{(index + number) % 5}") for index in range(5)]
        await repository.acknowledge(lease, Acknowledgement(links=tuple(turned)))
        found = await repository.links_by_remote(OURS, CONTACT, [f"c{index}" for index in range(5)])
        assert {key: held.markmail_id for key, held in found.items()} == {
            held.crm_id: held.markmail_id for held in turned
        }
