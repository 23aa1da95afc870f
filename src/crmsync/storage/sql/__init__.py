"""Storage in SQLite and PostgreSQL. Needs the extra ``sql``, and ``postgres`` for PostgreSQL.

:raises MissingExtraError: (on import) SQLAlchemy or Alembic is not installed.
"""

from __future__ import annotations

from crmsync.errors import MissingExtraError

try:
    import alembic as _alembic  # noqa: F401  (asked for here, so that what is missing is said at once)
    import sqlalchemy as _sqlalchemy  # noqa: F401
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"alembic", "sqlalchemy"}:
        raise
    raise MissingExtraError("SQL storage", "sql") from error

from crmsync.storage.sql.repository import SqlRepository, open_repository

__all__ = ["SqlRepository", "open_repository"]
