"""What a write under way is part of, and what the history is to say of it: no crash keeps it out of there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Json

revision = "0014"
down_revision = "0013"

_TABLE = "crm_sync_journal"


def upgrade() -> None:
    """Add the columns."""
    op.add_column(_TABLE, sa.Column("purpose", sa.String(length=16), nullable=True))
    op.add_column(_TABLE, sa.Column("change", Json(), nullable=True))


def downgrade() -> None:
    """Drop the columns, and the entries that the older crmsync would take for those of a sync."""
    entries = sa.table(_TABLE, sa.column("purpose"))
    op.execute(sa.delete(entries).where(entries.c.purpose != "sync"))
    op.drop_column(_TABLE, "change")
    op.drop_column(_TABLE, "purpose")
