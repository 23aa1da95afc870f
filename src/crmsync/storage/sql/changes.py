"""The history of changes in a SQL database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.models.history import FieldChange, RecordChange
from crmsync.models.records import OperationKind, Side
from crmsync.storage import admission
from crmsync.storage.sql.database import Database
from crmsync.storage.sql.reading import fetch
from crmsync.storage.sql.statements import AnyRow, of_object, parts
from crmsync.storage.sql.tables import changes, journal


class SqlChangeHistory:
    """The part of `SqlRepository` that is a `ChangeHistory`."""

    _database: Database

    async def list_changes(
        self,
        integration_id: str,
        entity_type: str,
        *,
        run_id: str | None = None,
        record_ids: Sequence[str] = (),
        before_id: int | None = None,
        limit: int = 1000,
    ) -> list[RecordChange]:
        query = sa.select(changes).where(of_object(changes, integration_id, entity_type))
        if run_id is not None:
            query = query.where(changes.c.run_id == run_id)
        if before_id is not None:
            query = query.where(changes.c.id < before_id)
        query = query.order_by(changes.c.id.desc()).limit(limit)
        queries = [query.where(_of_records(changes, part)) for part in parts(record_ids)] if record_ids else [query]

        def work(connection: Connection) -> list[RecordChange]:
            return [change for one in queries for change in fetch(connection, one, change_of)]

        # Each part came in order and within the limit; together they need both again.
        found = {change.id: change for change in await self._database.read(work)}
        return [found[number] for number in sorted(found, reverse=True)[:limit]]

    async def purge_changes(self, integration_id: str, entity_type: str, *, written_before: datetime) -> int:
        moment = admission.as_utc(written_before)
        return await self._forget(
            integration_id, entity_type, [changes.c.written_at < moment], [journal.c.started_at < moment]
        )

    async def erase_changes(self, integration_id: str, entity_type: str, record_ids: Sequence[str]) -> int:
        kept, under_way = ([_of_records(table, part) for part in parts(record_ids)] for table in (changes, journal))
        return await self._forget(integration_id, entity_type, kept, under_way)

    async def _forget(
        self,
        integration_id: str,
        entity_type: str,
        kept: Sequence[sa.ColumnElement[bool]],
        under_way: Sequence[sa.ColumnElement[bool]],
    ) -> int:
        scope, noted = of_object(changes, integration_id, entity_type), of_object(journal, integration_id, entity_type)

        def forget(connection: Connection) -> int:
            for one in under_way:
                connection.execute(sa.update(journal).where(noted, one).values(change=sa.null()))
            return sum(connection.execute(sa.delete(changes).where(scope, one)).rowcount for one in kept)

        return await self._database.write(forget)


def add_changes(connection: Connection, added: Sequence[RecordChange]) -> None:
    """Store them in the transaction that acknowledges their writes; the database numbers them."""
    if added:
        connection.execute(sa.insert(changes), [_row(change) for change in added])


def _row(change: RecordChange) -> dict[str, object]:
    row = attrs.asdict(change, filter=lambda attribute, _: attribute.name not in ("id", "fields"))
    row["side"], row["kind"] = change.side.value, change.kind.value
    row["fields"] = [attrs.astuple(one) for one in change.fields]
    return row


def change_of(row: AnyRow) -> RecordChange:
    """A change from its whole row."""
    return RecordChange(
        integration_id=row.integration_id,
        entity_type=row.entity_type,
        run_id=row.run_id,
        side=Side(row.side),
        kind=OperationKind(row.kind),
        markmail_id=row.markmail_id,
        crm_id=row.crm_id,
        fields=tuple(FieldChange(*one) for one in row.fields),
        written_at=row.written_at,
        id=row.id,
    )


def _of_records(table: sa.Table, ids: Sequence[str]) -> sa.ColumnElement[bool]:
    return sa.or_(table.c.markmail_id.in_(ids), table.c.crm_id.in_(ids))
