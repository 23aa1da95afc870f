"""Storage in SQLite and PostgreSQL. Needs the extra ``sql``, and ``postgres`` for PostgreSQL.

:raises MissingExtraError: (on import) SQLAlchemy or Alembic is not installed.
"""

from __future__ import annotations

from importlib.util import find_spec

from crmsync.errors import MissingExtraError

if find_spec("sqlalchemy") is None or find_spec("alembic") is None:
    raise MissingExtraError("SQL storage", "sql")

from crmsync.storage.sql.repository import SqlRepository, open_repository

__all__ = ["SqlRepository", "open_repository"]
