"""The contract of the bookkeeping: integrations, links, cursors, leases, journal, conflicts, logs, calls, templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from crmsync.models.integrations import Integration
from crmsync.models.state import (
    Acknowledgement,
    Allowance,
    CallUsage,
    Cursors,
    JournalEntry,
    Lease,
    Link,
    LinkStatus,
    RemoteJob,
    SyncLog,
)
from crmsync.protocols.audit import AuditRepository
from crmsync.protocols.conflicts import ConflictRepository
from crmsync.protocols.erasure import ErasureRepository
from crmsync.protocols.history import ChangeHistory
from crmsync.protocols.sealed import SealedTexts
from crmsync.protocols.stops import StopRepository
from crmsync.protocols.templates import TemplateRepository


@runtime_checkable
class SyncRepository(
    ConflictRepository,
    StopRepository,
    ChangeHistory,
    SealedTexts,
    ErasureRepository,
    TemplateRepository,
    AuditRepository,
    Protocol,
):
    """Where the bookkeeping lives. Every method is scoped to one integration, but those on integrations, sealed texts
    and templates.

    Everything raises `StorageError` when the storage fails. Times are aware UTC. Methods are safe for concurrent calls.
    """

    async def save_integration(self, integration: Integration) -> None:
        """Insert or replace."""
        ...

    async def get_integration(self, integration_id: str) -> Integration:
        """:raises NotFoundError: there is none."""
        ...

    async def change_integration(
        self, integration_id: str, change: Callable[[Integration], Integration]
    ) -> Integration:
        """Read, change and save in one step: what another process saves meanwhile is not lost. Returns what was saved.

        ``change`` is quick, does no I/O, keeps the id, and may be called in a worker thread, and more than once. What
        it raises leaves the integration as it was.

        :raises NotFoundError: there is none.
        """
        ...

    async def list_integrations(self, user_id: str | None = None) -> list[Integration]:
        """All, or one user's, ordered by id."""
        ...

    async def delete_integration(self, integration_id: str) -> None:
        """Delete it with everything that belongs to it.

        :raises NotFoundError: there is none.
        """
        ...

    async def acquire_lease(
        self, integration_id: str, entity_type: str, owner: str, *, now: datetime, ttl: timedelta
    ) -> Lease:
        """Take the lease if it is free, expired, or held by this very owner; the fence grows by one each time.

        :raises NotFoundError: there is no such integration.
        :raises ConcurrentUpdateError: another owner holds it.
        """
        ...

    async def renew_lease(self, lease: Lease, *, now: datetime, ttl: timedelta) -> Lease:
        """Extend; the fence stays.

        :raises LeaseLostError: it was taken by another.
        """
        ...

    async def release_lease(self, lease: Lease) -> None:
        """Give it back; does nothing if it was taken by another."""
        ...

    async def links_by_local(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        """Links by markmail_id, of any status. Any number of ids."""
        ...

    async def links_by_remote(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        """Links by crm_id, of any status. Any number of ids."""
        ...

    async def scan_links(
        self,
        integration_id: str,
        entity_type: str,
        *,
        statuses: Sequence[LinkStatus] = (),
        after: str = "",
        limit: int = 1000,
    ) -> list[Link]:
        """The first links that come after a markmail_id; of these statuses, or of all.

        They come in an order of their markmail_ids that is the repository's own and stays the same, so that the last
        one of a page leads to the next. Every id comes after the empty one.
        """
        ...

    async def count_links(self, integration_id: str, entity_type: str) -> Mapping[LinkStatus, int]:
        """How many links have each status; statuses without links may be absent."""
        ...

    async def get_cursors(self, integration_id: str, entity_type: str) -> Cursors:
        """How far both sides were acknowledged; empty cursors if never."""
        ...

    async def add_journal(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        """Store entries before their writes are sent.

        :raises LeaseLostError: the lease was taken by another.
        """
        ...

    async def list_journal(self, integration_id: str, entity_type: str) -> list[JournalEntry]:
        """What was about to be sent and never acknowledged, in the order it was added."""
        ...

    async def add_remote_job(self, lease: Lease, job: RemoteJob) -> None:
        """Note a job at the CRM before it is given anything to do; one with its ``job_id`` is replaced.

        :raises LeaseLostError: the lease was taken by another; nothing is stored.
        """
        ...

    async def list_remote_jobs(self, integration_id: str, entity_type: str) -> list[RemoteJob]:
        """The jobs that are not known to be over, in the order they were first noted."""
        ...

    async def remove_remote_job(self, lease: Lease, job_id: str) -> None:
        """Forget a job that is over; does nothing if it is not noted.

        :raises LeaseLostError: the lease was taken by another; it stays noted.
        """
        ...

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        """Store a page's results in one transaction, fenced by the lease. Sets created_at/updated_at of links.

        :raises LeaseLostError: the lease was taken by another; nothing is stored.
        """
        ...

    async def add_log(self, log: SyncLog) -> None:
        """Insert or replace by id.

        :raises NotFoundError: there is no such integration.
        """
        ...

    async def list_logs(
        self, integration_id: str, entity_type: str | None = None, *, limit: int = 100
    ) -> list[SyncLog]:
        """Runs, newest first."""
        ...

    async def purge_logs(self, integration_id: str, entity_type: str, *, started_before: datetime) -> int:
        """Forget the runs that began before a moment; how many there were."""
        ...

    async def reserve_calls(
        self, integration_id: str, day: date, wanted: int, *, needed: int, limit: int | None
    ) -> int:
        """Take up to ``wanted`` calls of a day for one process; returns how many it got.

        It gets what ``limit`` leaves, but nothing if that is fewer than ``needed``. However many processes ask at once,
        they never get more than the limit together.

        :raises NotFoundError: there is no such integration.
        """
        ...

    async def return_calls(
        self, integration_id: str, day: date, unused: int, *, allowance: Allowance | None = None
    ) -> None:
        """Give back reserved calls that were not made (0: none), and note what the CRM said of its allowance.

        Does nothing if nothing was ever reserved that day. An allowance older than the one that is noted is ignored.
        """
        ...

    async def get_call_usage(self, integration_id: str, day: date) -> CallUsage:
        """What was taken of a day; nothing, if nothing was reserved."""
        ...


@runtime_checkable
class RepositoryFactory(Protocol):
    """What an entry point of the group ``crmsync.storage`` names; the entry point's name is the URL's scheme."""

    def __call__(self, url: str, **options: Any) -> AbstractAsyncContextManager[SyncRepository]:
        """An async context manager that yields a `SyncRepository`, migrated to the current schema.

        :raises StorageError: it cannot be opened, is read-only, or is newer than this crmsync.
        """
        ...
