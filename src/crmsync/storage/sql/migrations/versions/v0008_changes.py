"""The history of changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Id, Json, Number, UtcDateTime

revision = "0008"
down_revision = "0007"

_SCOPE = ("integration_id", "entity_type")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "crm_sync_changes",
        sa.Column("id", Number(), autoincrement=True, nullable=False),
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("side", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("markmail_id", Id(), nullable=False),
        sa.Column("crm_id", Id()),
        sa.Column("fields", Json(), nullable=False),
        sa.Column("written_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["crm_integrations.id"], name="fk_crm_sync_changes_crm_integrations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_crm_sync_changes"),
    )
    op.create_index("ix_crm_sync_changes_run_id", "crm_sync_changes", [*_SCOPE, "run_id", "id"])
    for column in ("markmail_id", "crm_id", "written_at"):
        op.create_index(f"ix_crm_sync_changes_{column}", "crm_sync_changes", [*_SCOPE, column])


def downgrade() -> None:
    """Drop the table: what runs wrote is forgotten."""
    op.drop_table("crm_sync_changes")
