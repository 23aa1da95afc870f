"""The conflicts that a write under way decides: what it overwrites is not forgotten by a crash."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Json

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column."""
    op.add_column("crm_sync_journal", sa.Column("conflicts", Json(), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("crm_sync_journal", "conflicts")
