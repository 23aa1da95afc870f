"""The erasure of people in a SQL database."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.models.erasure import Kept, PersonIds
from crmsync.models.state import Lease, LinkStatus
from crmsync.storage import admission
from crmsync.storage.forgetting import all_ids, names_any, without_details, without_ids
from crmsync.storage.sql.counts import recount
from crmsync.storage.sql.database import Database
from crmsync.storage.sql.leases import check_fence
from crmsync.storage.sql.statements import IDS_PER_STATEMENT, insert_into, of_object, parts
from crmsync.storage.sql.stops import records_of
from crmsync.storage.sql.tables import (
    UNSYNCED,
    changes,
    conflicts,
    erasures,
    journal,
    links,
    logs,
    stopped_records,
    stops,
)

_WITH_CANDIDATES: Final = tuple(status for status in LinkStatus if status is not LinkStatus.SYNCED)
_ROWS: Final = {Kept.LINKS: links, Kept.CONFLICTS: conflicts, Kept.CHANGES: changes, Kept.JOURNAL: journal}


class SqlErasure:
    """The `ErasureRepository` part of a repository in a SQL database."""

    _database: Database

    async def erase_person(
        self, lease: Lease, ids: PersonIds, marks: Collection[bytes], *, now: datetime
    ) -> Mapping[Kept, int]:
        moment = admission.as_utc(now)
        rows = [{"integration_id": lease.integration_id, "digest": mark, "erased_at": moment} for mark in marks]

        def work(connection: Connection) -> Mapping[Kept, int]:
            check_fence(connection, lease)
            counts = {kind: _drop(connection, table, lease, ids) for kind, table in _ROWS.items()}
            if counts[Kept.LINKS]:
                recount(connection, lease)
            both = all_ids(ids)
            _clean_candidates(connection, lease, both)
            counts[Kept.LOGS] = _clean_logs(connection, lease, both)
            counts[Kept.STOPS] = _drop_stop(connection, lease, both)
            if rows:
                connection.execute(insert_into(connection, erasures).on_conflict_do_nothing(), rows)
            return {kind: count for kind, count in counts.items() if count}

        return await self._database.write(work)

    async def erased_among(self, integration_id: str, marks: Collection[bytes]) -> frozenset[bytes]:
        queries = [sa.select(erasures.c.digest).where(one) for one in _of_marks(integration_id, marks)]
        return await self._database.read(
            lambda connection: frozenset(mark for query in queries for mark in connection.execute(query).scalars())
        )

    async def count_erased(self, integration_id: str) -> int:
        query = sa.select(sa.func.count()).where(erasures.c.integration_id == integration_id)
        return await self._database.read(lambda connection: int(connection.execute(query).scalar_one()))

    async def forget_erased(self, integration_id: str, marks: Collection[bytes]) -> int:
        statements = [sa.delete(erasures).where(one) for one in _of_marks(integration_id, marks)]
        return await self._database.write(
            lambda connection: sum(connection.execute(statement).rowcount for statement in statements)
        )


def _of_marks(integration_id: str, marks: Collection[bytes]) -> Iterator[sa.ColumnElement[bool]]:
    wanted = sorted(set(marks))
    for start in range(0, len(wanted), IDS_PER_STATEMENT):
        part = wanted[start : start + IDS_PER_STATEMENT]
        yield sa.and_(erasures.c.integration_id == integration_id, erasures.c.digest.in_(part))


def _drop(connection: Connection, table: sa.Table, lease: Lease, ids: PersonIds) -> int:
    ours = of_object(table, lease.integration_id, lease.entity_type)
    columns = ((table.c.markmail_id, ids.markmail_ids), (table.c.crm_id, ids.crm_ids))
    statements = [sa.delete(table).where(ours, column.in_(part)) for column, some in columns for part in parts(some)]
    return sum(connection.execute(statement).rowcount for statement in statements)


def _clean_candidates(connection: Connection, lease: Lease, ids: Collection[str]) -> None:
    """Take the ids from the candidates of records that wait for a decision, or were set aside; only those have any."""
    ours = of_object(links, lease.integration_id, lease.entity_type)
    unsettled = links.c.sync_status.in_([status.value for status in _WITH_CANDIDATES])
    columns = (links.c.markmail_id, links.c.candidates)
    query = sa.select(*columns).where(ours, UNSYNCED, unsettled, links.c.candidates.is_not(None))
    for markmail_id, candidates in connection.execute(query).all():
        left = without_ids(candidates or (), ids)
        if left != candidates:
            one = sa.update(links).where(ours, links.c.markmail_id == markmail_id)
            connection.execute(one.values(candidates=left))


def _clean_logs(connection: Connection, lease: Lease, ids: Collection[str]) -> int:
    ours = of_object(logs, lease.integration_id, lease.entity_type)
    cleaned: list[tuple[str, dict[str, Any]]] = []
    for log_id, details in connection.execute(sa.select(logs.c.id, logs.c.error_details).where(ours)):
        left = without_details(details, ids)
        if left != details:
            cleaned.append((log_id, left))
    for log_id, left in cleaned:
        connection.execute(sa.update(logs).where(ours, logs.c.id == log_id).values(error_details=left))
    return len(cleaned)


def _drop_stop(connection: Connection, lease: Lease, ids: Collection[str]) -> int:
    scope = (lease.integration_id, lease.entity_type)
    query = sa.select(stopped_records).where(of_object(stopped_records, *scope))
    if not any(names_any(record, ids) for row in connection.execute(query) for record in records_of(row)):
        return 0
    connection.execute(sa.delete(stopped_records).where(of_object(stopped_records, *scope)))
    return connection.execute(sa.delete(stops).where(of_object(stops, *scope))).rowcount
