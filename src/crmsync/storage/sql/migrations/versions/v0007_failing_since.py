"""Since when a link could not be finished."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column."""
    op.add_column("crm_sync_status", sa.Column("failing_since", UtcDateTime()))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("crm_sync_status", "failing_since")
