"""Turns in a SQL database."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.storage import admission
from crmsync.storage.sql.database import Database
from crmsync.storage.sql.statements import insert_into
from crmsync.storage.sql.tables import turns


class SqlTurns:
    """The `TurnRepository` part of a repository in a SQL database."""

    _database: Database

    async def take_turn(self, turn: str, owner: str, *, now: datetime, ttl: timedelta) -> bool:
        row = {"turn": turn, "owner": owner, "expires_at": admission.as_utc(now + ttl)}
        free = sa.or_(turns.c.owner == owner, turns.c.expires_at <= now)

        def work(connection: Connection) -> bool:
            # One statement, so that of two who try one gets it.
            insert = insert_into(connection, turns).values(row)
            either = insert.on_conflict_do_update(index_elements=["turn"], set_=row, where=free)
            return connection.execute(either.returning(turns.c.turn)).scalar() is not None

        return await self._database.write(work)

    async def end_turn(self, turn: str, owner: str) -> None:
        delete = sa.delete(turns).where(turns.c.turn == turn, turns.c.owner == owner)
        await self._database.write(lambda connection: connection.execute(delete))
