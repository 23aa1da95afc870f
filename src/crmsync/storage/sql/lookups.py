"""Finding links: by either id, and in order. Cost grows with what is found, not with how many links there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from crmsync.models.state import Link, LinkStatus
from crmsync.storage.sql.packed_ids import pack_id
from crmsync.storage.sql.reading import fetch_links
from crmsync.storage.sql.rows import LINK_COLUMNS
from crmsync.storage.sql.statements import of_object, parts
from crmsync.storage.sql.tables import UNSYNCED, links


def by_id(
    connection: Connection, integration_id: str, entity_type: str, column: sa.Column[Any], ids: Sequence[str]
) -> list[Link]:
    """The links whose ``column`` is one of the ids."""
    ours = sa.select(*LINK_COLUMNS).where(of_object(links, integration_id, entity_type))
    if connection.dialect.name == "postgresql":
        # One array, whatever its length; see `database` for what it would do to a prepared statement.
        kind = sa.Text() if column is links.c.crm_id else column.type
        wanted = sa.literal(list(dict.fromkeys(ids)), postgresql.ARRAY(kind))
        queries = [ours.where(column == sa.any_(wanted))]
    else:
        queries = [ours.where(column.in_(part)) for part in parts(ids)]
    return [link for query in queries for link in fetch_links(connection, query, integration_id, entity_type)]


def scan(
    connection: Connection,
    integration_id: str,
    entity_type: str,
    statuses: Sequence[LinkStatus],
    after: str,
    limit: int,
) -> list[Link]:
    """The first links after a markmail_id, of these statuses or of all, in the order of the packed ids."""
    query = (
        sa.select(*LINK_COLUMNS)
        .where(of_object(links, integration_id, entity_type), links.c.markmail_id > after)
        .order_by(links.c.markmail_id)
        .limit(limit)
    )
    # Asked for several statuses at once, SQLite walks every link in order to find the few.
    queries = [query.where(*_of_status(status)) for status in dict.fromkeys(statuses)] or [query]
    found = [link for query in queries for link in fetch_links(connection, query, integration_id, entity_type)]
    return sorted(found, key=lambda link: pack_id(link.markmail_id))[:limit] if len(queries) > 1 else found


def _of_status(status: LinkStatus) -> Iterator[sa.ColumnElement[bool]]:
    yield links.c.sync_status == status.value
    if status is not LinkStatus.SYNCED:
        yield UNSYNCED
