"""The numbers by which links call their integrations."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.storage.sql.isolation import qualified
from crmsync.storage.sql.statements import insert_into
from crmsync.storage.sql.tables import numbers


def number_for(connection: Connection, integration_id: str) -> int:
    """An integration's number, which it is given with its first links.

    :raises sqlalchemy.exc.IntegrityError: there is no such integration.
    """
    query: sa.Select[int] = sa.select(numbers.c.id).where(numbers.c.integration_id == integration_id)
    number = connection.scalar(query)
    if number is not None:
        return number
    given = insert_into(connection, numbers).values(integration_id=integration_id)
    connection.execute(given.on_conflict_do_nothing())
    return connection.execute(query).scalar_one()


def number_in_sql(connection: Connection, mark: str) -> str:
    """The number of the integration whose id is at the mark, for a statement that is written by hand."""
    return f"(SELECT id FROM {qualified(connection, numbers.name)} WHERE integration_id = {mark})"  # noqa: S608  (names of ours)
