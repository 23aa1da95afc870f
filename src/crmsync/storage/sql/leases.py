"""The lease on one object of one integration, and the fence that keeps a late writer out."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.errors import ConcurrentUpdateError
from crmsync.models.state import Lease
from crmsync.storage import admission
from crmsync.storage.sql.statements import insert_into, of_object
from crmsync.storage.sql.tables import cursors


def acquire(connection: Connection, wanted: Lease, now: datetime) -> Lease:
    """Take the lease in one statement, so that of two who try one gets it. ``wanted.fence`` is ignored.

    :raises ConcurrentUpdateError: another owner holds it.
    """
    columns = cursors.c
    row = {
        "integration_id": wanted.integration_id,
        "entity_type": wanted.entity_type,
        "mapping_version": "",
        "lease_owner": wanted.owner,
        "lease_fence": 1,
        "lease_expires_at": wanted.expires_at,
    }
    taken = {
        "lease_owner": wanted.owner,
        "lease_fence": columns.lease_fence + 1,
        "lease_expires_at": wanted.expires_at,
    }
    free = sa.or_(columns.lease_owner.is_(None), columns.lease_owner == wanted.owner, columns.lease_expires_at <= now)
    insert = insert_into(connection, cursors).values(row)
    either = insert.on_conflict_do_update(index_elements=["integration_id", "entity_type"], set_=taken, where=free)
    fence = connection.execute(either.returning(columns.lease_fence)).scalar()
    if fence is None:
        ours = of_object(cursors, wanted.integration_id, wanted.entity_type)
        holder = connection.scalar(sa.select(columns.lease_owner).where(ours))
        msg = f"{holder!r} is running {wanted.entity_type!r} of integration {wanted.integration_id!r}; try again later"
        raise ConcurrentUpdateError(msg)
    return attrs.evolve(wanted, fence=fence)


def renew(connection: Connection, lease: Lease, now: datetime, ttl: timedelta) -> Lease:
    """Put the end off.

    :raises LeaseLostError: it was taken by another.
    """
    renewed = attrs.evolve(lease, expires_at=admission.as_utc(now + ttl))
    held = connection.execute(sa.update(cursors).where(_held_by(lease)).values(lease_expires_at=renewed.expires_at))
    if not held.rowcount:
        raise admission.lost(lease)
    return renewed


def release(connection: Connection, lease: Lease) -> None:
    """Give it back, if it is still held."""
    connection.execute(sa.update(cursors).where(_held_by(lease)).values(lease_owner=None, lease_expires_at=None))


def check_fence(connection: Connection, lease: Lease) -> None:
    """Make sure that the lease is held, and stays so until this transaction ends.

    :raises LeaseLostError: it was taken by another.
    """
    # SQLite's transactions that write exclude each other; elsewhere the row itself is locked.
    held = sa.select(cursors.c.lease_fence).where(_held_by(lease)).with_for_update()
    if connection.execute(held).scalar() is None:
        raise admission.lost(lease)


def _held_by(lease: Lease) -> sa.ColumnElement[bool]:
    ours = of_object(cursors, lease.integration_id, lease.entity_type)
    return sa.and_(ours, cursors.c.lease_owner == lease.owner, cursors.c.lease_fence == lease.fence)
