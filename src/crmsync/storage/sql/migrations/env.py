"""What Alembic runs: our migrations on the connection, and in the transaction, that `schema.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from crmsync.storage.sql.schema import VERSION_TABLE
from crmsync.storage.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
