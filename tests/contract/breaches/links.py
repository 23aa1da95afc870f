"""Repositories that break a promise about links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from crmsync.errors import StorageError
from crmsync.models.state import (
    Acknowledgement,
    JournalEntry,
    Lease,
    Link,
)
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract
from tests.contract.breaches.promise import Breaches


class StoresHalf(MemoryRepository):
    """Moves the cursors although the links are refused."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(lease, Acknowledgement(cursors=acknowledgement.cursors))
        await super().acknowledge(lease, attrs.evolve(acknowledgement, cursors=None))


class StoresLinkByLink(MemoryRepository):
    """Not one transaction: what comes before the bad link stays."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(lease, attrs.evolve(acknowledgement, links=()))
        for link in acknowledgement.links:
            await super().acknowledge(lease, Acknowledgement(links=(link,)))


class MergesLinks(MemoryRepository):
    """Keeps the stored crm_id where the new link has none."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        known = await self.links_by_local(
            lease.integration_id, lease.entity_type, [link.markmail_id for link in acknowledgement.links]
        )
        links = tuple(
            attrs.evolve(link, crm_id=known[link.markmail_id].crm_id)
            if link.crm_id is None and link.markmail_id in known
            else link
            for link in acknowledgement.links
        )
        await super().acknowledge(lease, attrs.evolve(acknowledgement, links=links))


class InsertsBeforeRemoving(MemoryRepository):
    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(lease, attrs.evolve(acknowledgement, removed_links=()))
        await super().acknowledge(lease, Acknowledgement(removed_links=acknowledgement.removed_links))


class FoldsCase(MemoryRepository):
    """Compares ids as some databases do by default."""

    async def links_by_remote(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        found = await super().links_by_remote(integration_id, entity_type, ids)
        return {key.lower(): link for key, link in found.items()}


class ScansByInsertion(MemoryRepository):
    async def scan_links(self, *args: Any, after: str = "", limit: int = 1000, **options: Any) -> list[Link]:
        found = [link for link in await super().scan_links(*args, limit=10**6, **options) if link.markmail_id > after]
        return sorted(found, key=lambda link: link.markmail_id.lower())[:limit]


class ScansFromAfterInclusive(MemoryRepository):
    async def scan_links(self, *args: Any, after: str = "", limit: int = 1000, **options: Any) -> list[Link]:
        found = await super().scan_links(*args, limit=10**6, **options)
        return [link for link in found if link.markmail_id >= after][:limit]


class ScansEveryStatus(MemoryRepository):
    async def scan_links(self, *args: Any, statuses: object = (), **options: Any) -> list[Link]:
        return await super().scan_links(*args, **options)


class MixesObjects(MemoryRepository):
    async def links_by_local(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        known = self._integrations[integration_id].objects
        return {key: state.links[key] for state in known.values() for key in ids if key in state.links}


class KeepsCreatedAtOfNobody(MemoryRepository):
    """A replaced link looks newly made."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(
            lease, Acknowledgement(removed_links=tuple(link.markmail_id for link in acknowledgement.links))
        )
        await super().acknowledge(lease, acknowledgement)


class AcceptsAnyScope(MemoryRepository):
    async def add_journal(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        ours = [attrs.evolve(entry, entity_type=lease.entity_type) for entry in entries]
        await super().add_journal(lease, [attrs.evolve(entry, integration_id=lease.integration_id) for entry in ours])


class FailsOnMany(MemoryRepository):
    """As a database whose statements take a thousand variables."""

    async def links_by_local(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        if len(ids) > 999:
            raise StorageError("too many variables")
        return await super().links_by_local(integration_id, entity_type, ids)


BREACHES: Breaches = [
    (StoresHalf, RepositoryContract.test_a_page_that_cannot_be_stored_changes_nothing),
    (StoresLinkByLink, RepositoryContract.test_a_page_that_cannot_be_stored_changes_nothing),
    (StoresLinkByLink, RepositoryContract.test_a_page_may_pass_crm_ids_around_among_its_links),
    (MergesLinks, RepositoryContract.test_a_link_replaces_the_one_with_its_markmail_id_whole),
    (InsertsBeforeRemoving, RepositoryContract.test_a_crm_id_passes_to_another_link_when_the_old_one_is_removed),
    (FoldsCase, RepositoryContract.test_ids_that_differ_in_case_or_accents_are_different),
    (ScansByInsertion, RepositoryContract.test_a_scan_goes_by_one_order_of_ids_from_wherever_it_begins),
    (ScansFromAfterInclusive, RepositoryContract.test_a_scan_may_be_of_some_statuses),
    (ScansEveryStatus, RepositoryContract.test_a_scan_may_be_of_some_statuses),
    (MixesObjects, RepositoryContract.test_links_of_other_scopes_are_neither_seen_nor_touched),
    (KeepsCreatedAtOfNobody, RepositoryContract.test_storing_sets_the_times_of_a_link),
    (AcceptsAnyScope, RepositoryContract.test_rows_of_another_scope_are_refused_under_a_lease),
    (FailsOnMany, RepositoryContract.test_thousands_of_links_are_stored_and_looked_up_at_once),
]
