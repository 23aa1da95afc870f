"""Jobs at the CRM that outlive the process."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Id, Number, UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "crm_remote_jobs",
        sa.Column("id", Number(), autoincrement=True, nullable=False),
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("job_id", Id(), nullable=False),
        sa.Column("object_name", sa.Text(), nullable=False),
        sa.Column("operation", sa.String(length=32), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["crm_integrations.id"], name="fk_crm_remote_jobs_crm_integrations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_crm_remote_jobs"),
        sa.UniqueConstraint("integration_id", "entity_type", "job_id", name="uq_crm_remote_jobs_job_id"),
    )


def downgrade() -> None:
    """Drop the table: jobs at the CRM that are not over are forgotten."""
    op.drop_table("crm_remote_jobs")
