"""A run that a guard stopped, and what it would have done: kept without any record's value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import attrs

from crmsync.models.calls import CallEstimate
from crmsync.models.plans import Plan, PlannedRecord, PlannedWrite
from crmsync.models.records import OperationKind, Side
from crmsync.models.state import Cursors


@attrs.frozen(slots=True)
class StoppedWrite:
    """One write of a stopped plan: the fields by name, not what they would hold."""

    side: Side
    kind: OperationKind
    fields: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class StoppedRecord:
    """A `PlannedRecord` without values. ``fingerprint`` is a keyed digest: nothing can be guessed from it."""

    markmail_id: str | None
    crm_id: str | None
    fingerprint: str
    linked: bool = True
    writes: tuple[StoppedWrite, ...] = ()

    @classmethod
    def of(cls, record: PlannedRecord) -> StoppedRecord:
        """What is kept of a planned record."""
        writes = tuple(StoppedWrite(write.side, write.kind, tuple(write.fields)) for write in record.writes)
        return cls(record.markmail_id, record.crm_id, record.fingerprint, record.linked, writes)

    @property
    def planned(self) -> PlannedRecord:
        """The planned record, as far as it is needed to carry it out: the values are those of the sides, then."""
        writes = tuple(PlannedWrite(write.side, write.kind) for write in self.writes)
        return PlannedRecord(self.markmail_id, self.crm_id, writes, self.fingerprint, self.linked)


@attrs.frozen(slots=True)
class StoppedPlan:
    """What a stopped run would have done; its records are kept beside it.

    ``digest`` identifies the content. ``cursors`` are the positions reached while it was made. ``writes`` counts by
    side and kind (``"remote update"``), ``fields`` by side and field name (``"remote FirstName"``). ``would_stop`` is
    what a guard says of it, ``calls`` what carrying it out takes.
    """

    digest: str
    mapping_version: str
    made_at: datetime
    cursors: Cursors
    records: int
    writes: Mapping[str, int] = attrs.field(factory=dict)
    fields: Mapping[str, int] = attrs.field(factory=dict)
    would_stop: str | None = None
    calls: CallEstimate | None = None

    @classmethod
    def of(cls, plan: Plan) -> StoppedPlan:
        """What is kept of a plan, but for its records."""
        writes = [write for record in plan.records for write in record.writes]
        return cls(
            plan.digest,
            plan.mapping_version,
            plan.created_at,
            plan.cursors,
            len(plan.records),
            dict(Counter(f"{write.side} {write.kind}" for write in writes).most_common()),
            dict(Counter(f"{write.side} {name}" for write in writes for name in write.fields).most_common()),
            plan.report.would_stop,
            plan.calls,
        )


@attrs.frozen(slots=True)
class Stop:
    """A row of ``crm_stops``: the last stop of an object's runs that nothing was done about yet.

    ``code`` is the kind of guard (``delete_guard``, ``overwrite_guard``, ``budget_exceeded``), ``message`` what it
    said, ``times`` how often runs were stopped since. ``plan`` is None until somebody asks what would have been done.
    With ``approved_at`` the next run carries out exactly that plan; ``approved_by`` says who wanted it.
    """

    integration_id: str
    entity_type: str
    run_id: str
    code: str
    message: str
    stopped_at: datetime
    times: int = 1
    plan: StoppedPlan | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
