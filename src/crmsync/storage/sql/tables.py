"""The tables. What is stored where is in the models' docstrings; here is only how."""

from __future__ import annotations

import sqlalchemy as sa

from crmsync.storage.sql.column_types import Id, Json, Moment, Name, Number, UtcDateTime
from crmsync.storage.sql.packed_ids import PackedId

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


def _integration_id() -> sa.Column[str]:
    return sa.Column("integration_id", Id(), sa.ForeignKey("crm_integrations.id", ondelete="CASCADE"), nullable=False)


integrations = sa.Table(
    "crm_integrations",
    metadata,
    sa.Column("id", Id(), primary_key=True),
    sa.Column("user_id", Id(), nullable=False, index=True),
    sa.Column("provider", Id(), nullable=False),
    sa.Column("org_id", sa.Text),
    sa.Column("credentials", sa.Text, nullable=False),
    sa.Column("settings", Json(), nullable=False),
    sa.Column("field_mappings", Json(), nullable=False),
    sa.Column("sync_enabled", sa.Boolean, nullable=False),
    sa.Column("last_sync_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

numbers = sa.Table(
    "crm_integration_numbers",
    metadata,
    sa.Column("id", Number(), primary_key=True, autoincrement=True),
    _integration_id(),
    sa.Column("entity_type", Id(), nullable=False),
    sa.UniqueConstraint("integration_id", "entity_type", name="uq_crm_integration_numbers_entity_type"),
)
"""What links call an object of an integration by."""

links = sa.Table(
    "crm_sync_status",
    metadata,
    sa.Column(
        "integration_id", sa.Integer, sa.ForeignKey("crm_integration_numbers.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("markmail_id", PackedId(), nullable=False),
    sa.Column("crm_id", Id()),
    sa.Column("last_sync_hash", sa.String(64), nullable=False),
    sa.Column("sync_status", sa.String(16), nullable=False),
    sa.Column("sync_direction", sa.String(16), nullable=False),
    sa.Column("error_message", sa.Text),
    sa.Column("local_shadow", sa.LargeBinary, nullable=False),
    sa.Column("remote_shadow", sa.LargeBinary, nullable=False),
    sa.Column("local_version", sa.Text),
    sa.Column("remote_version", sa.Text),
    sa.Column("mapping_version", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", Moment),
    sa.Column("problems", Json()),
    sa.Column("candidates", Json()),
    sa.Column("failing_since", Moment),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("flips", sa.LargeBinary),
    sa.PrimaryKeyConstraint("integration_id", "markmail_id", name="pk_crm_sync_status"),
    sa.UniqueConstraint("integration_id", "crm_id", name="uq_crm_sync_status_crm_id"),
    sa.Index(
        "ix_crm_sync_status_unsynced",
        *("integration_id", "sync_status", "markmail_id"),
        sqlite_where=sa.text("sync_status <> 'synced'"),
        postgresql_where=sa.text("sync_status <> 'synced'"),
    ),
)
"""The links. ``sync_direction`` says which way the pair came about; ``error_message`` is its problems as text.

``integration_id`` is the number of the integration and the object: it is in each row and its indexes, and names may be
long. ``markmail_id`` is packed (`packed_ids`), as are the shadows, the mapping's version and the sync hash
(`crmsync.diff.packing`).
"""

UNSYNCED = links.c.sync_status != sa.literal_column("'synced'")
"""Has the index found that holds only such links. Every run looks at a few of them, among a million in sync."""

outlines = sa.Table(
    "crm_sync_outlines",
    metadata,
    _integration_id(),
    sa.Column("reference", sa.LargeBinary, nullable=False),
    sa.Column("mapping_version", sa.Text, nullable=False),
    sa.Column("tags", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("integration_id", "reference", name="pk_crm_sync_outlines"),
)
"""What the links of one version of a mapping have in common (`crmsync.diff.packing`)."""

logs = sa.Table(
    "crm_sync_logs",
    metadata,
    sa.Column("id", Id(), nullable=False),
    _integration_id(),
    sa.Column("sync_type", sa.String(32), nullable=False),
    sa.Column("entity_type", Id(), nullable=False),
    sa.Column("entity_count", sa.Integer, nullable=False),
    sa.Column("success_count", sa.Integer, nullable=False),
    sa.Column("error_count", sa.Integer, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("completed_at", UtcDateTime),
    sa.Column("error_details", Json(), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # An id is one integration's own, so that none can reach into another's rows.
    sa.PrimaryKeyConstraint("integration_id", "id", name="pk_crm_sync_logs"),
    sa.Index("ix_crm_sync_logs_started_at", "integration_id", "started_at"),
)

templates = sa.Table(
    "crm_field_mapping_templates",
    metadata,
    sa.Column("id", Id(), primary_key=True),
    sa.Column("provider", Id(), nullable=False),
    sa.Column("name", Name(), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("mappings", Json(), nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("provider", "name", name="uq_crm_field_mapping_templates_name"),
)

cursors = sa.Table(
    "crm_sync_cursors",
    metadata,
    _integration_id(),
    sa.Column("entity_type", Id(), nullable=False),
    sa.Column("local_cursor", sa.Text),
    sa.Column("remote_cursor", sa.Text),
    sa.Column("mapping_version", sa.Text, nullable=False),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_fence", sa.BigInteger, nullable=False),
    sa.Column("lease_expires_at", UtcDateTime),
    sa.Column("unkeyed_after", sa.Text),
    sa.PrimaryKeyConstraint("integration_id", "entity_type", name="pk_crm_sync_cursors"),
)
"""How far each side was read, and who may go on. ``lease_owner`` NULL: nobody holds it. The fence never falls.

``unkeyed_after``: after which link the CRM's records may lack the external key; NULL: none does.
"""

counts = sa.Table(
    "crm_sync_counts",
    metadata,
    _integration_id(),
    sa.Column("entity_type", Id(), nullable=False),
    sa.Column("sync_status", sa.String(16), nullable=False),
    sa.Column("links", sa.BigInteger, nullable=False),
    sa.PrimaryKeyConstraint("integration_id", "entity_type", "sync_status", name="pk_crm_sync_counts"),
)
"""How many links have each status. None of an object: nobody counted them yet."""

journal = sa.Table(
    "crm_sync_journal",
    metadata,
    sa.Column("id", Number(), primary_key=True, autoincrement=True),
    _integration_id(),
    sa.Column("entity_type", Id(), nullable=False),
    sa.Column("op_id", sa.Text, nullable=False),
    sa.Column("target", sa.String(16), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("markmail_id", Id(), nullable=False),
    sa.Column("crm_id", Id()),
    sa.Column("sent", Json(), nullable=False),
    sa.Column("before", Json()),
    sa.Column("conflicts", Json()),
    sa.Column("started_at", UtcDateTime),
    sa.Column("purpose", sa.String(16)),
    sa.Column("change", Json()),
    sa.UniqueConstraint("integration_id", "entity_type", "op_id", name="uq_crm_sync_journal_op_id"),
)

remote_jobs = sa.Table(
    "crm_remote_jobs",
    metadata,
    sa.Column("id", Number(), primary_key=True, autoincrement=True),
    _integration_id(),
    sa.Column("entity_type", Id(), nullable=False),
    sa.Column("job_id", Id(), nullable=False),
    sa.Column("object_name", sa.Text, nullable=False),
    sa.Column("operation", sa.String(32), nullable=False),
    sa.Column("records", sa.Integer, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("integration_id", "entity_type", "job_id", name="uq_crm_remote_jobs_job_id"),
)
"""Jobs at the CRM that are not known to be over."""

conflicts = sa.Table(
    "crm_sync_conflicts",
    metadata,
    sa.Column("id", Id(), nullable=False),
    _integration_id(),
    sa.Column("entity_type", Id(), nullable=False),
    sa.Column("markmail_id", Id(), nullable=False),
    sa.Column("crm_id", Id()),
    sa.Column("field", sa.Text, nullable=False),
    sa.Column("crm_field", sa.Text, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("local_value", Json()),
    sa.Column("remote_value", Json()),
    sa.Column("winner", sa.String(16)),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("resolved_at", UtcDateTime),
    sa.Column("local_changed_at", UtcDateTime),
    sa.Column("local_changed_by", sa.Text),
    sa.Column("remote_changed_at", UtcDateTime),
    sa.Column("remote_changed_by", sa.Text),
    sa.Column("given_value", Json()),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("resolved_run_id", sa.Text),
    sa.Column("erased_at", UtcDateTime),
    sa.PrimaryKeyConstraint("integration_id", "id", name="pk_crm_sync_conflicts"),
    sa.Index("ix_crm_sync_conflicts_markmail_id", "integration_id", "entity_type", "markmail_id"),
    sa.Index("ix_crm_sync_conflicts_created_at", "integration_id", "created_at"),
    # Every run looks for values to erase: a few among all that were erased before.
    sa.Index("ix_crm_sync_conflicts_erased_at", "integration_id", "erased_at", "resolved_at"),
)

stops = sa.Table(
    "crm_stops",
    metadata,
    _integration_id(),
    sa.Column("entity_type", Id(), nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("code", sa.String(32), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("stopped_at", UtcDateTime, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64)),
    sa.Column("plan", Json()),
    sa.Column("approved_by", sa.Text),
    sa.Column("approved_at", UtcDateTime),
    sa.PrimaryKeyConstraint("integration_id", "entity_type", name="pk_crm_stops"),
)

stopped_records = sa.Table(
    "crm_stopped_records",
    metadata,
    _integration_id(),
    sa.Column("entity_type", Id(), nullable=False),
    sa.Column("page", sa.Integer, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("integration_id", "entity_type", "page", name="pk_crm_stopped_records"),
)
"""The records of a stopped plan: ids, fingerprints, kinds and field names, a thousand to a compressed page."""

erasures = sa.Table(
    "crm_erasures",
    metadata,
    _integration_id(),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("erased_at", UtcDateTime, nullable=False),
    sa.PrimaryKeyConstraint("integration_id", "digest", name="pk_crm_erasures"),
)
"""Marks of people who were erased: keyed digests of their e-mail and ids, so that no run takes them in again."""

changes = sa.Table(
    "crm_sync_changes",
    metadata,
    sa.Column("id", Number(), primary_key=True, autoincrement=True),
    _integration_id(),
    sa.Column("entity_type", Id(), nullable=False),
    sa.Column("run_id", Id(), nullable=False),
    sa.Column("side", sa.String(16), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("markmail_id", Id(), nullable=False),
    sa.Column("crm_id", Id()),
    sa.Column("fields", Json(), nullable=False),
    sa.Column("written_at", UtcDateTime, nullable=False),
    sa.Index("ix_crm_sync_changes_run_id", "integration_id", "entity_type", "run_id", "id"),
    sa.Index("ix_crm_sync_changes_markmail_id", "integration_id", "entity_type", "markmail_id"),
    sa.Index("ix_crm_sync_changes_crm_id", "integration_id", "entity_type", "crm_id"),
    sa.Index("ix_crm_sync_changes_written_at", "integration_id", "entity_type", "written_at"),
)
"""What runs wrote, with record values. ``fields`` is a list of [field, before, after, cause]."""

calls = sa.Table(
    "crm_api_calls",
    metadata,
    _integration_id(),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("taken", sa.BigInteger, nullable=False),
    sa.Column("org_used", sa.BigInteger),
    sa.Column("org_limit", sa.BigInteger),
    sa.Column("org_seen_at", UtcDateTime),
    sa.PrimaryKeyConstraint("integration_id", "day", name="pk_crm_api_calls"),
)
"""API calls by day of UTC. ``taken`` includes those that a running process holds and has not made yet."""

audit_log = sa.Table(
    "crm_audit_log",
    metadata,
    # No foreign key: what was done with an integration is still known when it is gone.
    sa.Column("integration_id", Id(), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("entity_type", Id(), nullable=False),
    sa.Column("result", sa.String(16), nullable=False),
    sa.Column("details", Json(), nullable=False),
    sa.Column("key_id", sa.Integer, nullable=False),
    sa.Column("mac", sa.String(64), nullable=False),
    sa.PrimaryKeyConstraint("integration_id", "sequence", name="pk_crm_audit_log"),
)
"""Triggers refuse to change or delete a row."""

audit_heads = sa.Table(
    "crm_audit_heads",
    metadata,
    sa.Column("integration_id", Id(), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("mac", sa.String(64), nullable=False),
    sa.PrimaryKeyConstraint("integration_id", name="pk_crm_audit_heads"),
)
"""The last entry of each chain: whoever adds one locks the row."""

audit_keys = sa.Table(
    "crm_audit_keys",
    metadata,
    sa.Column("key_id", sa.Integer, autoincrement=False, nullable=False),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("key_id", name="pk_crm_audit_keys"),
)

turns = sa.Table(
    "crm_turns",
    metadata,
    sa.Column("turn", Id(), nullable=False),
    sa.Column("owner", Id(), nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.PrimaryKeyConstraint("turn", name="pk_crm_turns"),
)
"""Who has a turn, until when. A row belongs to no integration: it goes when its turn is over."""
