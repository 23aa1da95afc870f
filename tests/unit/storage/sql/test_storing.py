"""Pages so large that they go by COPY on PostgreSQL hold the same promises as small ones."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa

from crmsync.errors import StorageError
from crmsync.models.candidates import Candidate
from crmsync.models.erasure import PersonIds
from crmsync.models.state import Acknowledgement, Link, LinkStatus
from crmsync.protocols.repository import SyncRepository
from crmsync.storage.sql import open_repository, tables
from crmsync.testing.repository_subject import ABROAD, CONTACT, NOW, OURS, TEXTS, full_link, integration, lease_of, link

pytestmark = pytest.mark.anyio

MANY = range(150)


@pytest.fixture
def anyio_backend() -> str:
    """Storing is done in a thread: one event loop will do."""
    return "asyncio"


async def store(repository: SyncRepository, *links: Link) -> None:
    await repository.acknowledge(await lease_of(repository), Acknowledgement(links=links))


async def stored(repository: SyncRepository) -> dict[str, Link]:
    return {found.markmail_id: found for found in await repository.scan_links(OURS, CONTACT)}


async def test_links_are_inserted_and_replaced_as_they_are(migrated_url: str) -> None:
    texts = [link(f"t{n}", local_version=text, crm_id=text[:64]) for n, text in enumerate(TEXTS)]
    first = [full_link(), *texts, *map(link, MANY)]
    async with open_repository(migrated_url) as repository:
        await repository.save_integration(integration())
        await store(repository, *first)
        found = await stored(repository)
        assert len(found) == len(first)
        created = {found[one.markmail_id].created_at for one in first}
        assert len(created) == 1
        for one in first:
            there = found[one.markmail_id]
            assert there.updated_at is not None
            assert _without_times(there) == _without_times(one)
        changed = [link(number, crm_id=f"x{number}", failing_since=NOW.astimezone(ABROAD)) for number in MANY]
        await store(repository, *changed, link("new"))
        found = await stored(repository)
        assert len(found) == len(first) + 1
        assert (found["m7"].crm_id, found["m7"].failing_since) == ("x7", NOW)
        assert found["m7"].created_at in created
        assert found["mnew"].created_at not in created


async def test_candidates_that_an_older_version_stored_are_read_with_no_side_and_erased(migrated_url: str) -> None:
    async with open_repository(migrated_url) as repository:
        await repository.save_integration(integration())
        await store(repository, link(1, status=LinkStatus.QUARANTINED, candidates=(Candidate(id="c2"),)))
        engine = sa.create_engine(migrated_url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(sa.update(tables.links).values(candidates=["c2", "c3"]))
        engine.dispose()
        assert (await stored(repository))["m1"].candidates == (Candidate(id="c2"), Candidate(id="c3"))
        person = PersonIds(frozenset({"m2"}), frozenset({"c2"}))
        await repository.erase_person(await lease_of(repository), person, (), now=NOW)
        assert (await stored(repository))["m1"].candidates == (Candidate(id="c3"),)


async def test_links_that_pass_their_counterparts_on_among_themselves_are_stored(migrated_url: str) -> None:
    async with open_repository(migrated_url) as repository:
        await repository.save_integration(integration())
        await store(repository, *map(link, MANY))
        await store(repository, *(link(n, crm_id=f"c{(n + 1) % len(MANY)}") for n in MANY))
        found = await stored(repository)
        assert [found[f"m{n}"].crm_id for n in (0, 1, 149)] == ["c1", "c2", "c0"]


async def test_a_page_that_cannot_be_stored_is_refused_as_a_whole_and_shows_no_value(migrated_url: str) -> None:
    async with open_repository(migrated_url) as repository:
        await repository.save_integration(integration())
        await store(repository, link("other", crm_id="taken"))
        for wrong in (link("x", crm_id="taken"), link("x", local_version="SECRET half\ud800")):
            with pytest.raises(StorageError) as caught:
                await store(repository, *map(link, MANY), wrong)
            assert "SECRET" not in str(caught.value)
            assert list(await stored(repository)) == ["mother"]
        await store(repository, *map(link, MANY))
        assert await repository.count_links(OURS, CONTACT) == {"synced": len(MANY) + 1}


async def test_two_large_pages_of_one_session_do_not_mix(migrated_url: str) -> None:
    async with open_repository(migrated_url) as repository:
        await repository.save_integration(integration())
        await store(repository, *map(link, MANY))
        await store(repository, *(link(n, attempts=1) for n in MANY))
        await store(repository, *(link(n, attempts=2) for n in range(100, 250)))
        found = await stored(repository)
        assert [found[f"m{n}"].attempts for n in (99, 100, 200)] == [1, 2, 2]


async def test_a_text_that_postgresql_cannot_hold_is_refused_without_being_shown(postgres_url: str) -> None:
    async with open_repository(postgres_url) as repository:
        await repository.save_integration(integration())
        with pytest.raises(StorageError) as caught:
            await store(repository, *map(link, MANY), link("nul", local_version="SECRET\x00"))
        assert "SECRET" not in str(caught.value)
        assert await stored(repository) == {}
        await repository.delete_integration(OURS)


def _without_times(one: Link) -> object:
    assert timedelta(0) == (one.created_at or NOW).utcoffset()
    return attrs.evolve(one, created_at=None, updated_at=None)
