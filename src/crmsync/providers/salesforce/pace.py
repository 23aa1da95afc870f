"""How fast the org answers: running figures, kept from one connection to the next."""

from __future__ import annotations

import json
from typing import Final

import attrs

MEMORY: Final = "pace"
"""The name under which it is remembered."""

_CALL: Final = 0.3
_COLLECTION_CALLS: Final = 5
"""A collection of 200 rows takes as long as so many small calls, until it was measured."""
_JOB: Final = 3.0
_JOB_ROW: Final = 0.001
_WEIGHT: Final = 0.4
"""How much the newest measurement counts."""
_SLOWEST: Final = 50.0


@attrs.frozen(slots=True)
class Pace:
    """Seconds of a small call, and of a full collection; how many times longer than foreseen a bulk job takes.

    None: not measured yet.
    """

    call: float | None = None
    collection: float | None = None
    job_scale: float | None = None

    @property
    def call_seconds(self) -> float:
        """What a small call takes."""
        return _CALL if self.call is None else self.call

    @property
    def collection_seconds(self) -> float:
        """What a call with 200 rows takes."""
        return _COLLECTION_CALLS * self.call_seconds if self.collection is None else self.collection

    def job_seconds(self, rows: int) -> float:
        """What a bulk job takes from its closing to its end."""
        return (1.0 if self.job_scale is None else self.job_scale) * (_JOB + _JOB_ROW * rows)

    def with_call(self, seconds: float) -> Pace:
        """After a small call."""
        return attrs.evolve(self, call=_mixed(self.call, seconds))

    def with_collection(self, seconds: float, rows: int) -> Pace:
        """After a call with so many rows; a small one says too little of a full one."""
        if rows < 100:  # noqa: PLR2004 - half a collection
            return self
        return attrs.evolve(self, collection=_mixed(self.collection, seconds))

    def with_job(self, seconds: float, rows: int) -> Pace:
        """After a bulk job."""
        scale = min(seconds / (_JOB + _JOB_ROW * rows), _SLOWEST)
        return attrs.evolve(self, job_scale=_mixed(self.job_scale, scale))

    def differs(self, other: Pace) -> bool:
        """Whether a figure is known of one alone, or is half as much again in one as in the other."""
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return any((a is None) != (b is None) or (a and b and not 2 / 3 <= a / b <= 3 / 2) for a, b in pairs)

    def encode(self) -> str:
        """As text, to two digits."""
        return json.dumps({k: float(f"{v:.2g}") for k, v in attrs.asdict(self).items() if v is not None})

    @classmethod
    def decode(cls, text: str | None) -> Pace:
        """Read text; nothing is known from what is not readable."""
        try:
            known = json.loads(text or "{}")
            return cls(**{name: max(0.0, float(value)) for name, value in known.items()})
        except (ValueError, TypeError, AttributeError):
            return cls()


def _mixed(old: float | None, new: float) -> float:
    return new if old is None else (1 - _WEIGHT) * old + _WEIGHT * new
