"""The bookkeeping of a sync: links with their shadows, cursors, leases, the journal, conflicts.

All times are aware UTC. No record value is in here, but for a conflict's two values, kept while they are needed.
"""

from __future__ import annotations

import enum
from datetime import date, datetime
from typing import Any

import attrs

from crmsync.models.candidates import Candidate
from crmsync.models.history import RecordChange
from crmsync.models.immutable import frozen_value
from crmsync.models.mappings import OSCILLATION, ConflictPolicy
from crmsync.models.problems import Problem
from crmsync.models.records import OperationKind, Side


class LinkStatus(enum.StrEnum):
    """The state of a pair of records."""

    SYNCED = "synced"
    CONFLICT = "conflict"
    """Linked; at least one field waits for a decision. The other fields sync."""
    REJECTED = "rejected"
    """The last attempt failed, wholly or in a field; tried again in every run."""
    QUARANTINED = "quarantined"
    """More than one match; waits until the candidates differ or someone decides. Looked at again in every run."""
    IGNORED = "ignored"
    """Rejected or quarantined, and a person said so be it: not tried again until its record or the mapping changes."""
    DELETED = "deleted"
    """A tombstone: one side deleted the record, nothing may bring it back."""
    UNLINKED = "unlinked"
    """The pair was separated on purpose; both records live on without each other."""


