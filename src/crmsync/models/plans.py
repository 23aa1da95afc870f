"""A plan: what a run would write, fixed so that exactly this can be applied later."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import attrs

from crmsync.models.calls import CallEstimate
from crmsync.models.records import Fields, OperationKind, Side
from crmsync.models.runs import RunReport
from crmsync.models.state import Cursors


@attrs.frozen(slots=True)
class PlannedWrite:
    """One write that the plan holds. ``fields`` are in the written side's own form.

    ``overwrites`` names those of them that hold another value now which is not blank and would be lost.
    """

    side: Side
    kind: OperationKind
    fields: Fields = attrs.field(factory=dict, repr=False)
    overwrites: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class FieldEffect:
    """What a plan does to one field of one side, named as that side names it: in how many records it is written.

    ``creates`` of them are new records, ``overwrites`` lose a value that is not blank; the rest fill blanks.
    """

    side: Side
    field: str
    writes: int
    creates: int
    overwrites: int


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
    in between and the CRM does not force calls to be made again (busy, locked records, lost answers, unreadable rows);
    None if the CRM's record store cannot say. ``sync_calls`` is about what a `sync` in its place takes, which reads all
    that the plan has read (`reading_calls`) once more; None likewise.
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
    sync_calls: int | None = None

    @property
    def reading_calls(self) -> int:
        """The API calls that making the plan took."""
        return self.report.remote.api_calls

    @property
    def writes(self) -> int:
        """How many records the plan writes, on both sides together."""
        return sum(len(record.writes) for record in self.records)

    def effects(self) -> tuple[FieldEffect, ...]:
        """What it does field by field, by side and name."""
        written, created, lost = Counter[tuple[Side, str]](), Counter[tuple[Side, str]](), Counter[tuple[Side, str]]()
        for write in (write for record in self.records for write in record.writes):
            places = [(write.side, name) for name in write.fields]
            written.update(places)
            lost.update((write.side, name) for name in write.overwrites)
            if write.kind is OperationKind.CREATE:
                created.update(places)
        return tuple(FieldEffect(*place, written[place], created[place], lost[place]) for place in sorted(written))


@attrs.frozen(slots=True)
class MappingChange:
    """One difference between two mappings of an object.

    ``field`` is ``local field = CRM field`` for a field mapping, empty for a setting of the object. ``setting`` is the
    one that differs, empty where the field mapping as a whole came or went. ``before`` and ``after`` are JSON-able;
    None on the side where there is nothing.
    """

    field: str
    setting: str = ""
    before: Any = None
    after: Any = None


@attrs.frozen(slots=True)
class EndedField:
    """A field mapping (``local field = CRM field``) that goes, and what ends with it at the next sync.

    ``conflicts`` wait for a decision, or for the run that writes it; ``rejects`` are records that wait because of it.
    """

    field: str
    conflicts: int = 0
    rejects: int = 0


@attrs.frozen(slots=True)
class UndoPreview:
    """What taking a run back would write; its report's problems say what cannot be taken back."""

    run_id: str
    records: tuple[PlannedRecord, ...]
    report: RunReport


@attrs.frozen(slots=True)
class MappingPreview:
    """What another mapping of an object would change: in the mapping itself, and on both sides at the next sync.

    ``ended`` are the field mappings that go while something waits on them.
    """

    changes: tuple[MappingChange, ...]
    plan: Plan
    ended: tuple[EndedField, ...] = ()
