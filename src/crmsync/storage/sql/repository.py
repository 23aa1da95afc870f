"""The bookkeeping in a SQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from crmsync.errors import ConfigurationError, NotFoundError
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
from crmsync.storage import admission
from crmsync.storage.sql import calls, counts, leases, lookups, pages, rows, tables
from crmsync.storage.sql.audit import SqlAudit
from crmsync.storage.sql.changes import SqlChangeHistory
from crmsync.storage.sql.conflicts import SqlConflicts
from crmsync.storage.sql.database import Database, open_database
from crmsync.storage.sql.erasure import SqlErasure
from crmsync.storage.sql.reading import fetch
from crmsync.storage.sql.revision import HEAD, check_writable, current_revision
from crmsync.storage.sql.sealed import SqlSealedTexts
from crmsync.storage.sql.statements import AnyRow, of_object, store
from crmsync.storage.sql.stops import SqlStops
from crmsync.storage.sql.templates import SqlTemplates
from crmsync.storage.sql.turns import SqlTurns

T = TypeVar("T")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SqlRepository(
    SqlConflicts, SqlStops, SqlChangeHistory, SqlSealedTexts, SqlErasure, SqlTemplates, SqlAudit, SqlTurns
):
    """A `SyncRepository` and `TurnRepository` in SQLite or PostgreSQL.

    ``database`` holds the current schema. ``now`` is the clock for the times that the storage itself sets.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._database = database
        self._now = now

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database.name})"

    async def save_integration(self, integration: Integration) -> None:
        row = rows.integration_row(admission.settled_integration(integration))
        await self._database.write(lambda connection: store(connection, tables.integrations, ("id",), [row]))

    async def get_integration(self, integration_id: str) -> Integration:
        table = tables.integrations
        found = await self._select(sa.select(table).where(table.c.id == integration_id), rows.integration_of)
        return _only(found, f"there is no integration {integration_id!r}")

    async def change_integration(
        self, integration_id: str, change: Callable[[Integration], Integration]
    ) -> Integration:
        table = tables.integrations
        # SQLite's transactions that write exclude each other; elsewhere the row itself is locked.
        query = sa.select(table).where(table.c.id == integration_id).with_for_update()

        def changed(connection: Connection) -> Integration:
            found = fetch(connection, query, rows.integration_of)
            present = _only(found, f"there is no integration {integration_id!r}")
            settled = admission.settled_integration(change(present))
            store(connection, table, ("id",), [rows.integration_row(settled)])
            return settled

        return await self._database.write(changed)

    async def list_integrations(self, user_id: str | None = None) -> list[Integration]:
        table = tables.integrations
        query = sa.select(table).order_by(table.c.id)
        query = query if user_id is None else query.where(table.c.user_id == user_id)
        return await self._select(query, rows.integration_of)

    async def delete_integration(self, integration_id: str) -> None:
        table = tables.integrations
        lock = sa.select(table.c.id).where(table.c.id == integration_id).with_for_update()
        delete = sa.delete(table).where(table.c.id == integration_id)

        def work(connection: Connection) -> None:
            if connection.scalar(lock) is None:
                raise NotFoundError(f"there is no integration {integration_id!r}")

        # A tenant may write down what it did to its own integrations alone, and so while it still has this one.
        await self._database.write(work, then=lambda connection: connection.execute(delete))

    async def acquire_lease(
        self, integration_id: str, entity_type: str, owner: str, *, now: datetime, ttl: timedelta
    ) -> Lease:
        wanted = Lease(integration_id, entity_type, owner, 0, admission.as_utc(now + ttl))
        return await self._database.write(lambda connection: leases.acquire(connection, wanted, now))

    async def renew_lease(self, lease: Lease, *, now: datetime, ttl: timedelta) -> Lease:
        return await self._database.write(lambda connection: leases.renew(connection, lease, now, ttl))

    async def release_lease(self, lease: Lease) -> None:
        await self._database.write(lambda connection: leases.release(connection, lease))

    async def links_by_local(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        found = await self._links(integration_id, entity_type, tables.links.c.markmail_id, ids)
        return {link.markmail_id: link for link in found}

    async def links_by_remote(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        found = await self._links(integration_id, entity_type, tables.links.c.crm_id, ids)
        return {link.crm_id: link for link in found if link.crm_id is not None}

    async def scan_links(
        self,
        integration_id: str,
        entity_type: str,
        *,
        statuses: Sequence[LinkStatus] = (),
        after: str = "",
        limit: int = 1000,
    ) -> list[Link]:
        return await self._database.read(
            lambda connection: lookups.scan(connection, integration_id, entity_type, statuses, after, limit)
        )

    async def count_links(self, integration_id: str, entity_type: str) -> Mapping[LinkStatus, int]:
        return await self._database.read(lambda connection: counts.counted(connection, integration_id, entity_type))

    async def get_cursors(self, integration_id: str, entity_type: str) -> Cursors:
        columns = tables.cursors.c
        query = sa.select(columns.local_cursor, columns.remote_cursor, columns.mapping_version, columns.unkeyed_after)
        ours = of_object(tables.cursors, integration_id, entity_type)
        found = await self._select(query.where(ours), lambda row: Cursors(*row))
        return found[0] if found else Cursors()

    async def add_journal(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        journal_rows = [rows.journal_row(entry) for entry in admission.settled_journal(lease, entries).values()]

        def work(connection: Connection) -> None:
            leases.check_fence(connection, lease)
            store(connection, tables.journal, ("integration_id", "entity_type", "op_id"), journal_rows)

        await self._database.write(work)

    async def list_journal(self, integration_id: str, entity_type: str) -> list[JournalEntry]:
        table = tables.journal
        query = sa.select(table).where(of_object(table, integration_id, entity_type)).order_by(table.c.id)
        return await self._select(query, rows.journal_of)

    async def add_remote_job(self, lease: Lease, job: RemoteJob) -> None:
        row = rows.job_row(lease.integration_id, lease.entity_type, admission.settled_job(job))

        def work(connection: Connection) -> None:
            leases.check_fence(connection, lease)
            store(connection, tables.remote_jobs, ("integration_id", "entity_type", "job_id"), [row])

        await self._database.write(work)

    async def list_remote_jobs(self, integration_id: str, entity_type: str) -> list[RemoteJob]:
        table = tables.remote_jobs
        query = sa.select(table).where(of_object(table, integration_id, entity_type)).order_by(table.c.id)
        return await self._select(query, rows.job_of)

    async def remove_remote_job(self, lease: Lease, job_id: str) -> None:
        table = tables.remote_jobs
        ours = of_object(table, lease.integration_id, lease.entity_type)

        def work(connection: Connection) -> None:
            leases.check_fence(connection, lease)
            connection.execute(sa.delete(table).where(ours, table.c.job_id == job_id))

        await self._database.write(work)

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        now = self._now()
        links = list(admission.checked_links(lease, acknowledgement).values())
        conflicts = list(admission.settled_conflicts(lease, acknowledgement, now).values())
        changes = admission.settled_changes(lease, acknowledgement, now)
        await self._database.write(
            lambda connection: pages.acknowledge(connection, lease, acknowledgement, (links, conflicts, changes), now)
        )

    async def add_log(self, log: SyncLog) -> None:
        row = rows.log_row(admission.settled_log(log, self._now()))
        keys = ("integration_id", "id")
        await self._database.write(lambda connection: store(connection, tables.logs, keys, [row], kept=("created_at",)))

    async def list_logs(
        self, integration_id: str, entity_type: str | None = None, *, limit: int = 100
    ) -> list[SyncLog]:
        columns = tables.logs.c
        query = sa.select(tables.logs).where(columns.integration_id == integration_id)
        if entity_type is not None:
            query = query.where(columns.entity_type == entity_type)
        newest_first = query.order_by(columns.started_at.desc(), columns.id.desc()).limit(limit)
        return await self._select(newest_first, rows.log_of)

    async def purge_logs(self, integration_id: str, entity_type: str, *, started_before: datetime) -> int:
        older = tables.logs.c.started_at < admission.as_utc(started_before)
        statement = sa.delete(tables.logs).where(of_object(tables.logs, integration_id, entity_type), older)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def reserve_calls(
        self, integration_id: str, day: date, wanted: int, *, needed: int, limit: int | None
    ) -> int:
        usage = CallUsage(integration_id, day, wanted)
        return await self._database.write(lambda connection: calls.reserve(connection, usage, needed, limit))

    async def return_calls(
        self, integration_id: str, day: date, unused: int, *, allowance: Allowance | None = None
    ) -> None:
        usage = CallUsage(integration_id, day, unused, allowance)
        await self._database.write(lambda connection: calls.give_back(connection, usage))

    async def get_call_usage(self, integration_id: str, day: date) -> CallUsage:
        return await self._database.read(lambda connection: calls.find(connection, integration_id, day))

    async def _links(
        self, integration_id: str, entity_type: str, column: sa.Column[Any], ids: Sequence[str]
    ) -> list[Link]:
        if not ids:
            return []
        return await self._database.read(
            lambda connection: lookups.by_id(connection, integration_id, entity_type, column, ids)
        )

    async def _select(self, query: sa.Select[Any], build: Callable[[AnyRow], T]) -> list[T]:
        return await self._database.read(lambda connection: fetch(connection, query, build))


def _only(found: Sequence[T], otherwise: str) -> T:
    if not found:
        raise NotFoundError(otherwise)
    return found[0]


@asynccontextmanager
async def open_repository(url: str, **options: Any) -> AsyncIterator[SqlRepository]:
    """Open the bookkeeping at ``sqlite:///path``, ``sqlite://`` (in memory) or ``postgresql://...``.

    The schema is created or upgraded first; many may open a new database at once. An SQLite file that does not exist
    is created for its owner alone; its directory must exist. Everything is closed at the end. ``table_prefix`` and
    ``schema`` in the URL say how the tables are called and where they are.

    :param options: ``now``, the clock for the times that the storage itself sets.
    :raises ConfigurationError: the URL is malformed, of another kind of database, or an option is unknown.
    :raises MissingExtraError: PostgreSQL's driver is not installed.
    :raises StorageError: it cannot be opened, is read-only, or is newer than this crmsync.
    """
    unknown = sorted(options.keys() - {"now"})
    if unknown:
        raise ConfigurationError(f"SQL storage takes no option {', '.join(unknown)}")
    async with open_database(url) as database:
        await database.manage(lambda engine: _bring_up_to_date(engine, database.name))
        yield SqlRepository(database, **options)


def _bring_up_to_date(engine: Engine, name: str) -> None:
    with engine.connect() as connection, connection.begin():
        if current_revision(connection) == HEAD:
            check_writable(connection, name)
            return
    from crmsync.storage.sql import schema  # noqa: PLC0415 - a current database needs no Alembic

    schema.upgrade(engine, name)
