"""The numbers by which links call an object of an integration."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.storage.sql.isolation import qualified
from crmsync.storage.sql.statements import insert_into, of_object
from crmsync.storage.sql.tables import numbers


def number_for(connection: Connection, integration_id: str, entity_type: str) -> int:
    """An object's number, which it is given with its first links.

    :raises sqlalchemy.exc.IntegrityError: there is no such integration.
    """
    query: sa.Select[int] = sa.select(numbers.c.id).where(of_object(numbers, integration_id, entity_type))
    number = connection.scalar(query)
    if number is not None:
        return number
    given = insert_into(connection, numbers).values(integration_id=integration_id, entity_type=entity_type)
    connection.execute(given.on_conflict_do_nothing())
    return connection.execute(query).scalar_one()


def number_in_sql(connection: Connection, mark: str) -> str:
    """The number of the integration and the object at two marks, for a statement that is written by hand."""
    ours = f"integration_id = {mark} AND entity_type = {mark}"
    return f"(SELECT id FROM {qualified(connection, numbers.name)} WHERE {ours})"  # noqa: S608  (names of ours)
