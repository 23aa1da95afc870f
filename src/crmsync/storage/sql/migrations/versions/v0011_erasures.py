"""Marks of people who were erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Id, UtcDateTime

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "crm_erasures",
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("erased_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["crm_integrations.id"], name="fk_crm_erasures_crm_integrations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("integration_id", "digest", name="pk_crm_erasures"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("crm_erasures")
