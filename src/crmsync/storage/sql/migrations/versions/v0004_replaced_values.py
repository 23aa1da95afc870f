"""What a write that is under way replaces: tells after a crash whether it took effect."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Json

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("crm_sync_journal", sa.Column("before", Json(), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("crm_sync_journal", "before")
