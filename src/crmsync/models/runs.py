"""What a run reports: counts for each side, problems, how it ended."""

from __future__ import annotations

import enum

from pydantic import AwareDatetime, Field, computed_field

from crmsync.models.candidates import Candidate
from crmsync.models.schema import PublicModel


class RunStatus(enum.StrEnum):
    """How a run ended."""

    SUCCESS = "success"
    PARTIAL = "partial"
    """Records were rejected, conflicts parked, or fields left out that the CRM's administrator changed; everything else
    is in step."""
    STOPPED = "stopped"
    """A guard stopped it; what was acknowledged stays, the rest goes on in the next run."""
    FAILED = "failed"


class RecordProblem(PublicModel):
    """One record that could not be synced wholly, with the reason and what to do; never with a value."""

    markmail_id: str | None = None
    crm_id: str | None = None
    side: str = ""
    field: str | None = None
    code: str
    message: str
    remedy: str = ""
    candidates: tuple[Candidate, ...] = ()


class RunWarning(PublicModel):
    """What of the mapping works less well than its author may think, such as a field that is hidden from the user."""

    path: str
    code: str
    message: str
    remedy: str = ""


class SideReport(PublicModel):
    """What a run did to one side.

    ``overwritten`` counts non-blank values that were replaced or cleared. ``conflicts`` counts values of this side that
    lost; ``rejected`` counts records that this side refused. ``unchanged`` are records read that needed nothing;
    ``echoes_dropped`` those of them that were our own writes coming back. ``erased`` are records of people who were
    erased: they are not taken in again. ``seconds`` is the time spent waiting for this side, summed over calls in
    flight.
    """

    read: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    overwritten: int = 0
    unchanged: int = 0
    conflicts: int = 0
    rejected: int = 0
    echoes_dropped: int = 0
    erased: int = 0
    api_calls: int = 0
    seconds: float = 0.0

    @property
    def written(self) -> int:
        """Records created, updated or deleted."""
        return self.created + self.updated + self.deleted


class RunReport(PublicModel):
    """One run of one object of one integration. ``problems`` is capped; ``problem_count`` is not.

    ``ignored`` are rejects that a person leaves as they are. ``would_stop`` is why a guard would
    stop the run that a dry run stands for.
    """

    run_id: str
    integration_id: str
    entity_type: str
    status: RunStatus
    sync_type: str = "incremental"
    dry_run: bool = False
    started_at: AwareDatetime
    finished_at: AwareDatetime
    local: SideReport = SideReport()
    remote: SideReport = SideReport()
    linked: int = 0
    conflicts_open: int = 0
    ignored: int = 0
    problem_count: int = 0
    problems: tuple[RecordProblem, ...] = Field(default=())
    warnings: tuple[RunWarning, ...] = ()
    error: str | None = None
    would_stop: str | None = None

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this order; mypy cannot type it
    @property
    def seconds(self) -> float:
        """Wall-clock duration of the run."""
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def written(self) -> int:
        """Records written on both sides; 0 means that the sides were in step already."""
        return self.local.written + self.remote.written


class RunOptions(PublicModel):
    """How one run behaves. The defaults suit a scheduled incremental sync.

    ``max_calls`` bounds the API calls of the run. ``page_size`` bounds the records held at once for each side.
    ``allow_deletes`` and ``allow_overwrites`` (values of each side) replace the guards' limits for this run. ``full``
    reads both sides from the start and compares everything; ``from_scratch`` also forgets what was acknowledged: linked
    records meet as if for the first time, under the mapping's policies. ``lease_seconds`` is how long a crashed run
    keeps others out.
    """

    max_calls: int | None = Field(default=None, ge=1)
    page_size: int | None = Field(default=None, ge=1)
    allow_deletes: int | None = Field(default=None, ge=0)
    allow_overwrites: int | None = Field(default=None, ge=0)
    full: bool = False
    from_scratch: bool = False
    lease_seconds: float = Field(default=60.0, gt=0)

    @property
    def reads_all(self) -> bool:
        """Whether both sides are read from the start."""
        return self.full or self.from_scratch


class ObjectStatus(PublicModel):
    """Where one object of an integration stands. ``paused``: the integration's runs are refused until it is resumed.

    ``drift`` is what the last run or check found changed for the worse in the CRM's schema.
    """

    entity_type: str
    synced: int = 0
    conflicts: int = 0
    rejected: int = 0
    quarantined: int = 0
    ignored: int = 0
    deleted: int = 0
    unlinked: int = 0
    paused: bool = False
    drift: tuple[RunWarning, ...] = ()
    last_run: RunReport | None = None
