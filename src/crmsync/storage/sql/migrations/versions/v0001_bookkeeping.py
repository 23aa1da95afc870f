"""The bookkeeping: integrations, links, logs, templates, cursors with leases, the journal, conflicts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Id, Json, Name, Number, UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    _create_crm_integrations()
    _create_crm_sync_status()
    _create_crm_sync_logs()
    _create_crm_field_mapping_templates()
    _create_crm_sync_cursors()
    _create_crm_sync_journal()
    _create_crm_sync_conflicts()


def _create_crm_integrations() -> None:
    op.create_table(
        "crm_integrations",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", Id(), nullable=False),
        sa.Column("provider", Id(), nullable=False),
        sa.Column("org_id", sa.Text()),
        sa.Column("credentials", sa.Text(), nullable=False),
        sa.Column("settings", Json(), nullable=False),
        sa.Column("field_mappings", Json(), nullable=False),
        sa.Column("sync_enabled", sa.Boolean(), nullable=False),
        sa.Column("last_sync_at", UtcDateTime()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_crm_integrations"),
    )
    op.create_index("ix_crm_integrations_user_id", "crm_integrations", ["user_id"])


def _create_crm_sync_status() -> None:
    op.create_table(
        "crm_sync_status",
        sa.Column("id", Number(), autoincrement=True, nullable=False),
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("markmail_id", Id(), nullable=False),
        sa.Column("crm_id", Id()),
        sa.Column("last_sync_hash", sa.String(length=64), nullable=False),
        sa.Column("sync_status", sa.String(length=16), nullable=False),
        sa.Column("sync_direction", sa.String(length=16), nullable=False),
        sa.Column("error_message", sa.Text()),
        sa.Column("local_shadow", sa.LargeBinary(), nullable=False),
        sa.Column("remote_shadow", sa.LargeBinary(), nullable=False),
        sa.Column("local_version", sa.Text()),
        sa.Column("remote_version", sa.Text()),
        sa.Column("mapping_version", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime()),
        sa.Column("problems", Json()),
        sa.Column("candidates", Json()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["crm_integrations.id"], name="fk_crm_sync_status_crm_integrations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_crm_sync_status"),
        sa.UniqueConstraint("integration_id", "entity_type", "crm_id", name="uq_crm_sync_status_crm_id"),
        sa.UniqueConstraint("integration_id", "entity_type", "markmail_id", name="uq_crm_sync_status_markmail_id"),
    )
    op.create_index(
        "ix_crm_sync_status_sync_status",
        "crm_sync_status",
        ["integration_id", "entity_type", "sync_status", "markmail_id"],
        unique=False,
    )


def _create_crm_sync_logs() -> None:
    op.create_table(
        "crm_sync_logs",
        sa.Column("id", Id(), nullable=False),
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("sync_type", sa.String(length=32), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("entity_count", sa.Integer(), nullable=False),
        sa.Column("success_count", sa.Integer(), nullable=False),
        sa.Column("error_count", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("completed_at", UtcDateTime()),
        sa.Column("error_details", Json(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["crm_integrations.id"], name="fk_crm_sync_logs_crm_integrations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("integration_id", "id", name="pk_crm_sync_logs"),
    )
    op.create_index("ix_crm_sync_logs_started_at", "crm_sync_logs", ["integration_id", "started_at"])


def _create_crm_field_mapping_templates() -> None:
    op.create_table(
        "crm_field_mapping_templates",
        sa.Column("id", Id(), nullable=False),
        sa.Column("provider", Id(), nullable=False),
        sa.Column("name", Name(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("mappings", Json(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_crm_field_mapping_templates"),
        sa.UniqueConstraint("provider", "name", name="uq_crm_field_mapping_templates_name"),
    )


def _create_crm_sync_cursors() -> None:
    op.create_table(
        "crm_sync_cursors",
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("local_cursor", sa.Text()),
        sa.Column("remote_cursor", sa.Text()),
        sa.Column("mapping_version", sa.Text(), nullable=False),
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_expires_at", UtcDateTime()),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["crm_integrations.id"], name="fk_crm_sync_cursors_crm_integrations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("integration_id", "entity_type", name="pk_crm_sync_cursors"),
    )


def _create_crm_sync_journal() -> None:
    op.create_table(
        "crm_sync_journal",
        sa.Column("id", Number(), autoincrement=True, nullable=False),
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("op_id", sa.Text(), nullable=False),
        sa.Column("target", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("markmail_id", Id(), nullable=False),
        sa.Column("crm_id", Id()),
        sa.Column("sent", Json(), nullable=False),
        sa.Column("started_at", UtcDateTime()),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["crm_integrations.id"], name="fk_crm_sync_journal_crm_integrations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_crm_sync_journal"),
        sa.UniqueConstraint("integration_id", "entity_type", "op_id", name="uq_crm_sync_journal_op_id"),
    )


def _create_crm_sync_conflicts() -> None:
    op.create_table(
        "crm_sync_conflicts",
        sa.Column("id", Id(), nullable=False),
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("markmail_id", Id(), nullable=False),
        sa.Column("crm_id", Id()),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("crm_field", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("local_value", Json()),
        sa.Column("remote_value", Json()),
        sa.Column("winner", sa.String(length=16)),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("resolved_at", UtcDateTime()),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["crm_integrations.id"],
            name="fk_crm_sync_conflicts_crm_integrations",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("integration_id", "id", name="pk_crm_sync_conflicts"),
    )
    op.create_index("ix_crm_sync_conflicts_created_at", "crm_sync_conflicts", ["integration_id", "created_at"])
    op.create_index(
        "ix_crm_sync_conflicts_markmail_id",
        "crm_sync_conflicts",
        ["integration_id", "entity_type", "markmail_id"],
        unique=False,
    )


def downgrade() -> None:
    """Drop every table."""
    for table in (
        "crm_sync_conflicts",
        "crm_sync_journal",
        "crm_sync_cursors",
        "crm_field_mapping_templates",
        "crm_sync_logs",
        "crm_sync_status",
        "crm_integrations",
    ):
        op.drop_table(table)
