"""Links to their packed form and back, while others write: a page at a time, each page a transaction on PostgreSQL.

A row that somebody else changed in between is left as it is. One that is stored in either form can be read by whoever
knows the packed one, so only the way back has to be complete.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.engine import Connection

from crmsync.diff.packing import Kept, Outline, pack, unpack
from crmsync.errors import StorageError
from crmsync.storage.sql.isolation import qualified
from crmsync.storage.sql.statements import AnyRow, insert_into

_PAGE: Final = 1000
_KEPT: Final = ("local_shadow", "remote_shadow", "mapping_version", "last_sync_hash")
_DAMAGE: Final = (LookupError, TypeError, ValueError)

_LINKS: Final = sa.table("crm_sync_status", *map(sa.column, ("id", "integration_id", *_KEPT)))
_OUTLINES: Final = sa.Table(
    "crm_sync_outlines",
    sa.MetaData(),
    sa.Column("integration_id", sa.Text),
    sa.Column("reference", sa.LargeBinary),
    sa.Column("mapping_version", sa.Text),
    sa.Column("tags", sa.LargeBinary),
)

Change = Callable[[str, Kept], Kept]
"""What a link's part becomes, given its integration."""


def pack_links() -> None:
    """Pack the links. Those that are missed are packed when they are next stored."""
    if op.get_context().as_sql:
        return
    with _pages() as connection:
        found: dict[tuple[str, bytes], Outline] = {}

        def packed(integration_id: str, kept: Kept) -> Kept:
            local, remote, version, hashed = kept
            if local[:1] >= b"\x20" or remote[:1] >= b"\x20" or version.endswith("*") or hashed.endswith("*"):
                return kept
            stored, outline = pack(*kept)
            if outline is not None:
                found[integration_id, outline.reference] = outline
            return stored

        def store_outlines() -> None:
            for (integration_id, reference), outline in found.items():
                values = (integration_id, reference, outline.mapping_version, outline.tags)
                row = dict(zip(_OUTLINES.columns.keys(), values, strict=True))
                connection.execute(insert_into(connection, _OUTLINES).values(row).on_conflict_do_nothing())
            found.clear()

        _change(connection, packed, store_outlines)


def unpack_links() -> None:
    """Unpack every link.

    :raises StorageError: as plain SQL: the database cannot do it by itself.
    """
    if op.get_context().as_sql:
        raise StorageError("going back needs `crmsync db downgrade`: plain SQL cannot unpack the links")
    with _pages() as connection:
        _change(connection, _unpacked(connection))
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        # What was packed meanwhile, and no more of it before the outlines are gone.
        connection.exec_driver_sql(f"LOCK TABLE {qualified(connection, _LINKS.name)} IN SHARE ROW EXCLUSIVE MODE")
        _change(connection, _unpacked(connection), where=_LINKS.c.local_shadow >= sa.literal(b"\x20", sa.LargeBinary))


@contextmanager
def _pages() -> Iterator[Connection]:
    """A connection on which each page is a transaction if others may write meanwhile."""
    context = op.get_context()
    if context.dialect.name != "postgresql":
        yield op.get_bind()
        return
    with context.autocommit_block():
        yield op.get_bind()


def _unpacked(connection: Connection) -> Change:
    outlines: defaultdict[str, dict[bytes, Outline]] = defaultdict(dict)
    for integration_id, reference, version, tags in connection.execute(sa.select(_OUTLINES)):
        outlines[integration_id][reference] = Outline(version, tags)

    def unpacked(integration_id: str, kept: Kept) -> Kept:
        try:
            return unpack(kept, outlines[integration_id])
        except _DAMAGE:
            # As nothing is known of it, the records are looked at as if they met for the first time.
            return b"", b"", "", ""

    return unpacked


def _change(
    connection: Connection,
    change: Change,
    before: Callable[[], None] = lambda: None,
    where: sa.ColumnElement[bool] | None = None,
) -> None:
    """``before``: called before the changes of a page are written, in the same transaction."""
    begins = connection.get_isolation_level() == "AUTOCOMMIT"
    query = sa.select(_LINKS).where(where if where is not None else sa.true()).order_by(_LINKS.c.id).limit(_PAGE)
    rows = connection.execute(query).all()
    while rows:
        changes = [changed for row in rows if (changed := _changed(row, change)) is not None]
        if changes:
            if begins:
                connection.exec_driver_sql("BEGIN")
            before()
            connection.execute(_UPDATE, changes)
            if begins:
                connection.exec_driver_sql("COMMIT")
        rows = connection.execute(query.where(_LINKS.c.id > rows[-1].id)).all()


def _changed(row: AnyRow, change: Change) -> dict[str, Any] | None:
    """The values of `_UPDATE`, for a row that changes and is not damaged."""
    kept = tuple(row[2:])
    if not all(isinstance(value, kind) for value, kind in zip(kept, (bytes, bytes, str, str), strict=True)):
        return None
    after = change(row.integration_id, kept)
    if after == kept:
        return None
    values = {"of": row.id}
    for name, was, now in zip(_KEPT, kept, after, strict=True):
        values |= {f"was_{name}": was, f"now_{name}": now}
    return values


_UPDATE: Final = (
    sa.update(_LINKS)
    .where(_LINKS.c.id == sa.bindparam("of"), *(_LINKS.c[name] == sa.bindparam(f"was_{name}") for name in _KEPT))
    .values({name: sa.bindparam(f"now_{name}") for name in _KEPT})
)
