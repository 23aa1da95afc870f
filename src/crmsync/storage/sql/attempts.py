"""One transaction, tried until the database has an answer: whose work was undone is done again, never twice.

- A deadlock or a serialization failure undid the work: it is done again, a few times.
- A connection that was lost before COMMIT undid it, too. It is done again for a while, once the database was reached
  at all: a server that restarts comes back within that time. So is what PostgreSQL ended since its process stood
  still; a run that lost its lease meanwhile is told so then.
- A connection that was lost while COMMIT was on its way may have committed or not. PostgreSQL is asked by the number of
  the transaction; SQLite's answer cannot be lost.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

import attrs
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from crmsync.errors import StorageError
from crmsync.storage.sql.failures import sqlstate

T = TypeVar("T")

WRITES: Final = "crmsync_writes"
"""The execution option of a connection that says whether its transaction writes."""

OUTAGE_SECONDS: Final = 10.0
"""How long a server that was reached before may be away until a piece of work fails, unless the URL says."""

RACES: Final = 5
"""How often a piece of work gives way to others before it fails."""

_RACE_STATES: Final = ("40001", "40P01")
_LOST_STATES: Final = ("08", "25P03", "57P01", "57P02", "57P03")
_ASKED_STATES: Final = {"committed": True, "aborted": False}


@attrs.define(slots=True, eq=False)
class Attempts:
    """Runs transactions on one database. ``outage`` is in seconds.

    ``reached`` is whether it answered last time: one that was away for so long is not waited for again.
    """

    engine: Engine
    outage: float = OUTAGE_SECONDS
    reached: bool = False

    def run(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        """The work's result, once it is committed.

        :raises StorageError: whether it was committed cannot be found out.
        """
        races, until = 0, time.monotonic() + self.outage
        while True:
            try:
                return self._once(work, writes=writes)
            except DBAPIError as error:
                if sqlstate(error) in _RACE_STATES and races < RACES:
                    races += 1
                    time.sleep(random.uniform(0.005, 0.05) * races)  # noqa: S311  (no secret: who waits how long)
                elif self.reached and is_lost(error):
                    self.reached = time.monotonic() < until
                    time.sleep(0.1)
                else:
                    raise

    def _once(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        number: int | None = None
        try:
            with self.engine.connect() as connection:
                self.reached = True
                connection.execution_options(**{WRITES: writes})
                with connection.begin():
                    result = work(connection)
                    if writes and connection.dialect.name == "postgresql":
                        number = connection.scalar(sa.select(sa.func.txid_current_if_assigned()))
                return result
        except DBAPIError as error:
            # With the number at hand the work was done: only COMMIT can have failed.
            if number is None or not is_lost(error) or not self._was_committed(number):
                raise
            return result

    def _was_committed(self, number: int) -> bool:
        until = time.monotonic() + self.outage
        while time.monotonic() < until:
            try:
                with self.engine.connect() as connection:
                    status = connection.scalar(sa.select(sa.func.txid_status(number)))
            except DBAPIError as error:
                if not is_lost(error):
                    break
                status = None
            if status in _ASKED_STATES:
                return _ASKED_STATES[status]
            time.sleep(0.1)
        raise StorageError(
            "the database was lost while it stored something, and whether it did cannot be found out: try again"
        )


def is_lost(error: DBAPIError) -> bool:
    """Whether the connection is gone, or could not be made."""
    state = sqlstate(error)
    if state is not None or hasattr(error.orig, "sqlite_errorname"):
        return (state or "").startswith(_LOST_STATES)
    return error.connection_invalidated or type(error.orig).__name__ in {"OperationalError", "ConnectionTimeout"}
