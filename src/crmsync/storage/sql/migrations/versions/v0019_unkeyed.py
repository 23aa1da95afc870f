"""After which link the CRM's records may lack the external key, since its field could not be written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column."""
    op.add_column("crm_sync_cursors", sa.Column("unkeyed_after", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("crm_sync_cursors", "unkeyed_after")
