"""The bookkeeping in this process's memory: for tests, demonstrations and dry runs. Nothing outlives the process."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from crmsync.errors import ConcurrentUpdateError, ConfigurationError, NotFoundError, StorageError
from crmsync.models.state import (
    CallUsage,
    Conflict,
    Cursors,
    JournalEntry,
    Lease,
    Link,
    LinkStatus,
    RemoteJob,
    SyncLog,
)
from crmsync.storage import admission
from crmsync.storage.memory_audit import MemoryAudit
from crmsync.storage.memory_changes import ChangeList, MemoryChangeHistory
from crmsync.storage.memory_conflicts import MemoryConflicts, replace_conflicts, resolve_conflicts
from crmsync.storage.memory_erasure import MemoryErasure
from crmsync.storage.memory_sealed import MemorySealedTexts
from crmsync.storage.memory_stops import MemoryStops, StopState
from crmsync.storage.memory_templates import MemoryTemplates
from crmsync.storage.memory_turns import MemoryTurns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import date

    from crmsync.models.integrations import Integration
    from crmsync.models.state import Acknowledgement, Allowance

_SCHEME = "memory://"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@attrs.define(slots=True)
class _ObjectState:
    """One object of one integration. ``by_remote`` maps the crm_id of every link that has one to its markmail_id.

    ``lease`` is None while nobody holds it; ``fence`` is the last one given out and never falls.
    """

    links: dict[str, Link] = attrs.field(factory=dict)
    by_remote: dict[str, str] = attrs.field(factory=dict)
    lease: Lease | None = None
    fence: int = 0
    cursors: Cursors = attrs.field(factory=Cursors)
    journal: dict[str, JournalEntry] = attrs.field(factory=dict)
    jobs: dict[str, RemoteJob] = attrs.field(factory=dict)
    changes: ChangeList = attrs.field(factory=ChangeList)


@attrs.define(slots=True)
class _IntegrationState:
    """Everything that belongs to one integration, and goes with it."""

    integration: Integration
    objects: dict[str, _ObjectState] = attrs.field(factory=dict)
    conflicts: dict[str, Conflict] = attrs.field(factory=dict)
    logs: dict[str, SyncLog] = attrs.field(factory=dict)
    calls: dict[date, CallUsage] = attrs.field(factory=dict)
    stops: dict[str, StopState] = attrs.field(factory=dict)
    erased: dict[bytes, datetime] = attrs.field(factory=dict)


class MemoryRepository(
    MemoryConflicts,
    MemoryStops,
    MemoryChangeHistory,
    MemorySealedTexts,
    MemoryErasure,
    MemoryTemplates,
    MemoryTurns,
    MemoryAudit,
):
    """A `SyncRepository` and `TurnRepository` in memory.

    No method gives way to another task while it works, so each is atomic. Use it from one event loop.
    ``now`` is the clock for the times that the storage itself sets.
    """

    def __init__(self, *, now: Callable[[], datetime] = _utc_now) -> None:
        super().__init__()
        self._now = now
        self._integrations: dict[str, _IntegrationState] = {}

    async def save_integration(self, integration: Integration) -> None:
        """See `SyncRepository`."""
        settled = admission.settled_integration(integration)
        known = self._integrations.setdefault(integration.id, _IntegrationState(settled))
        known.integration = settled

    async def get_integration(self, integration_id: str) -> Integration:
        """See `SyncRepository`."""
        return self._state(integration_id).integration.model_copy(deep=True)

    async def change_integration(
        self, integration_id: str, change: Callable[[Integration], Integration]
    ) -> Integration:
        """See `SyncRepository`."""
        state = self._state(integration_id)
        state.integration = admission.settled_integration(change(state.integration.model_copy(deep=True)))
        return state.integration.model_copy(deep=True)

    async def list_integrations(self, user_id: str | None = None) -> list[Integration]:
        """See `SyncRepository`."""
        states = (self._integrations[key].integration for key in sorted(self._integrations))
        return [found.model_copy(deep=True) for found in states if user_id is None or found.user_id == user_id]

    async def delete_integration(self, integration_id: str) -> None:
        """See `SyncRepository`."""
        self._state(integration_id)
        del self._integrations[integration_id]

    async def acquire_lease(
        self, integration_id: str, entity_type: str, owner: str, *, now: datetime, ttl: timedelta
    ) -> Lease:
        """See `SyncRepository`."""
        state = self._state(integration_id).objects.setdefault(entity_type, _ObjectState())
        held = state.lease
        if held is not None and held.owner != owner and held.expires_at > now:
            msg = f"{held.owner!r} is running {entity_type!r} of integration {integration_id!r}; try again later"
            raise ConcurrentUpdateError(msg)
        state.fence += 1
        state.lease = Lease(integration_id, entity_type, owner, state.fence, admission.as_utc(now + ttl))
        return state.lease

    async def renew_lease(self, lease: Lease, *, now: datetime, ttl: timedelta) -> Lease:
        """See `SyncRepository`."""
        state = self._fenced(lease)
        state.lease = attrs.evolve(lease, expires_at=admission.as_utc(now + ttl))
        return state.lease

    async def release_lease(self, lease: Lease) -> None:
        """See `SyncRepository`."""
        state = self._object(lease.integration_id, lease.entity_type)
        if _holds(state, lease):
            state.lease = None

    async def links_by_local(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        """See `SyncRepository`."""
        links = self._object(integration_id, entity_type).links
        return {key: links[key] for key in ids if key in links}

    async def links_by_remote(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        """See `SyncRepository`."""
        state = self._object(integration_id, entity_type)
        return {key: state.links[state.by_remote[key]] for key in ids if key in state.by_remote}

    async def scan_links(
        self,
        integration_id: str,
        entity_type: str,
        *,
        statuses: Sequence[LinkStatus] = (),
        after: str = "",
        limit: int = 1000,
    ) -> list[Link]:
        """See `SyncRepository`."""
        links = self._object(integration_id, entity_type).links
        wanted = sorted(key for key, link in links.items() if key > after and (not statuses or link.status in statuses))
        return [links[key] for key in wanted[:limit]]

    async def count_links(self, integration_id: str, entity_type: str) -> Mapping[LinkStatus, int]:
        """See `SyncRepository`."""
        return Counter(link.status for link in self._object(integration_id, entity_type).links.values())

    async def get_cursors(self, integration_id: str, entity_type: str) -> Cursors:
        """See `SyncRepository`."""
        return self._object(integration_id, entity_type).cursors

    async def add_journal(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        """See `SyncRepository`."""
        self._fenced(lease).journal.update(admission.settled_journal(lease, entries))

    async def list_journal(self, integration_id: str, entity_type: str) -> list[JournalEntry]:
        """See `SyncRepository`."""
        entries = self._object(integration_id, entity_type).journal.values()
        return [attrs.evolve(entry, sent=dict(entry.sent), before=dict(entry.before)) for entry in entries]

    async def add_remote_job(self, lease: Lease, job: RemoteJob) -> None:
        """See `SyncRepository`."""
        self._fenced(lease).jobs[job.job_id] = admission.settled_job(job)

    async def list_remote_jobs(self, integration_id: str, entity_type: str) -> list[RemoteJob]:
        """See `SyncRepository`."""
        return list(self._object(integration_id, entity_type).jobs.values())

    async def remove_remote_job(self, lease: Lease, job_id: str) -> None:
        """See `SyncRepository`."""
        self._fenced(lease).jobs.pop(job_id, None)

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        """See `SyncRepository`."""
        state = self._fenced(lease)
        now = self._now()
        links = admission.settled_links(lease, acknowledgement, now)
        conflicts = admission.settled_conflicts(lease, acknowledgement, now)
        changes = admission.settled_changes(lease, acknowledgement, now)
        _check_crm_ids(state, links, acknowledgement.removed_links)
        # From here on nothing can fail, so all of it happens.
        _replace_links(state, links, acknowledgement.removed_links)
        stored = self._conflicts_of(lease.integration_id)
        replace_conflicts(stored, conflicts.values())
        resolve_conflicts(stored, acknowledgement, lease.owner, now)
        for op_id in acknowledgement.done:
            state.journal.pop(op_id, None)
        state.changes.add(changes)
        state.cursors = acknowledgement.cursors or state.cursors

    async def add_log(self, log: SyncLog) -> None:
        """See `SyncRepository`."""
        logs = self._state(log.integration_id).logs
        known = logs.get(log.id)
        settled = admission.settled_log(log, self._now())
        logs[log.id] = settled if known is None else attrs.evolve(settled, created_at=known.created_at)

    async def list_logs(
        self, integration_id: str, entity_type: str | None = None, *, limit: int = 100
    ) -> list[SyncLog]:
        """See `SyncRepository`."""
        known = self._integrations.get(integration_id)
        logs = [log for log in (known.logs.values() if known else ()) if entity_type in (None, log.entity_type)]
        logs.sort(key=lambda log: (log.started_at, log.id), reverse=True)
        return [attrs.evolve(log, error_details=admission.json_copy(log.error_details)) for log in logs[:limit]]

    async def purge_logs(self, integration_id: str, entity_type: str, *, started_before: datetime) -> int:
        """See `SyncRepository`."""
        known = self._integrations.get(integration_id)
        logs = known.logs if known else {}
        old = [log.id for log in logs.values() if log.entity_type == entity_type and log.started_at < started_before]
        for log_id in old:
            del logs[log_id]
        return len(old)

    async def reserve_calls(
        self, integration_id: str, day: date, wanted: int, *, needed: int, limit: int | None
    ) -> int:
        """See `SyncRepository`."""
        calls = self._state(integration_id).calls
        known = calls.setdefault(day, CallUsage(integration_id, day))
        taken = admission.granted(known.taken, wanted, needed, limit)
        calls[day] = attrs.evolve(known, taken=known.taken + taken)
        return taken

    async def return_calls(
        self, integration_id: str, day: date, unused: int, *, allowance: Allowance | None = None
    ) -> None:
        """See `SyncRepository`."""
        known = await self.get_call_usage(integration_id, day)
        state = self._integrations.get(integration_id)
        if state is not None and day in state.calls:
            seen = admission.newer_allowance(known.allowance, allowance)
            state.calls[day] = attrs.evolve(known, taken=max(0, known.taken - unused), allowance=seen)

    async def get_call_usage(self, integration_id: str, day: date) -> CallUsage:
        """See `SyncRepository`."""
        known = self._integrations.get(integration_id)
        return known.calls.get(day, CallUsage(integration_id, day)) if known else CallUsage(integration_id, day)

    def _stored(self) -> dict[str, Integration]:
        return {key: state.integration for key, state in self._integrations.items()}

    def _store(self, integration: Integration) -> None:
        self._integrations[integration.id].integration = integration

    def _stops(self, integration_id: str) -> dict[str, StopState]:
        return self._state(integration_id).stops

    def _state(self, integration_id: str) -> _IntegrationState:
        try:
            return self._integrations[integration_id]
        except KeyError:
            msg = f"there is no integration {integration_id!r}"
            raise NotFoundError(msg) from None

    def _object(self, integration_id: str, entity_type: str) -> _ObjectState:
        """The state to read from; an empty one of its own where nothing is known."""
        known = self._integrations.get(integration_id)
        return known.objects.get(entity_type, _ObjectState()) if known else _ObjectState()

    def _change_list(self, integration_id: str, entity_type: str) -> ChangeList:
        return self._object(integration_id, entity_type).changes

    def _journal_of(self, integration_id: str, entity_type: str) -> dict[str, JournalEntry]:
        return self._object(integration_id, entity_type).journal

    def _rows(self, lease: Lease) -> tuple[_IntegrationState, _ObjectState]:
        ours = self._fenced(lease)
        return self._state(lease.integration_id), ours

    def _erased(self, integration_id: str) -> dict[bytes, datetime]:
        known = self._integrations.get(integration_id)
        return known.erased if known else {}

    def _fenced(self, lease: Lease) -> _ObjectState:
        state = self._object(lease.integration_id, lease.entity_type)
        if not _holds(state, lease):
            raise admission.lost(lease)
        return state

    def _conflicts_of(self, integration_id: str) -> dict[str, Conflict]:
        known = self._integrations.get(integration_id)
        return known.conflicts if known else {}

    def _journals_of(self, integration_id: str) -> list[dict[str, JournalEntry]]:
        known = self._integrations.get(integration_id)
        return [state.journal for state in known.objects.values()] if known else []


def _holds(state: _ObjectState, lease: Lease) -> bool:
    return state.lease is not None and (state.lease.owner, state.lease.fence) == (lease.owner, lease.fence)


def _check_crm_ids(state: _ObjectState, links: dict[str, Link], removed: Sequence[str]) -> None:
    """Refuse links after which two would hold one crm_id."""
    moving = {*removed, *links}
    taken: set[str] = set()
    for link in links.values():
        if link.crm_id is None:
            continue
        if link.crm_id in taken or state.by_remote.get(link.crm_id, link.markmail_id) not in moving:
            msg = f"CRM record {link.crm_id!r} would be linked twice"
            raise StorageError(msg)
        taken.add(link.crm_id)


def _replace_links(state: _ObjectState, links: dict[str, Link], removed: Sequence[str]) -> None:
    gone_for_good = set(removed)
    known = [key for key in links if key in state.links and key not in gone_for_good]
    created_at = {key: state.links[key].created_at for key in known}
    for key in (*removed, *links):
        gone = state.links.pop(key, None)
        if gone is not None and gone.crm_id is not None:
            state.by_remote.pop(gone.crm_id, None)
    for key, link in links.items():
        began = created_at.get(key, link.created_at)
        state.links[key] = link if began == link.created_at else attrs.evolve(link, created_at=began)
        if link.crm_id is not None:
            state.by_remote[link.crm_id] = key


_SHARED: dict[str, MemoryRepository] = {}
"""The repositories of ``memory://name``, kept for the life of the process."""


@asynccontextmanager
async def open_repository(url: str = _SCHEME, **options: Any) -> AsyncIterator[MemoryRepository]:
    """Open a repository in memory. ``memory://`` is a new one each time; ``memory://name`` is one for each name.

    :param options: ``now``, the clock for a new repository.
    :raises ConfigurationError: the URL is not one of memory, or an option is unknown.
    """
    if not url.startswith(_SCHEME):
        msg = f"a memory repository's URL begins with {_SCHEME}"
        raise ConfigurationError(msg)
    unknown = sorted(options.keys() - {"now"})
    if unknown:
        msg = f"a memory repository takes no option {', '.join(unknown)}"
        raise ConfigurationError(msg)
    name = url.removeprefix(_SCHEME)
    if not name:
        yield MemoryRepository(**options)
        return
    if name not in _SHARED:
        _SHARED[name] = MemoryRepository(**options)
    yield _SHARED[name]
