"""Conflicts: who changed and who decided what, and when values are erased."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

from crmsync.storage.sql.column_types import Json, UtcDateTime
from crmsync.storage.sql.migrations.online import add_columns, create_index

revision = "0005"
down_revision = "0004"

_COLUMNS: dict[str, TypeEngine[Any]] = {
    "local_changed_at": UtcDateTime(),
    "local_changed_by": sa.Text(),
    "remote_changed_at": UtcDateTime(),
    "remote_changed_by": sa.Text(),
    "given_value": Json(),
    "decided_by": sa.Text(),
    "decided_at": UtcDateTime(),
    "resolved_run_id": sa.Text(),
    "erased_at": UtcDateTime(),
}


def upgrade() -> None:
    """Add the columns, and the index that finds what is to be erased."""
    add_columns("crm_sync_conflicts", [sa.Column(name, kind) for name, kind in _COLUMNS.items()])
    create_index(
        "ix_crm_sync_conflicts_erased_at", "crm_sync_conflicts", ["integration_id", "erased_at", "resolved_at"]
    )


def downgrade() -> None:
    """Drop the index and the columns: who decided what is forgotten."""
    op.drop_index("ix_crm_sync_conflicts_erased_at", "crm_sync_conflicts")
    for column in reversed(_COLUMNS):
        op.drop_column("crm_sync_conflicts", column)
