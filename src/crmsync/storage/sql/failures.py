"""The one place where a failure of SQLAlchemy or of a driver becomes a `StorageError`.

Drivers quote ids and values in their messages, so for everything but a failed connection the text is ours, chosen by
the driver's code, and the original is neither quoted nor chained.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from crmsync.errors import ConcurrentUpdateError, NotFoundError, StorageError

_ORPHAN = "the integration, or the user it refers to, does not exist (any more)"
_TAKEN = "a record would be stored or linked twice; nothing was stored"

_SQLITE = {
    "SQLITE_READONLY": "is read-only: make the file and its directory writable, or name another database",
    "SQLITE_CANTOPEN": "cannot be opened: check that its directory exists and may be written by this user",
    "SQLITE_NOTADB": "is not an SQLite database: name another file",
    "SQLITE_CORRUPT": "is damaged: restore it from a backup",
    "SQLITE_BUSY": "stayed locked by another process: try again when that is done",
    "SQLITE_LOCKED": "stayed locked by another process: try again when that is done",
    "SQLITE_FULL": "cannot grow: the disk is full",
    "SQLITE_IOERR": "cannot be read or written: the disk failed",
}
_POSTGRES = {
    "25P03": "ended a transaction whose process stood still: try again",
    "25006": "is read-only: connect to the primary server, or as a user who may write",
    "28": "refuses the user or the password: correct the URL",
    "3D": "does not exist: create it, or correct the URL",
    "3F": "has no schema of this name: create it, or correct the URL",
    "42704": "does not know this name: there is no such role",
    "42501": "does not permit that to this user: grant the rights on the schema",
    "53": "has no resources left (disk, memory or connections): free some and try again",
    "57014": "took too long over a statement: look for what keeps it waiting, or raise statement_timeout",
    "57": "was shut down or stopped the work: try again",
    "08": "lost the connection: try again",
    "22": "refuses a value that does not fit its column",
}
_POSTGRES_RACES = ("40", "55P03")
_SECRET_PARAMETERS = ("password", "sslpassword")


def shown(url: URL) -> str:
    """The URL for people: without its password, and without the driver that we chose."""
    plain = url.set(drivername=url.get_backend_name())
    hidden = {key: "***" for key in _SECRET_PARAMETERS if key in url.query}
    return plain.update_query_dict(hidden).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Raise what SQLAlchemy or the driver raises inside as an error of ours.

    :raises NotFoundError: a row's integration is not there.
    :raises ConcurrentUpdateError: the database gave way to another transaction.
    :raises StorageError: everything else.
    """
    try:
        yield
    except DBAPIError as error:
        raise _from_driver(error, url) from None
    except UnicodeError:
        raise StorageError("a text that is not valid Unicode cannot be stored") from None
    except StatementError as error:
        raise StorageError(f"a value cannot be stored ({type(error.orig).__name__})") from None
    except SQLAlchemyError as error:
        # A misuse of SQLAlchemy, or of its pool, before any value came into play: the cause may be shown.
        raise StorageError(f"the database {shown(url)} cannot be used ({type(error).__name__})") from error


def _before(error: DBAPIError) -> DBAPIError | None:
    """The failure that was being dealt with when this one happened."""
    earlier = error.__context__
    while earlier is not None and not isinstance(earlier, DBAPIError):
        earlier = earlier.__context__
    return earlier


def sqlstate(error: DBAPIError) -> str | None:
    """PostgreSQL's code for an error; None if it has none."""
    state = getattr(error.orig, "sqlstate", None)
    return None if state is None else str(state)


def _from_driver(error: DBAPIError, url: URL) -> StorageError:
    name = getattr(error.orig, "sqlite_errorname", None)
    if name == "SQLITE_ERROR" and (earlier := _before(error)):
        # A full disk ends SQLite's transaction, and then there is no savepoint to go back to: what came first counts.
        return _from_driver(earlier, url)
    if name is not None:
        return _from_sqlite(str(name), url)
    state = sqlstate(error)
    if state is not None:
        return _from_postgres(state, url)
    if _is_disconnection(error):
        return StorageError(f"the database {shown(url)} cannot be reached: {_reason(error, url)}")
    name = type(error.orig).__name__
    if name == "ProgrammingError":
        return StorageError(f"the database {shown(url)} cannot be opened: check the options in its URL")
    return StorageError(f"the database {shown(url)} refused a statement ({name})")


def _is_disconnection(error: DBAPIError) -> bool:
    """Whether there is (or was) no connection. Without one the driver has no code to tell by, and no value to quote."""
    return type(error.orig).__name__ in {"OperationalError", "ConnectionTimeout"}


def _from_sqlite(name: str, url: URL) -> StorageError:
    if name == "SQLITE_CONSTRAINT_FOREIGNKEY":
        return NotFoundError(_ORPHAN)
    if name in {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}:
        return StorageError(_TAKEN)
    what = next((text for prefix, text in _SQLITE.items() if name.startswith(prefix)), f"refused a statement ({name})")
    return StorageError(f"the database {shown(url)} {what}")


def _from_postgres(state: str, url: URL) -> StorageError:
    if state == "23503":
        return NotFoundError(_ORPHAN)
    if state == "23505":
        return StorageError(_TAKEN)
    if state.startswith(_POSTGRES_RACES):
        return ConcurrentUpdateError(f"the database {shown(url)} gave way to another transaction ({state}): try again")
    what = next((text for prefix, text in _POSTGRES.items() if state.startswith(prefix)), "refused a statement")
    return StorageError(f"the database {shown(url)} {what} ({state})")


def _reason(error: DBAPIError, url: URL) -> str:
    """The last line of what the driver says of a connection it could not make, with no password in it."""
    lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()]
    reason = lines[-1] if lines else "no reason given"
    secrets = [str(url.password or ""), *(str(url.query.get(key, "")) for key in _SECRET_PARAMETERS)]
    for secret in filter(None, secrets):
        reason = reason.replace(secret, "***")
    return f"{reason}. Check that the server runs and that the URL is right"
