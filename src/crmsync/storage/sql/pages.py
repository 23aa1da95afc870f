"""A page's acknowledgement: links, conflicts, journal and cursors, changed together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from crmsync.models.history import RecordChange
from crmsync.models.state import Acknowledgement, Conflict, Cursors, Lease, Link
from crmsync.storage.sql.changes import add_changes
from crmsync.storage.sql.conflicts import resolve_conflicts, store_conflicts
from crmsync.storage.sql.counts import count_among, keep_counts
from crmsync.storage.sql.leases import check_fence
from crmsync.storage.sql.statements import of_object, parts
from crmsync.storage.sql.storing import store_links
from crmsync.storage.sql.tables import cursors, journal, links


def acknowledge(
    connection: Connection,
    lease: Lease,
    page: Acknowledgement,
    stored: tuple[Sequence[Link], Sequence[Conflict], Sequence[RecordChange]],
    now: datetime,
) -> None:
    """Store a page under its lease. ``stored`` are its links, checked, and its conflicts and changes, settled.

    :raises LeaseLostError: the lease was taken by another.
    """
    check_fence(connection, lease)
    before = count_among(connection, lease, (*page.removed_links, *(link.markmail_id for link in stored[0])))
    _remove(connection, links, lease, links.c.markmail_id, page.removed_links)
    _store_links(connection, lease, stored[0], now, new=not before)
    keep_counts(connection, lease, before, Counter(link.status.value for link in stored[0]))
    store_conflicts(connection, stored[1])
    resolve_conflicts(connection, lease, page, now)
    _remove(connection, journal, lease, journal.c.op_id, page.done)
    add_changes(connection, stored[2])
    if page.cursors is not None:
        _move(connection, lease, page.cursors)


def _remove(connection: Connection, table: sa.Table, lease: Lease, column: sa.Column[Any], ids: Sequence[str]) -> None:
    ours = of_object(table, lease.integration_id, lease.entity_type)
    for part in parts(ids):
        connection.execute(sa.delete(table).where(ours, column.in_(part)))


def _store_links(connection: Connection, lease: Lease, stored: Sequence[Link], now: datetime, *, new: bool) -> None:
    scope = (lease.integration_id, lease.entity_type)
    try:
        with connection.begin_nested():
            store_links(connection, scope, stored, now, new=new)
    except IntegrityError:
        # Links that pass a crm_id on among themselves (a merge in the CRM) collide on the way when stored one by one:
        # all let go first. What still collides is a crm_id that somebody else holds.
        ours = of_object(links, *scope)
        for part in parts(link.markmail_id for link in stored):
            connection.execute(sa.update(links).where(ours, links.c.markmail_id.in_(part)).values(crm_id=None))
        store_links(connection, scope, stored, now)


def _move(connection: Connection, lease: Lease, to: Cursors) -> None:
    connection.execute(
        sa.update(cursors)
        .where(of_object(cursors, lease.integration_id, lease.entity_type))
        .values(
            local_cursor=to.local,
            remote_cursor=to.remote,
            mapping_version=to.mapping_version,
            unkeyed_after=to.unkeyed_after,
        )
    )
