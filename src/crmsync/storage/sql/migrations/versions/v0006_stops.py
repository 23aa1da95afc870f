"""Stopped runs, with the plans that people look at and approve."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Id, Json, UtcDateTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "crm_stops",
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("stopped_at", UtcDateTime(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("plan", Json(), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["crm_integrations.id"], name="fk_crm_stops_crm_integrations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("integration_id", "entity_type", name="pk_crm_stops"),
    )
    op.create_table(
        "crm_stopped_records",
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["crm_integrations.id"],
            name="fk_crm_stopped_records_crm_integrations",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("integration_id", "entity_type", "page", name="pk_crm_stopped_records"),
    )


def downgrade() -> None:
    """Drop the tables: stops are noted again by the next run."""
    op.drop_table("crm_stopped_records")
    op.drop_table("crm_stops")
