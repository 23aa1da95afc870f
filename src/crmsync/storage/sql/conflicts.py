"""The conflicts of a `SqlRepository`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.errors import NotFoundError
from crmsync.models.state import Acknowledgement, Conflict, ConflictSelection, ConflictStatus, Decision, Lease
from crmsync.storage import admission
from crmsync.storage.forgetting import journaled_without_values
from crmsync.storage.sql import rows
from crmsync.storage.sql.database import Database
from crmsync.storage.sql.reading import fetch
from crmsync.storage.sql.statements import insert_into, parts
from crmsync.storage.sql.tables import conflicts, journal

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class SqlConflicts:
    """See `ConflictRepository`."""

    _database: Database

    async def list_conflicts(
        self,
        integration_id: str,
        entity_type: str | None = None,
        *,
        statuses: Sequence[ConflictStatus] = (),
        markmail_ids: Sequence[str] | None = None,
        limit: int = 1000,
    ) -> list[Conflict]:
        query = sa.select(conflicts).where(conflicts.c.integration_id == integration_id)
        if entity_type is not None:
            query = query.where(conflicts.c.entity_type == entity_type)
        if statuses:
            query = query.where(conflicts.c.status.in_([status.value for status in statuses]))
        query = query.order_by(conflicts.c.created_at, conflicts.c.id).limit(limit)
        if markmail_ids is None:
            return await self._found([query])
        found = await self._found([query.where(conflicts.c.markmail_id.in_(part)) for part in parts(markmail_ids)])
        # Each part came in order and within the limit; together they need both again.
        return sorted(found, key=lambda conflict: (conflict.created_at or _LONG_AGO, conflict.id))[:limit]

    async def get_conflict(self, integration_id: str, conflict_id: str) -> Conflict:
        found = await self._found([sa.select(conflicts).where(_of(integration_id), conflicts.c.id == conflict_id)])
        if not found:
            raise NotFoundError(f"there is no conflict {conflict_id!r} in integration {integration_id!r}")
        return found[0]

    async def decide_conflicts(
        self, integration_id: str, decisions: Mapping[str, Decision], *, now: datetime
    ) -> list[Conflict]:
        moment = admission.as_utc(now)
        statements = [
            sa.update(conflicts)
            .where(_of(integration_id), conflicts.c.id == key, conflicts.c.status != ConflictStatus.RESOLVED.value)
            .values(
                status=ConflictStatus.DECIDED.value,
                winner=decision.winner and decision.winner.value,
                given_value=admission.json_copy(decision.value),
                decided_by=decision.by,
                decided_at=moment,
            )
            .returning(*conflicts.c)
            for key, decision in decisions.items()
        ]
        return await self._database.write(
            lambda connection: [rows.conflict_of(row) for one in statements for row in connection.execute(one)]
        )

    async def erase_conflict_values(self, integration_id: str, selection: ConflictSelection, *, now: datetime) -> int:
        moment = admission.as_utc(now)
        return await self._database.write(lambda connection: _erase(connection, integration_id, selection, moment))

    async def _found(self, queries: Sequence[sa.Select[Any]]) -> list[Conflict]:
        return await self._database.read(
            lambda connection: [one for query in queries for one in fetch(connection, query, rows.conflict_of)]
        )


def store_conflicts(connection: Connection, stored: Sequence[Conflict]) -> None:
    """Insert a page's conflicts, or replace those of the same id. What was decided meanwhile is not open again."""
    if not stored:
        return
    keys = ("integration_id", "id")
    insert = insert_into(connection, conflicts)
    changes = {c.name: insert.excluded[c.name] for c in conflicts.c if c.name not in (*keys, "created_at")}
    decided_meanwhile = sa.and_(
        conflicts.c.status == ConflictStatus.DECIDED.value, insert.excluded.status == ConflictStatus.OPEN.value
    )
    upsert = insert.on_conflict_do_update(index_elements=keys, set_=changes, where=sa.not_(decided_meanwhile))
    connection.execute(upsert, [rows.conflict_row(conflict) for conflict in stored])


def resolve_conflicts(connection: Connection, lease: Lease, page: Acknowledgement, now: datetime) -> None:
    """Mark what still waits of those that a page resolves by id."""
    moment = page.resolved_at or now
    resolved = {"status": ConflictStatus.RESOLVED.value, "resolved_at": moment, "resolved_run_id": lease.owner}
    for part in parts(page.resolved_conflicts):
        waiting = sa.and_(
            _of(lease.integration_id), conflicts.c.id.in_(part), conflicts.c.status != ConflictStatus.RESOLVED.value
        )
        connection.execute(sa.update(conflicts).where(waiting).values(resolved))


def _of(integration_id: str) -> sa.ColumnElement[bool]:
    return conflicts.c.integration_id == integration_id


def _selected(integration_id: str, selection: ConflictSelection) -> list[sa.Select[Any]]:
    """Queries for the selected; several if ids are listed, as many as fit into a statement each."""
    columns = conflicts.c
    query = sa.select(columns.id, columns.resolved_at).where(_of(integration_id), columns.erased_at.is_(None))
    if selection.entity_type is not None:
        query = query.where(columns.entity_type == selection.entity_type)
    if selection.settled_until is not None:
        until = admission.as_utc(selection.settled_until)
        query = query.where(columns.status == ConflictStatus.RESOLVED.value, columns.resolved_at <= until)
    if selection.limit is not None:
        query = query.order_by(sa.nulls_first(columns.resolved_at.asc()), columns.id).limit(selection.limit)
    queries = [query]
    for column, wanted in ((columns.id, selection.ids), (columns.markmail_id, selection.markmail_ids)):
        if wanted is not None:
            queries = [one.where(column.in_(part)) for one in queries for part in parts(wanted)]
    return queries


def _erase(connection: Connection, integration_id: str, selection: ConflictSelection, now: datetime) -> int:
    queries = _selected(integration_id, selection)
    found = sorted((row[1] or _LONG_AGO, row[0]) for query in queries for row in connection.execute(query))
    ids = [conflict_id for _, conflict_id in found[: selection.limit]]
    blank = {"local_value": None, "remote_value": None, "given_value": None, "erased_at": now}
    undecided = {"status": ConflictStatus.OPEN.value, "decided_by": None, "decided_at": None}
    for part in parts(ids):
        those = sa.and_(_of(integration_id), conflicts.c.id.in_(part))
        to_be_written = sa.and_(those, conflicts.c.status == ConflictStatus.DECIDED.value, conflicts.c.winner.is_(None))
        connection.execute(sa.update(conflicts).where(to_be_written).values(undecided))
        connection.execute(sa.update(conflicts).where(those).values(blank))
    _erase_journaled(connection, integration_id, selection, now)
    return len(ids)


def _erase_journaled(connection: Connection, integration_id: str, selection: ConflictSelection, now: datetime) -> None:
    """Of what a crashed run has left; while none has, and none is at work, there is nothing."""
    query = sa.select(journal).where(journal.c.integration_id == integration_id)
    for row in connection.execute(query).all():
        entry = rows.journal_of(row)
        left = journaled_without_values(entry, selection, now)
        if left != entry:
            changed = {"conflicts": rows.journal_row(left)["conflicts"]}
            connection.execute(sa.update(journal).where(journal.c.id == row.id).values(changed))
