"""Links are packed, and the index by status holds those only that are not in sync."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Id
from crmsync.storage.sql.migrations.online import create_index, drop_index
from crmsync.storage.sql.migrations.repacking import pack_links, unpack_links

revision = "0015"
down_revision = "0014"

_INDEXED = ("integration_id", "entity_type", "sync_status", "markmail_id")


def upgrade() -> None:
    """Add the outlines, replace the index, and pack what there is."""
    op.create_table(
        "crm_sync_outlines",
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=False),
        sa.Column("mapping_version", sa.Text(), nullable=False),
        sa.Column("tags", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["crm_integrations.id"],
            name="fk_crm_sync_outlines_crm_integrations",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("integration_id", "reference", name="pk_crm_sync_outlines"),
        if_not_exists=True,
    )
    create_index("ix_crm_sync_status_unsynced", "crm_sync_status", _INDEXED, "sync_status <> 'synced'")
    drop_index("ix_crm_sync_status_sync_status", "crm_sync_status")
    pack_links()


def downgrade() -> None:
    """Unpack the links, and go back to the index of all of them."""
    create_index("ix_crm_sync_status_sync_status", "crm_sync_status", _INDEXED)
    drop_index("ix_crm_sync_status_unsynced", "crm_sync_status")
    unpack_links()
    op.drop_table("crm_sync_outlines")
