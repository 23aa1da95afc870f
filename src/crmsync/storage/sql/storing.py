"""Storing many links: at the speed of the driver, past SQLAlchemy's work on each value of each row.

What a column's type does to a value is done here by hand (`column_types` does it everywhere else). A page of some size
goes to PostgreSQL by COPY: new links at once, others by way of a table of the session's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import attrs
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from crmsync.diff.packing import Kept, Outline, pack
from crmsync.models.state import Link
from crmsync.storage import admission
from crmsync.storage.sql.column_types import microseconds
from crmsync.storage.sql.isolation import qualified
from crmsync.storage.sql.numbers import number_for
from crmsync.storage.sql.outlines import store_outlines
from crmsync.storage.sql.packed_ids import pack_id
from crmsync.storage.sql.rows import DIRECTIONS, LINK_STATE

COPIED_FROM: Final = 100
"""Links from which on COPY pays."""

_KEYS: Final = ("integration_id", "markmail_id")
COLUMNS: Final = (
    *_KEYS,
    "crm_id",
    "last_sync_hash",
    "sync_status",
    "sync_direction",
    "error_message",
    *LINK_STATE,
)
_NAMES: Final = ", ".join(COLUMNS)
_CHANGES: Final = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in (*_KEYS, "created_at"))
_REPLACING: Final = f"ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET {_CHANGES}"
_INCOMING: Final = "pg_temp.crmsync_incoming_links"

Values = tuple[Any, ...]


def store_links(
    connection: Connection, scope: tuple[str, str], stored: Sequence[Link], now: datetime, *, new: bool = False
) -> None:
    """Insert links of an integration's object, or replace those of the same markmail_id but for their ``created_at``.

    ``new``: there is none of the same markmail_id yet.
    """
    if not stored:
        return
    values, outlines = row_values(stored, number_for(connection, *scope), now, connection.dialect.name)
    store_outlines(connection, scope[0], outlines)
    table = qualified(connection, "crm_sync_status")
    if connection.dialect.name == "postgresql":
        if len(values) >= COPIED_FROM:
            # Into a table that keeps tenants apart (`isolation`) nothing is copied.
            at_once = new and not connection.scalar(sa.select(sa.func.row_security_active(table)))
            (_copy_in if at_once else _copy_over)(connection, table, values)
            return
        mark = "%s"
    else:
        mark = "?"
    marks = ", ".join([mark] * len(COLUMNS))
    connection.exec_driver_sql(f"INSERT INTO {table} ({_NAMES}) VALUES ({marks}) {_REPLACING}", values)  # noqa: S608  (names of ours)


def _copy_over(connection: Connection, table: str, values: Sequence[Values]) -> None:
    # Made once in a session, and emptied by each COMMIT; by hand for a second page of one transaction.
    made = f"CREATE TEMP TABLE IF NOT EXISTS {_INCOMING} ON COMMIT DELETE ROWS AS SELECT {_NAMES} FROM {table}"  # noqa: S608  (names of ours)
    connection.exec_driver_sql(f"{made} WHERE false")
    connection.exec_driver_sql(f"DELETE FROM {_INCOMING}")  # noqa: S608  (names of ours)
    _copy_in(connection, _INCOMING, values)
    connection.exec_driver_sql(f"INSERT INTO {table} ({_NAMES}) SELECT {_NAMES} FROM {_INCOMING} {_REPLACING}")  # noqa: S608  (names of ours)


def _copy_in(connection: Connection, table: str, values: Sequence[Values]) -> None:
    statement = f"COPY {table} ({_NAMES}) FROM STDIN"
    driver = connection.dialect.loaded_dbapi.Error
    psycopg: Any = connection.connection.driver_connection
    try:
        with psycopg.cursor() as cursor, cursor.copy(statement) as copy:
            for row in values:
                copy.write_row(row)
    except driver as error:
        # What SQLAlchemy does for statements that it runs itself.
        raise DBAPIError.instance(
            statement, None, error, driver, hide_parameters=True, dialect=connection.dialect
        ) from error


def row_values(
    stored: Sequence[Link], number: int, now: datetime, dialect: str
) -> tuple[list[Values], dict[bytes, Outline]]:
    """The rows of links, in the order of `COLUMNS`, and the outlines that they need by their references.

    :param number: of the integration's object.
    """
    time = _as_it_is if dialect == "postgresql" else microseconds
    rows: list[Values] = []
    outlines: dict[bytes, Outline] = {}
    for link in stored:
        packed, outline = pack(link.local_shadow, link.remote_shadow, link.mapping_version, link.last_sync_hash)
        if outline is not None:
            outlines[outline.reference] = outline
        rows.append((number, *_values(link, packed, now, time)))
    return rows, outlines


def _values(link: Link, packed: Kept, now: datetime, time: Callable[[datetime], object]) -> Values:
    """In the order of `COLUMNS`, after the number."""
    local_shadow, remote_shadow, mapping_version, last_sync_hash = packed
    problems = link.problems
    return (
        pack_id(link.markmail_id),
        link.crm_id,
        last_sync_hash,
        link.status.value,
        DIRECTIONS[link.born],
        "; ".join(map(str, problems)) if problems else None,
        local_shadow,
        remote_shadow,
        link.local_version,
        link.remote_version,
        mapping_version,
        link.attempts,
        link.next_attempt_at and time(admission.as_utc(link.next_attempt_at)),
        admission.to_json([attrs.astuple(problem) for problem in problems]) if problems else None,
        admission.to_json([each.model_dump(mode="json") for each in link.candidates]) if link.candidates else None,
        link.failing_since and time(admission.as_utc(link.failing_since)),
        time(admission.as_utc(link.created_at) if link.created_at else now),
        time(now),
        link.flips or None,
    )


def _as_it_is(moment: datetime) -> datetime:
    return moment
