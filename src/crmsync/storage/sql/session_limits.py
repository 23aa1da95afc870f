"""How long PostgreSQL bears with a process of ours that stands still, or that the network has lost.

All of it follows from one number, ``stall_timeout`` in the storage URL. What the URL says by itself stays, for libpq
(``tcp_user_timeout=5000``) as for the session (``options=-c idle_in_transaction_session_timeout=5s``); so does what the
server's administrator says, unless the URL has a ``stall_timeout``.
"""

from __future__ import annotations

import math
from contextlib import closing
from typing import Final

import attrs
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection

from crmsync.errors import ConfigurationError
from crmsync.models.runs import RunOptions

STALL_SECONDS: Final = RunOptions().lease_seconds / 2
"""Half of a lease's usual length: who takes over a lease that has run out finds nothing locked any more."""

STATEMENT_SECONDS: Final = 300
"""How long PostgreSQL works on a statement, or lets it wait for a lock. Ours take milliseconds, a few take seconds.
There is no shorter limit for locks: ours are free after a stall, and an application may hold its own for a while."""

CONNECT_SECONDS: Final = 10
"""How long PostgreSQL may take to answer before it counts as out of reach."""

_OPTION: Final = "stall_timeout"
_STATEMENT: Final = "statement_timeout"
_LONGEST: Final = 86_400.0
_PROBES: Final = 3


@attrs.frozen(slots=True)
class SessionLimits:
    """The limits of the sessions with one server. ``given``: the URL says how long a stall may last."""

    stall: float = STALL_SECONDS
    given: bool = False

    def arguments(self, url: URL) -> dict[str, int]:
        """What libpq is told beside the URL: when a server that does not answer any more counts as gone."""
        keepalives = {f"keepalives_{name}": value for name, value in self._keepalives.items()}
        wanted = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": self._milliseconds, **keepalives}
        return {name: value for name, value in wanted.items() if name not in url.query}

    def set_on(self, connection: DBAPIConnection) -> None:
        """Tell the server when a process counts as gone that stands still in a transaction, or is out of reach.

        Ours do nothing between the statements of a transaction. On a socket of its own machine the server leaves out
        what is about TCP.
        """
        wanted = {
            "idle_in_transaction_session_timeout": f"{self._milliseconds}ms",
            "tcp_user_timeout": f"{self._milliseconds}ms",
            **{f"tcp_keepalives_{name}": f"{value}" for name, value in self._keepalives.items()},
            _STATEMENT: f"{STATEMENT_SECONDS}s",
        }
        with closing(connection.cursor()) as cursor:
            cursor.execute("SELECT name, source, setting FROM pg_settings WHERE name = ANY(%s)", (list(wanted),))
            ours = [name for name, source, setting in cursor.fetchall() if self._is_ours(name, source, setting)]
            values = [wanted[name] for name in ours]
            cursor.execute(
                "SELECT set_config(n, v, false) FROM unnest(%s::text[], %s::text[]) AS s(n, v)", (ours, values)
            )
        connection.commit()

    @property
    def _milliseconds(self) -> int:
        return math.ceil(self.stall * 1000)

    @property
    def _keepalives(self) -> dict[str, int]:
        """In the first half of the time nothing is asked; the other half is for the answers."""
        half = self.stall / 2
        return {"idle": math.ceil(half), "interval": math.ceil(half / _PROBES), "count": _PROBES}

    def _is_ours(self, name: str, source: str, setting: str) -> bool:
        """Whether nobody else has said anything of a setting."""
        if self.given and name != _STATEMENT:
            return source != "client"
        return source == "default" or (source == "configuration file" and setting == "0")


def split_limits(url: URL) -> tuple[URL, SessionLimits]:
    """A URL without ``stall_timeout``, and the limits that follow from it.

    :raises ConfigurationError: it is no number of seconds between 0 and a day.
    """
    if _OPTION not in url.query:
        return url, SessionLimits()
    try:
        stall = float(str(url.query[_OPTION]))
    except ValueError:
        stall = 0.0
    if not 0 < stall <= _LONGEST:
        raise ConfigurationError(f"the storage URL's {_OPTION} is not a number of seconds (up to {_LONGEST:.0f})")
    return url.difference_update_query([_OPTION]), SessionLimits(stall, given=True)
