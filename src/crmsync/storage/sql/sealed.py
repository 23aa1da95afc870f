"""Sealed texts in a SQL database."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.protocols.sealed import SealedChange, SealedText
from crmsync.storage.sql.database import Database
from crmsync.storage.sql.tables import integrations


class SqlSealedTexts:
    """The `SealedTexts` part of a repository in a SQL database."""

    _database: Database

    async def scan_sealed(self, *, after: str = "", limit: int = 500) -> list[SealedText]:
        columns = integrations.c
        query = sa.select(columns.id, columns.credentials).where(columns.id > after).order_by(columns.id).limit(limit)
        return await self._database.read(lambda connection: [SealedText(*row) for row in connection.execute(query)])

    async def replace_sealed(self, changes: Sequence[SealedChange]) -> set[str]:
        columns = integrations.c
        statement = (
            sa.update(integrations)
            .where(columns.id == sa.bindparam("of"), columns.credentials == sa.bindparam("before"))
            .values(credentials=sa.bindparam("after"))
        )

        def work(connection: Connection) -> set[str]:
            replaced = set[str]()
            # In the order of the ids, as everybody who locks several rows: so two of us never wait for each other.
            for change in sorted(changes, key=lambda one: one.integration_id):
                values = {"of": change.integration_id, "before": change.before, "after": change.after}
                if connection.execute(statement, values).rowcount:
                    replaced.add(change.integration_id)
            return replaced

        return await self._database.write(work) if changes else set()
