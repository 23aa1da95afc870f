"""Rows that can be read, and those that cannot: a damaged row is named by its key, and keeps no other from being read.

A link that cannot be read is given as one that nothing is known of but its ids: as a rejected one, which the next run
looks at anew. That merges the two records as if they met for the first time, with a conflict record for each value that
is replaced, and writes the row anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.errors import CRMError, StorageError
from crmsync.models.problems import Problem
from crmsync.models.state import Link, LinkStatus
from crmsync.storage.sql.outlines import StoredOutlines
from crmsync.storage.sql.rows import link_of
from crmsync.storage.sql.statements import AnyRow
from crmsync.storage.sql.tables import links, numbers

T = TypeVar("T")

DAMAGE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading a row raises that does not hold what we store (pydantic's and JSON's errors among them)."""

REMEDY: Final = "restore a backup, or delete the row, which forgets what it held"

_LOG = logging.getLogger(__name__)
_DAMAGED: Final = Problem("", "damaged_row", "what was known of this record could not be read", "look at both records")


def fetch(connection: Connection, query: sa.Select[Any], build: Callable[[AnyRow], T]) -> list[T]:
    """The rows of a query over one table.

    :raises StorageError: one of them cannot be read; it is named.
    """
    try:
        return [build(row) for row in connection.execute(query)]
    except CRMError:
        raise
    except DAMAGE as error:
        for key in damaged_keys(connection, query, build):
            raise StorageError(f"the row {described(_table(query), key)} cannot be read; {REMEDY}") from None
        raise StorageError(f"a row could not be read ({type(error).__name__}), and now it can: try again") from None


def fetch_links(connection: Connection, query: sa.Select[Any], integration_id: str, entity_type: str) -> list[Link]:
    """Links of one object, of `LINK_COLUMNS`. One that cannot be read is given without what it held."""
    outlines = StoredOutlines(connection, integration_id)
    try:
        return [link_of(row, entity_type, outlines) for row in connection.execute(query)]
    except DAMAGE:
        keys = connection.execute(query.with_only_columns(*_LINK_KEY)).all()
        return [_link(connection, query, key, entity_type, outlines) for key in keys]


def link_reader(connection: Connection) -> Callable[[AnyRow], Link]:
    """Reads links of any object, of `LINK_COLUMNS`."""
    scopes = {row.id: (row.integration_id, row.entity_type) for row in connection.execute(sa.select(numbers))}
    outlines: dict[str, StoredOutlines] = {}

    def read(row: AnyRow) -> Link:
        integration_id, entity_type = scopes[row[0]]
        if integration_id not in outlines:
            outlines[integration_id] = StoredOutlines(connection, integration_id)
        return link_of(row, entity_type, outlines[integration_id])

    return read


def damaged_keys(connection: Connection, query: sa.Select[Any], build: Callable[[AnyRow], object]) -> Iterator[AnyRow]:
    """The keys of the rows of a query over one table that cannot be read."""
    key = _table(query).primary_key.columns
    for found in connection.execute(query.with_only_columns(*key)).all():
        one = query.where(*(column == value for column, value in zip(key, found, strict=True)))
        try:
            for row in connection.execute(one):
                build(row)
        except DAMAGE:
            yield found


def described(table: sa.Table, key: AnyRow) -> str:
    """A row by its key, for people: ids, no values."""
    named = ", ".join(f"{column.name} {value!r}" for column, value in zip(table.primary_key.columns, key, strict=True))
    return f"of {table.name} with {named}"


_LINK_KEY: Final = (links.c.integration_id, links.c.markmail_id, links.c.crm_id)


def _link(
    connection: Connection, query: sa.Select[Any], key: AnyRow, entity_type: str, outlines: StoredOutlines
) -> Link:
    number, markmail_id, crm_id = key
    one = query.where(links.c.markmail_id == markmail_id)
    try:
        [found] = [link_of(row, entity_type, outlines) for row in connection.execute(one)]
    except DAMAGE:
        named = "the row of crm_sync_status with integration_id %s, markmail_id %r cannot be read"
        _LOG.warning(f"{named}: its record is looked at anew", number, markmail_id)
        if isinstance(markmail_id, bytes):
            markmail_id = markmail_id.decode(errors="backslashreplace")
        return Link(
            outlines.integration_id, entity_type, markmail_id, crm_id, LinkStatus.REJECTED, problems=(_DAMAGED,)
        )
    return found


def _table(query: sa.Select[Any]) -> sa.Table:
    [table] = query.get_final_froms()
    assert isinstance(table, sa.Table)
    return table
