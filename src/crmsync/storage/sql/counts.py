"""How many links have each status: kept beside them, so that a run without changes does not count a million.

The counts change in the transaction that changes the links. An object without counts is counted when it is asked for,
and has them from its next acknowledgement on: to have one counted anew, delete its rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.models.state import Lease, LinkStatus
from crmsync.storage.sql.isolation import qualified
from crmsync.storage.sql.numbers import number_in_sql
from crmsync.storage.sql.packed_ids import pack_id
from crmsync.storage.sql.statements import insert_into, of_object, parts
from crmsync.storage.sql.tables import counts, links

_STATUS = links.c.sync_status
_STATUSES = frozenset(status.value for status in LinkStatus)


def counted(connection: Connection, integration_id: str, entity_type: str) -> Mapping[LinkStatus, int]:
    """The links of each status; from the links themselves where no counts are kept."""
    kept = _kept(connection, integration_id, entity_type)
    found = Counter[LinkStatus]()
    for status, count in (kept or _scanned(connection, integration_id, entity_type)).items():
        # A damaged link is read as a rejected one (`reading`).
        found[LinkStatus(status) if status in _STATUSES else LinkStatus.REJECTED] += count
    return {status: count for status, count in found.items() if count}


def agree(connection: Connection, integration_id: str, entity_type: str) -> bool:
    """Whether what is kept is so."""
    kept = _kept(connection, integration_id, entity_type)
    return {s: count for s, count in kept.items() if count} == _scanned(connection, integration_id, entity_type)


def count_among(connection: Connection, lease: Lease, markmail_ids: Iterable[str]) -> Counter[str]:
    """The links of each status among these, as they are now."""
    # Written by hand: SQLAlchemy would take as long to write hundreds of marks as the database to answer.
    is_postgres = connection.dialect.name == "postgresql"
    mark = "%s" if is_postgres else "?"
    table = qualified(connection, links.name)
    ours = f"integration_id = {number_in_sql(connection, mark)}"
    found = Counter[str]()
    values: list[Any]
    for part in parts(map(pack_id, markmail_ids)):
        if is_postgres:
            # Joined: a prepared plan that looks through an array compares each row with each id in it.
            # %b, since psycopg takes ten times as long to write an array of bytes as text.
            joined = "JOIN unnest(CAST(%b AS bytea[])) AS one (id) ON markmail_id = one.id"
            among, values = f"{table} {joined} WHERE", [part]
        else:
            among, values = f"{table} WHERE markmail_id IN ({', '.join([mark] * len(part))}) AND", [*part]
        query = f"SELECT sync_status, count(*) FROM {among} {ours} GROUP BY sync_status"  # noqa: S608  (names of ours)
        for status, count in connection.exec_driver_sql(query, (*values, lease.integration_id, lease.entity_type)):
            found[status] += count
    return found


def keep_counts(connection: Connection, lease: Lease, before: Counter[str], after: Counter[str]) -> None:
    """Links of these statuses became links of those; called once they have been stored."""
    if not (before or after):
        return
    if not _kept(connection, lease.integration_id, lease.entity_type) or not before.keys() <= _STATUSES:
        # Nothing was kept, or it was counted before one of these links was damaged.
        recount(connection, lease)
        return
    changes = {status: after[status] - before[status] for status in before | after}
    _add(connection, lease, {status: change for status, change in changes.items() if change})


def recount(connection: Connection, lease: Lease) -> None:
    """Count the links anew, whatever was kept."""
    scope = (lease.integration_id, lease.entity_type)
    connection.execute(sa.delete(counts).where(of_object(counts, *scope)))
    _add(connection, lease, _scanned(connection, *scope))


def _kept(connection: Connection, integration_id: str, entity_type: str) -> dict[str, int]:
    query = sa.select(counts.c.sync_status, counts.c.links).where(of_object(counts, integration_id, entity_type))
    return {row[0]: row[1] for row in connection.execute(query)}


def _scanned(connection: Connection, integration_id: str, entity_type: str) -> dict[str, int]:
    query = sa.select(_STATUS, sa.func.count()).where(of_object(links, integration_id, entity_type)).group_by(_STATUS)
    return {row[0]: row[1] for row in connection.execute(query)}


def _add(connection: Connection, lease: Lease, changes: Mapping[str, int]) -> None:
    if not changes:
        return
    insert = insert_into(connection, counts)
    upsert = insert.on_conflict_do_update(
        index_elements=[counts.c.integration_id, counts.c.entity_type, counts.c.sync_status],
        set_={"links": counts.c.links + insert.excluded.links},
    )
    ours = {"integration_id": lease.integration_id, "entity_type": lease.entity_type}
    connection.execute(upsert, [{**ours, "sync_status": s, "links": change} for s, change in changes.items()])
