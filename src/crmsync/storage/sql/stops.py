"""Stopped runs: one row for each object, and the records of its plan in compressed pages."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import attrs
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.errors import NotFoundError
from crmsync.models.calls import CallEstimate
from crmsync.models.records import OperationKind, Side
from crmsync.models.state import Cursors
from crmsync.models.stops import Stop, StoppedPlan, StoppedRecord, StoppedWrite
from crmsync.storage import admission
from crmsync.storage.sql.database import Database
from crmsync.storage.sql.reading import fetch
from crmsync.storage.sql.statements import AnyRow, insert_into, of_object
from crmsync.storage.sql.tables import stopped_records, stops

_PAGE: Final = 1000


class SqlStops:
    """The `StopRepository` part of a repository in a SQL database."""

    _database: Database

    async def note_stop(self, stop: Stop) -> None:
        said = {
            "run_id": stop.run_id,
            "code": stop.code,
            "message": stop.message,
            "stopped_at": admission.as_utc(stop.stopped_at),
        }
        row = {"integration_id": stop.integration_id, "entity_type": stop.entity_type, "times": 1, **said}

        def work(connection: Connection) -> None:
            insert = insert_into(connection, stops).values(row)
            changes = {**said, "times": stops.c.times + 1}
            connection.execute(
                insert.on_conflict_do_update(index_elements=["integration_id", "entity_type"], set_=changes)
            )

        await self._database.write(work)

    async def list_stops(self, integration_id: str, entity_type: str | None = None) -> list[Stop]:
        query = sa.select(stops).where(stops.c.integration_id == integration_id).order_by(stops.c.entity_type)
        if entity_type is not None:
            query = query.where(stops.c.entity_type == entity_type)
        return await self._database.read(lambda connection: fetch(connection, query, stop_of))

    async def save_stopped_plan(
        self, integration_id: str, entity_type: str, plan: StoppedPlan, records: Sequence[StoppedRecord]
    ) -> None:
        ours = of_object(stops, integration_id, entity_type)
        values = {"digest": plan.digest, "plan": _plan_json(plan), "approved_by": None, "approved_at": None}
        scope = {"integration_id": integration_id, "entity_type": entity_type}
        pages = [{**scope, "page": n, "content": _packed(part)} for n, part in enumerate(_parts(records))]

        def work(connection: Connection) -> None:
            if not connection.execute(sa.update(stops).where(ours).values(values)).rowcount:
                raise NotFoundError(admission.no_stop(integration_id, entity_type))
            connection.execute(
                sa.delete(stopped_records).where(of_object(stopped_records, integration_id, entity_type))
            )
            if pages:
                connection.execute(sa.insert(stopped_records), pages)

        await self._database.write(work)

    async def stopped_records(self, integration_id: str, entity_type: str, page: int) -> list[StoppedRecord]:
        query = sa.select(stopped_records).where(
            of_object(stopped_records, integration_id, entity_type), stopped_records.c.page == page
        )
        return await self._database.read(
            lambda connection: [record for part in fetch(connection, query, records_of) for record in part]
        )

    async def approve_stop(self, integration_id: str, entity_type: str, digest: str, *, by: str, now: datetime) -> Stop:
        statement = (
            sa.update(stops)
            .where(of_object(stops, integration_id, entity_type), stops.c.digest == digest)
            .values(approved_by=by, approved_at=admission.as_utc(now))
            .returning(stops)
        )

        def work(connection: Connection) -> Stop:
            found = connection.execute(statement).one_or_none()
            if found is None:
                raise NotFoundError(admission.no_stop(integration_id, entity_type, digest))
            return stop_of(found)

        return await self._database.write(work)

    async def remove_stop(self, integration_id: str, entity_type: str) -> None:
        def work(connection: Connection) -> None:
            for table in (stopped_records, stops):
                connection.execute(sa.delete(table).where(of_object(table, integration_id, entity_type)))

        await self._database.write(work)


def stop_of(row: AnyRow) -> Stop:
    """A stop from its whole row."""
    return Stop(
        row.integration_id,
        row.entity_type,
        row.run_id,
        row.code,
        row.message,
        row.stopped_at,
        row.times,
        None if row.plan is None else _plan_of(row.digest, row.plan),
        row.approved_by,
        row.approved_at,
    )


def _plan_json(plan: StoppedPlan) -> dict[str, Any]:
    return {
        "mapping_version": plan.mapping_version,
        "made_at": admission.as_utc(plan.made_at).isoformat(),
        "cursors": attrs.astuple(plan.cursors),
        "records": plan.records,
        "writes": dict(plan.writes),
        "fields": dict(plan.fields),
        "would_stop": plan.would_stop,
        "calls": attrs.astuple(plan.calls) if plan.calls else None,
    }


def _plan_of(digest: str, stored: dict[str, Any]) -> StoppedPlan:
    return StoppedPlan(
        digest,
        stored["mapping_version"],
        datetime.fromisoformat(stored["made_at"]),
        Cursors(*stored["cursors"]),
        stored["records"],
        stored["writes"],
        stored["fields"],
        stored["would_stop"],
        CallEstimate(*stored["calls"]) if stored["calls"] else None,
    )


def _parts(records: Sequence[StoppedRecord]) -> list[Sequence[StoppedRecord]]:
    return [records[start : start + _PAGE] for start in range(0, len(records), _PAGE)]


def _packed(records: Sequence[StoppedRecord]) -> bytes:
    rows = [
        (
            record.markmail_id,
            record.crm_id,
            record.fingerprint,
            record.linked,
            [(write.side.value, write.kind.value, write.fields) for write in record.writes],
        )
        for record in records
    ]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode())


def records_of(row: AnyRow) -> list[StoppedRecord]:
    """The records of a page from its whole row."""
    return [
        StoppedRecord(
            markmail_id,
            crm_id,
            fingerprint,
            linked,
            tuple(StoppedWrite(Side(side), OperationKind(kind), tuple(fields)) for side, kind, fields in writes),
        )
        for markmail_id, crm_id, fingerprint, linked, writes in json.loads(zlib.decompress(row.content))
    ]
