"""Models to rows and back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
import sqlalchemy as sa

from crmsync.diff.packing import unpack
from crmsync.models.candidates import Candidate
from crmsync.models.history import FieldChange, RecordChange
from crmsync.models.integrations import Integration, MappingTemplate
from crmsync.models.mappings import SyncDirection
from crmsync.models.problems import Problem
from crmsync.models.records import OperationKind, Side
from crmsync.models.state import (
    Conflict,
    ConflictStatus,
    JournalEntry,
    JournalPurpose,
    Link,
    LinkStatus,
    RemoteJob,
    SyncLog,
)
from crmsync.storage.sql import tables
from crmsync.storage.sql.outlines import StoredOutlines
from crmsync.storage.sql.packed_ids import unpack_id
from crmsync.storage.sql.statements import AnyRow

_BORN = {SyncDirection.TO_CRM.value: Side.LOCAL, SyncDirection.FROM_CRM.value: Side.REMOTE}
DIRECTIONS = {side: direction for direction, side in _BORN.items()}
"""What `sync_direction` says of the side where a link was born."""
_LINK_STATUSES = {status.value: status for status in LinkStatus}

LINK_STATE = (
    "local_shadow",
    "remote_shadow",
    "local_version",
    "remote_version",
    "mapping_version",
    "attempts",
    "next_attempt_at",
    "problems",
    "candidates",
    "failing_since",
    "created_at",
    "updated_at",
    "flips",
)
"""The columns of what a link says besides whom it links and how it stands."""

LINK_COLUMNS = (
    tables.links.c.integration_id,
    # As it is stored: what is no id is a damaged row.
    sa.type_coerce(tables.links.c.markmail_id, sa.LargeBinary),
    *(
        tables.links.c[name]
        for name in (
            "crm_id",
            "sync_status",
            "sync_direction",
            "last_sync_hash",
            *LINK_STATE,
        )
    ),
)
"""After the number in the order of the fields of `Link`, from ``markmail_id`` on."""


def link_of(row: AnyRow, entity_type: str, outlines: StoredOutlines) -> Link:
    """A link from its row.

    :param row: of `LINK_COLUMNS`.
    :param outlines: of its integration.
    """
    local_shadow, remote_shadow, mapping_version, last_sync_hash = unpack((row[6], row[7], row[10], row[5]), outlines)
    # By position: a page has thousands of rows, and looking names up doubles the time.
    return Link(
        outlines.integration_id,
        entity_type,
        unpack_id(row[1]),
        row[2],
        _LINK_STATUSES[row[3]],
        _BORN[row[4]],
        last_sync_hash,
        local_shadow,
        remote_shadow,
        row[8],
        row[9],
        mapping_version,
        row[11],
        row[12],
        tuple(Problem(*problem) for problem in row[13] or ()),
        tuple(Candidate.model_validate(each) for each in row[14] or ()),
        row[15],
        row[16],
        row[17],
        row[18] or b"",
    )


def _cells(row: AnyRow) -> dict[str, Any]:
    return dict(row._mapping)  # noqa: SLF001  (SQLAlchemy's public name for it)


def integration_row(integration: Integration) -> dict[str, Any]:
    """An integration as a row to store."""
    row = integration.model_dump(exclude={"field_mappings"})
    row["field_mappings"] = {
        name: mapping.model_dump(mode="json") for name, mapping in integration.field_mappings.items()
    }
    return row


def integration_of(row: AnyRow) -> Integration:
    """An integration from its whole row."""
    return Integration.model_validate(_cells(row))


def template_row(template: MappingTemplate) -> dict[str, Any]:
    """A template as a row to store."""
    row = template.model_dump(exclude={"mappings"})
    row["mappings"] = {name: mapping.model_dump(mode="json") for name, mapping in template.mappings.items()}
    return row


def template_of(row: AnyRow) -> MappingTemplate:
    """A template from its whole row."""
    return MappingTemplate.model_validate(_cells(row))


def log_row(log: SyncLog) -> dict[str, Any]:
    """A log as a row to store."""
    return attrs.asdict(log)


def log_of(row: AnyRow) -> SyncLog:
    """A log from its whole row."""
    return SyncLog(**_cells(row))


_JOURNAL_FIELDS = tuple(attrs.fields_dict(JournalEntry))


def journal_row(entry: JournalEntry) -> dict[str, Any]:
    """A journal entry as a row to store; the database numbers it."""
    row = {name: getattr(entry, name) for name in _JOURNAL_FIELDS}
    row["conflicts"] = [_plain(conflict) for conflict in entry.conflicts] or None
    row["target"] = entry.target.value
    row["kind"] = entry.kind.value
    row["purpose"] = entry.purpose.value
    row["change"] = entry.change and _plain_change(entry.change)
    for name in ("sent", "before"):
        row[name] = {field: digest.hex() for field, digest in row[name].items()}
    return row


def job_row(integration_id: str, entity_type: str, job: RemoteJob) -> dict[str, Any]:
    """A job at the CRM as a row to store; the database numbers it."""
    return {"integration_id": integration_id, "entity_type": entity_type, **attrs.asdict(job)}


def job_of(row: AnyRow) -> RemoteJob:
    """A job at the CRM from its whole row."""
    return RemoteJob(row.job_id, row.object_name, row.operation, row.records, row.started_at)


def journal_of(row: AnyRow) -> JournalEntry:
    """A journal entry from its whole row."""
    return JournalEntry(
        op_id=row.op_id,
        integration_id=row.integration_id,
        entity_type=row.entity_type,
        target=Side(row.target),
        kind=OperationKind(row.kind),
        markmail_id=row.markmail_id,
        crm_id=row.crm_id,
        sent={field: bytes.fromhex(digest) for field, digest in row.sent.items()},
        before={field: bytes.fromhex(digest) for field, digest in (row.before or {}).items()},
        started_at=row.started_at,
        conflicts=tuple(_conflict_from(plain) for plain in row.conflicts or ()),
        purpose=JournalPurpose(row.purpose or JournalPurpose.SYNC),
        change=_change_from(row) if row.change else None,
    )


def _plain_change(change: RecordChange) -> dict[str, Any]:
    """What its journal entry does not say, as JSON takes it."""
    return {
        "run_id": change.run_id,
        "kind": change.kind.value,
        "written_at": change.written_at and change.written_at.isoformat(),
        "fields": [attrs.astuple(one) for one in change.fields],
    }


def _change_from(row: AnyRow) -> RecordChange:
    plain = row.change
    return RecordChange(
        integration_id=row.integration_id,
        entity_type=row.entity_type,
        run_id=plain["run_id"],
        side=Side(row.target),
        kind=OperationKind(plain["kind"]),
        markmail_id=row.markmail_id,
        crm_id=row.crm_id,
        fields=tuple(FieldChange(*one) for one in plain["fields"]),
        written_at=plain["written_at"] and datetime.fromisoformat(plain["written_at"]),
    )


def _plain(conflict: Conflict) -> dict[str, Any]:
    """A conflict as JSON takes it."""
    row = conflict_row(conflict)
    return row | {name: row[name] and row[name].isoformat() for name in _CONFLICT_TIMES}


def _conflict_from(plain: dict[str, Any]) -> Conflict:
    times = {name: plain[name] and datetime.fromisoformat(plain[name]) for name in _CONFLICT_TIMES}
    return _conflict(plain | times)


_CONFLICT_TIMES = tuple(name for name in attrs.fields_dict(Conflict) if name.endswith("_at"))


def conflict_row(conflict: Conflict) -> dict[str, Any]:
    """A conflict as a row to store."""
    row = attrs.asdict(conflict)
    row["status"] = conflict.status.value
    row["winner"] = conflict.winner and conflict.winner.value
    return row


def conflict_of(row: AnyRow) -> Conflict:
    """A conflict from its whole row."""
    return _conflict(_cells(row))


def _conflict(fields: dict[str, Any]) -> Conflict:
    fields["status"] = ConflictStatus(fields["status"])
    fields["winner"] = fields["winner"] and Side(fields["winner"])
    return Conflict(**fields)
