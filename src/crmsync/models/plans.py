"""A plan: what a run would write, fixed so that exactly this can be applied later."""

from __future__ import annotations

from datetime import datetime

import attrs

from crmsync.models.records import Fields, OperationKind, Side
from crmsync.models.runs import RunReport
from crmsync.models.state import Cursors


@attrs.frozen(slots=True)
class PlannedWrite:
    """One write that the plan holds. ``fields`` are in the written side's own form."""

    side: Side
    kind: OperationKind
    fields: Fields = attrs.field(factory=dict, repr=False)


@attrs.frozen(slots=True)
class PlannedRecord:
    """What happens to one record, and a fingerprint of both sides as they were when that was decided."""

    markmail_id: str | None
    crm_id: str | None
    writes: tuple[PlannedWrite, ...]
    fingerprint: str


@attrs.frozen(slots=True)
class Plan:
    """A dry run's result. Applying it writes these and nothing else; records changed since wait for the next run.

    ``cursors`` are the positions reached while planning; applying stores them. ``digest`` identifies the content.
    """

    plan_id: str
    integration_id: str
    entity_type: str
    mapping_version: str
    created_at: datetime
    records: tuple[PlannedRecord, ...]
    cursors: Cursors
    report: RunReport
    digest: str

    @property
    def writes(self) -> int:
        """How many records the plan writes, on both sides together."""
        return sum(len(record.writes) for record in self.records)
