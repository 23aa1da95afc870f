"""The day's budget of API calls: taken and given back in one transaction each, so that no two take the same call."""

from __future__ import annotations

from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.models.state import Allowance, CallUsage
from crmsync.storage import admission
from crmsync.storage.sql.statements import AnyRow, insert_into
from crmsync.storage.sql.tables import calls


def reserve(connection: Connection, wanted: CallUsage, needed: int, limit: int | None) -> int:
    """Take up to ``wanted.taken`` calls; how many were taken."""
    row = {"integration_id": wanted.integration_id, "day": wanted.day, "taken": 0}
    connection.execute(insert_into(connection, calls).values(row).on_conflict_do_nothing())
    # SQLite's transactions that write exclude each other; elsewhere the row itself is locked.
    of_day = _of_day(wanted.integration_id, wanted.day)
    taken = connection.execute(sa.select(calls.c.taken).where(of_day).with_for_update()).scalar_one()
    granted = admission.granted(taken, wanted.taken, needed, limit)
    if granted:
        connection.execute(sa.update(calls).where(of_day).values(taken=calls.c.taken + granted))
    return granted


def give_back(connection: Connection, usage: CallUsage) -> None:
    """Take ``usage.taken`` calls off again, and note the allowance if it is newer."""
    of_day = _of_day(usage.integration_id, usage.day)
    known = connection.execute(sa.select(calls).where(of_day).with_for_update()).first()
    if known is None:
        return
    changes: dict[str, Any] = {"taken": max(0, known.taken - usage.taken)}
    allowance = admission.newer_allowance(usage_of(known).allowance, usage.allowance)
    if allowance is not None:
        changes |= {"org_used": allowance.used, "org_limit": allowance.limit, "org_seen_at": allowance.seen_at}
    connection.execute(sa.update(calls).where(of_day).values(changes))


def find(connection: Connection, integration_id: str, day: date) -> CallUsage:
    """A day's row, or an empty one."""
    known = connection.execute(sa.select(calls).where(_of_day(integration_id, day))).first()
    return CallUsage(integration_id, day) if known is None else usage_of(known)


def usage_of(row: AnyRow) -> CallUsage:
    """A row as what it means."""
    seen = Allowance(row.org_used, row.org_limit, row.org_seen_at) if row.org_seen_at is not None else None
    return CallUsage(row.integration_id, row.day, row.taken, seen)


def _of_day(integration_id: str, day: date) -> sa.ColumnElement[bool]:
    return sa.and_(calls.c.integration_id == integration_id, calls.c.day == day)
