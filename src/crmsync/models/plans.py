"""A plan: what a run would write, fixed so that exactly this can be applied later."""

from __future__ import annotations

from datetime import datetime

import attrs

from crmsync.models.calls import CallEstimate
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
    """What happens to one record, and a fingerprint of both sides as they were when that was decided.

    ``linked``: the two were a pair already; False: they meet in this plan, or one is created.
    """

    markmail_id: str | None
    crm_id: str | None
    writes: tuple[PlannedWrite, ...]
    fingerprint: str
    linked: bool = True


@attrs.frozen(slots=True)
class Plan:
    """A dry run's result. Applying it writes these and nothing else; records changed since wait for the next run.

    ``cursors`` are the positions reached while planning; applying stores them. ``digest`` identifies the content.
    ``calls`` are the API calls that applying it takes, a new connection included: bounded as long as no other run comes
    in between and the CRM does not force calls to be made again; None if the CRM's record store cannot say.
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
    calls: CallEstimate | None = None

    @property
    def writes(self) -> int:
        """How many records the plan writes, on both sides together."""
        return sum(len(record.writes) for record in self.records)
