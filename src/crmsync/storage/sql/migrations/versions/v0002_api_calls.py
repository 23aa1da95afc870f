"""API calls by day, shared by an integration's processes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Id, UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "crm_api_calls",
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.Column("org_used", sa.BigInteger()),
        sa.Column("org_limit", sa.BigInteger()),
        sa.Column("org_seen_at", UtcDateTime()),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["crm_integrations.id"], name="fk_crm_api_calls_crm_integrations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("integration_id", "day", name="pk_crm_api_calls"),
    )


def downgrade() -> None:
    """Drop the table: the day's calls are counted from nothing."""
    op.drop_table("crm_api_calls")