@frozen_value
class Link:
    """A row of ``crm_sync_status``: a record's pair of ids, and what each side held when it was last acknowledged.

    ``markmail_id`` is the local id; for a record born in the CRM that has no local twin yet it is the id that the twin
    will get. ``crm_id`` is None until the remote record exists. ``last_sync_hash`` is the 64-hex SHA-256 over both
    shadows; of a record that has no counterpart yet, over what its own side held when it was last tried. The shadows
    are opaque to storage (`crmsync.diff.digests` reads them); empty means "never seen", or gone: a tombstone keeps that
    of a record that is gone, marked as such, while the other one lives. ``born`` is the side where the record was first
    seen. ``attempts`` counts failed attempts in a row, ``failing_since`` is when the first one was. ``flips`` is what
    is remembered of our last writes where a field may be rewritten for ever (`crmsync.diff.flips` reads it).
    """

    integration_id: str
    entity_type: str
    markmail_id: str
    crm_id: str | None = None
    status: LinkStatus = LinkStatus.SYNCED
    born: Side = Side.LOCAL
    last_sync_hash: str = ""
    local_shadow: bytes = attrs.field(default=b"", repr=False)
    remote_shadow: bytes = attrs.field(default=b"", repr=False)
    local_version: str | None = None
    remote_version: str | None = None
    mapping_version: str = ""
    attempts: int = 0
    next_attempt_at: datetime | None = None
    problems: tuple[Problem, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    failing_since: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    flips: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen(slots=True)
class Cursors:
    """How far each side was read and acknowledged. None: from the start. Positions are opaque to all but their side.

    ``unkeyed_after`` is a markmail_id: of links that come after it (see `SyncRepository.scan_links`), the CRM's records
    may lack the external key, since its field could not be written when they were linked. None: there are none.
    """

    local: str | None = None
    remote: str | None = None
    mapping_version: str = ""
    unkeyed_after: str | None = None


@attrs.frozen(slots=True)
class Lease:
    """The right to run one integration's object until ``expires_at``.

    ``fence`` grows by one with every new holder; a write that carries an older fence is refused.
    """

    integration_id: str
    entity_type: str
    owner: str
    fence: int
    expires_at: datetime


class JournalPurpose(enum.StrEnum):
    """What a write under way is part of: what is to be settled if its acknowledgement gets lost."""

    SYNC = "sync"
    """The link moves with it."""
    FAREWELL = "farewell"
    """A record follows its counterpart, which is gone; that is met again, so only the history waits for it."""
    UNDO = "undo"
    """The link was moved before it was sent."""


@frozen_value
class JournalEntry:
    """A write that was about to be sent. Present at the start of a run: nobody knows whether it took effect.

    ``target`` is the side written. ``record_id`` is the target's id, None for a create that lets the target choose.
    ``sent`` maps the target's field names to the 6-byte digests of the values sent, ``before`` to those of the values
    that they replace. ``conflicts`` are those whose losing value is replaced. ``change`` is what the history is to say
    of it if it took effect; None: no history is kept, or it was erased.
    """

    op_id: str
    integration_id: str
    entity_type: str
    target: Side
    kind: OperationKind
    markmail_id: str
    crm_id: str | None
    sent: dict[str, bytes] = attrs.field(factory=dict, repr=False)
    before: dict[str, bytes] = attrs.field(factory=dict, repr=False)
    started_at: datetime | None = None
    conflicts: tuple[Conflict, ...] = ()
    purpose: JournalPurpose = JournalPurpose.SYNC
    change: RecordChange | None = attrs.field(default=None, repr=False)


@attrs.frozen(slots=True)
class RemoteJob:
    """A job at the CRM that takes many records at once and goes on when our process does not.

    ``job_id`` is the CRM's, ``object_name`` the CRM's object, ``operation`` the CRM's word for what the job does.
    """

    job_id: str
    object_name: str
    operation: str
    records: int
    started_at: datetime


class ConflictStatus(enum.StrEnum):
    """Whether a conflict waits, was decided by a person, or was settled by its policy."""

    OPEN = "open"
    DECIDED = "decided"
    """Someone chose; the next run writes it."""
    RESOLVED = "resolved"


@attrs.frozen(slots=True)
class Conflict:
    """Both sides changed one field to different values. The values are JSON-able and never shown by ``repr``.

    ``id`` is stable for (link, field) until it is resolved. ``winner`` is the side whose value was kept or chosen, None
    while open, or when a merged or given value won; ``given_value`` is what a person gave, in the local form. What was
    overwritten is never just gone: both values are kept after the resolution, too, until ``erased_at``.

    ``local_changed_at`` and ``_by`` say when each side's record was last changed before they met, and by whom in the
    side's own words (a user's id, say); None: the side does not know. ``decided_by`` is who chose, as the caller named
    them. ``run_id`` is the run that met the conflict, ``resolved_run_id`` the one that wrote the resolution.
    """

    id: str
    integration_id: str
    entity_type: str
    markmail_id: str
    crm_id: str | None
    field: str
    crm_field: str
    policy: str
    status: ConflictStatus
    local_value: Any = attrs.field(default=None, repr=False)
    remote_value: Any = attrs.field(default=None, repr=False)
    winner: Side | None = None
    run_id: str = ""
    created_at: datetime | None = None
    resolved_at: datetime | None = None
    local_changed_at: datetime | None = None
    local_changed_by: str | None = None
    remote_changed_at: datetime | None = None
    remote_changed_by: str | None = None
    given_value: Any = attrs.field(default=None, repr=False)
    decided_by: str | None = None
    decided_at: datetime | None = None
    resolved_run_id: str | None = None
    erased_at: datetime | None = None

    @property
    def explanation(self) -> str:
        """What a person should know, where policy, status and winner do not say it; else empty."""
        ended = self.status is ConflictStatus.RESOLVED and self.winner is None and self.decided_at is None
        if ended and self.policy in (ConflictPolicy.MANUAL, OSCILLATION):
            return "No decision was carried out: the two values agree, or the two records are not linked any more"
        if self.policy == "edit_beats_delete":
            return "One side deleted the record; the other one had edited it since the last sync, and kept it"
        if self.policy != OSCILLATION:
            return ""
        return (
            f"{self.crm_field} of the CRM and {self.field} of the local side were rewritten against each other again"
            " and again: by a trigger or flow in the CRM, say, and a normaliser on the local side. Nothing is written"
            " until you decide. Mend what rewrites the value first, or it is parked again"
        )


@attrs.frozen(slots=True)
class Decision:
    """What someone chose for a conflict: the value of the side ``winner``, or with None ``value``, in the local form.

    ``value`` is JSON-able, and None for a blank. ``by`` names who chose.
    """

    winner: Side | None = None
    value: Any = attrs.field(default=None, repr=False)
    by: str = ""


@attrs.frozen(slots=True)
class ConflictSelection:
    """Some conflicts of an integration: those that meet every condition that is given.

    ``settled_until``: resolved, and not later than this. ``limit``: not more than this many, the longest settled first.
    """

    entity_type: str | None = None
    ids: tuple[str, ...] | None = None
    markmail_ids: tuple[str, ...] | None = None
    settled_until: datetime | None = None
    limit: int | None = None


@attrs.frozen(slots=True)
class SyncLog:
    """A row of ``crm_sync_logs``: one finished (or failed) run of one object. ``sync_type`` is full, incremental or
    selected (a run over some records, that reports on them alone).

    ``error_details`` is JSON-able: the run report and its problems, without record values.
    """

    id: str
    integration_id: str
    sync_type: str
    entity_type: str
    entity_count: int
    success_count: int
    error_count: int
    started_at: datetime
    completed_at: datetime | None
    error_details: dict[str, Any] = attrs.field(factory=dict)
    created_at: datetime | None = None


@attrs.frozen(slots=True)
class Allowance:
    """What the CRM said at a moment of its own allowance of API calls: used by everybody, and allowed."""

    used: int
    limit: int
    seen_at: datetime


@attrs.frozen(slots=True)
class CallUsage:
    """A row of ``crm_api_calls``: what an integration's processes took of one day (of UTC).

    ``taken`` are calls made and calls still held by a process that runs. ``allowance`` is the last that was noted.
    """

    integration_id: str
    day: date
    taken: int = 0
    allowance: Allowance | None = None


@attrs.frozen(slots=True)
class Acknowledgement:
    """Everything that one page changes in the bookkeeping; stored in one transaction or not at all.

    ``links`` are inserted or replaced (by integration, object, markmail_id); ``removed_links`` are markmail_ids whose
    rows go away (applied before the inserts); ``conflicts`` are inserted or replaced by id; ``resolved_conflicts`` are
    ids to mark resolved by the run that owns the lease, at ``resolved_at`` (None: now, by the storage's clock);
    ``done`` are op_ids to drop from the journal; ``changes`` are added to the history, in order; ``cursors`` None
    leaves the cursors as they are. An open conflict does not replace one that was decided meanwhile.
    """

    links: tuple[Link, ...] = ()
    removed_links: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    resolved_conflicts: tuple[str, ...] = ()
    resolved_at: datetime | None = None
    done: tuple[str, ...] = ()
    changes: tuple[RecordChange, ...] = ()
    cursors: Cursors | None = None
