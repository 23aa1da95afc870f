"""What a comparison of both sides found, without trusting cursors or shadows."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from pydantic import AwareDatetime, Field, computed_field

from crmsync.models.runs import RunReport
from crmsync.models.schema import PublicModel


class DriftKind(enum.StrEnum):
    """How a record, or a field of it, is out of step."""

    UNSYNCED = "unsynced"
    """A side changed since both were acknowledged, and no run has taken that in yet."""
    DIVERGED = "diverged"
    """The sides differ although neither is known to have changed, and the mapping's rules would not leave it so."""
    MISSING_LOCAL = "missing_local"
    """A linked record of the CRM has lost its local counterpart."""
    MISSING_REMOTE = "missing_remote"
    """A linked local record has lost its counterpart in the CRM."""
    MISSING_BOTH = "missing_both"
    """A link of which neither record is there any more."""
    UNLINKED_LOCAL = "unlinked_local"
    """A local record that no run has seen, and that the mapping would link or create in the CRM."""
    UNLINKED_REMOTE = "unlinked_remote"
    """A record of the CRM that no run has seen, and that the mapping would link or create locally."""
    RETURNED = "returned"
    """A record that was deleted is there again, and so is its counterpart; no run has linked them again."""
    KEY = "key"
    """The CRM's record does not carry the external key of the record that it is linked to."""


class Drift(PublicModel):
    """One thing that is out of step; ``field`` is the local field, None for a whole record. Never with a value."""

    kind: DriftKind
    markmail_id: str | None = None
    crm_id: str | None = None
    field: str | None = None


class VerifyOptions(PublicModel):
    """How to compare.

    ``sample`` compares about this share of the linked pairs, chosen at random by ``seed``, instead of reading both
    sides completely; records that are not linked are not looked for then. ``repair`` puts right what is found under the
    mapping's policies and guards. ``keep`` is how many single findings the report lists; all are counted.
    """

    sample: float | None = Field(default=None, gt=0, le=1)
    seed: int = 0
    repair: bool = False
    keep: int = Field(default=1000, ge=0)


class VerifyReport(PublicModel):
    """What a comparison found.

    ``pairs`` linked pairs were compared in ``fields`` fields each; ``waiting`` records are known to wait: those for
    another try were not compared, of those with a conflict all fields were that it is not about. ``counts`` is by kind;
    ``by_field`` counts pairs by local field and kind. ``represented`` counts values that differ only as one side cut,
    rounded or re-cased what the other holds: no fault. ``findings`` is capped, the counts are not. ``repaired`` is the
    report of the repair.
    """

    integration_id: str
    entity_type: str
    started_at: AwareDatetime
    finished_at: AwareDatetime
    sample: float | None = None
    pairs: int = 0
    waiting: int = 0
    fields: int = 0
    represented: int = 0
    counts: Mapping[DriftKind, int] = {}
    by_field: Mapping[str, Mapping[DriftKind, int]] = {}
    findings: tuple[Drift, ...] = ()
    api_calls: int = 0
    repaired: RunReport | None = None

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this order; mypy cannot type it
    @property
    def consistent(self) -> bool:
        """Whether nothing was out of step."""
        return not any(self.counts.values())
