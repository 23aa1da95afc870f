"""The outlines that links are packed by: stored beside them, found when the links are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.diff.packing import Outline
from crmsync.storage.sql.isolation import qualified
from crmsync.storage.sql.tables import outlines

_KNOWN: Final = 256
"""How many outlines are remembered by a connection."""


def store_outlines(connection: Connection, integration_id: str, found: Mapping[bytes, Outline]) -> None:
    """Store those that are not there yet, in the transaction of the links that need them."""
    # By hand, like the links: a page has one of them or two.
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    names = "integration_id, reference, mapping_version, tags"
    statement = (
        f"INSERT INTO {qualified(connection, outlines.name)} ({names}) VALUES ({', '.join([mark] * 4)})"  # noqa: S608  (names of ours)
        " ON CONFLICT DO NOTHING"
    )
    for reference, outline in found.items():
        values = (integration_id, reference, outline.mapping_version, outline.tags)
        connection.exec_driver_sql(statement, values)


class StoredOutlines(dict[bytes, Outline]):
    """An integration's outlines by their references, each asked for when it is first needed."""

    def __init__(self, connection: Connection, integration_id: str) -> None:
        super().__init__()
        self.integration_id = integration_id
        self._connection = connection
        self._ours = outlines.c.integration_id == integration_id

    def __missing__(self, reference: bytes) -> Outline:
        # An outline's reference is made of what it says, so what was found once is true for good.
        known: dict[bytes, Outline] = self._connection.info.setdefault("crmsync_outlines", {})
        if reference in known:
            outline = self[reference] = known[reference]
            return outline
        columns = (outlines.c.mapping_version, outlines.c.tags)
        query = sa.select(*columns).where(self._ours, outlines.c.reference == reference)
        row = self._connection.execute(query).first()
        if row is None:
            raise KeyError(reference.hex())
        outline = self[reference] = Outline(row.mapping_version, row.tags)
        if len(known) >= _KNOWN:
            known.clear()
        known[reference] = outline
        return outline
