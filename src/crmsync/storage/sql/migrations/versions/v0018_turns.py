"""Turns that integrations share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Id, UtcDateTime

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "crm_turns",
        sa.Column("turn", Id(), nullable=False),
        sa.Column("owner", Id(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("turn", name="pk_crm_turns"),
    )


def downgrade() -> None:
    """Drop the table: whoever holds a turn is done with it before the earlier crmsync begins."""
    op.drop_table("crm_turns")
