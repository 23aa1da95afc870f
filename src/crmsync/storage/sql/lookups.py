"""Finding links: by either id, and in order. Cost grows with what is found, not with how many links there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from crmsync.models.state import Link, LinkStatus
from crmsync.storage.sql.rows import LINK_COLUMNS, link_of
from crmsync.storage.sql.statements import of_object, parts
from crmsync.storage.sql.tables import links


def by_id(
    connection: Connection, integration_id: str, entity_type: str, column: sa.Column[Any], ids: Sequence[str]
) -> list[Link]:
    """The links whose ``column`` is one of the ids."""
    ours = sa.select(*LINK_COLUMNS).where(of_object(links, integration_id, entity_type))
    queries = _one_by_one(ours, column, ids) if connection.dialect.name == "postgresql" else _listed(ours, column, ids)
    return [link_of(row) for query in queries for row in connection.execute(query)]


def scan(
    connection: Connection,
    integration_id: str,
    entity_type: str,
    statuses: Sequence[LinkStatus],
    after: str,
    limit: int,
) -> list[Link]:
    """The first links after a markmail_id, of these statuses or of all."""
    query = (
        sa.select(*LINK_COLUMNS)
        .where(of_object(links, integration_id, entity_type), links.c.markmail_id > after)
        .order_by(links.c.markmail_id)
        .limit(limit)
    )
    # Asked for several statuses at once, SQLite walks every link in order to find the few.
    queries = [query.where(links.c.sync_status == status.value) for status in dict.fromkeys(statuses)] or [query]
    found = [link_of(row) for query in queries for row in connection.execute(query)]
    return sorted(found, key=lambda link: link.markmail_id)[:limit] if len(queries) > 1 else found


def _listed(ours: sa.Select[Any], column: sa.Column[Any], ids: Sequence[str]) -> list[sa.Select[Any]]:
    return [ours.where(column.in_(part)) for part in parts(ids)]


def _one_by_one(ours: sa.Select[Any], column: sa.Column[Any], ids: Sequence[str]) -> list[sa.Select[Any]]:
    """One probe of the unique index for each id.

    Until the table is first analysed, PostgreSQL takes an object to have about one link and, given a list of ids,
    reads all of the object to filter it. The OFFSET keeps it from turning the probes back into that.
    """
    text = postgresql.ARRAY(sa.Text)
    wanted = (
        sa.func.unnest(sa.literal(list(dict.fromkeys(ids)), text)).table_valued("id", name="wanted").render_derived()
    )
    probe = ours.where(column == wanted.c.id).offset(sa.literal_column("0", sa.Integer)).lateral()
    return [sa.select(*probe.c).select_from(sa.join(wanted, probe, sa.true()))]
