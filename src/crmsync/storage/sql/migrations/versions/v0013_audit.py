"""The audit log, which the database itself only lets grow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.append_only import postgresql_triggers, sqlite_triggers
from crmsync.storage.sql.column_types import Id, Json, UtcDateTime
from crmsync.storage.sql.layout import layout_of

revision = "0013"
down_revision = "0012"

_LOG = "crm_audit_log"


def upgrade() -> None:
    """Add the tables and the triggers."""
    op.create_table(
        _LOG,
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("details", Json(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "sequence", name="pk_crm_audit_log"),
    )
    op.create_table(
        "crm_audit_heads",
        sa.Column("integration_id", Id(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", name="pk_crm_audit_heads"),
    )
    op.create_table(
        "crm_audit_keys",
        sa.Column("key_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_crm_audit_keys"),
    )
    postgresql = op.get_context().dialect.name == "postgresql"
    for statement in (postgresql_triggers if postgresql else sqlite_triggers)(_named(_LOG)):
        op.execute(sa.text(statement))


def downgrade() -> None:
    """Drop the tables: the log is forgotten."""
    for table in (_LOG, "crm_audit_heads", "crm_audit_keys"):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute(sa.text(f"DROP FUNCTION {_named(_LOG)}_append_only()"))


def _named(table: str) -> str:
    """The table's name with the layout's prefix and schema, which SQLAlchemy does not write into text."""
    context = op.get_context()
    schema = None if context.as_sql or context.connection is None else layout_of(context.connection).schema
    quoted = context.dialect.identifier_preparer.quote(table)
    return quoted if schema is None else f"{schema}.{quoted}"
