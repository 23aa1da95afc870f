"""How many links have each status, kept beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Id

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the table, and count what there is."""
    op.create_table(
        "crm_sync_counts",
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("sync_status", sa.String(16), nullable=False),
        sa.Column("links", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["crm_integrations.id"], name="fk_crm_sync_counts_crm_integrations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("integration_id", "entity_type", "sync_status", name="pk_crm_sync_counts"),
    )
    names = ("integration_id", "entity_type", "sync_status")
    counts = sa.table("crm_sync_counts", *map(sa.column, (*names, "links")))
    links = sa.table("crm_sync_status", *map(sa.column, names))
    counted = sa.select(*links.c, sa.func.count()).group_by(*links.c)
    op.execute(sa.insert(counts).from_select([*names, "links"], counted))


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("crm_sync_counts")
