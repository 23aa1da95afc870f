"""Conflicts: who changed and who decided what, and when values are erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Json, UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns, and the index that finds what is to be erased."""
    for column in (
        sa.Column("local_changed_at", UtcDateTime()),
        sa.Column("local_changed_by", sa.Text()),
        sa.Column("remote_changed_at", UtcDateTime()),
        sa.Column("remote_changed_by", sa.Text()),
        sa.Column("given_value", Json()),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", UtcDateTime()),
        sa.Column("resolved_run_id", sa.Text()),
        sa.Column("erased_at", UtcDateTime()),
    ):
        op.add_column("crm_sync_conflicts", column)
    op.create_index(
        "ix_crm_sync_conflicts_erased_at", "crm_sync_conflicts", ["integration_id", "erased_at", "resolved_at"]
    )
