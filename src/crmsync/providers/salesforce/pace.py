"""How fast the org answers: running figures, kept from one connection to the next."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import attrs

MEMORY: Final = "pace"
"""The name under which it is remembered."""

_CALL: Final = 0.3
_COLLECTION_CALLS: Final = 5
"""A collection of 200 rows takes as long as so many small calls, until it was measured."""
_HALF_COLLECTION: Final = 100
_PAGE_CALLS: Final = 4
"""A query's page of 2,000 rows takes as long as so many small calls, until it was measured."""
_FULL_PAGE: Final = 2000
_JOB: Final = 3.0
_JOB_ROW: Final = 0.001
_QUERY_ROW: Final = 0.0002
"""A query job reads a row in less time than an ingest job saves one."""
_WEIGHT: Final = 0.4
"""How much the newest measurement counts."""
_SLOWEST: Final = 50.0
SHORT: Final = 5.0
"""Seconds that a call with several pages should not exceed: no more than 10 requests may be at Apex for longer
("Concurrent Long-Running Apex Limit Event Type", Object Reference), and no more than 25 at work for longer than 20
("API Request Limits and Allocations")."""


@attrs.frozen(slots=True)
class Pace:
    """Seconds of a small call, a full collection, and a full page of a query; how many times longer than foreseen a
    bulk job and a query job take.

    None: not measured yet.
    """

    call: float | None = None
    collection: float | None = None
    job_scale: float | None = None
    page: float | None = None
    query_scale: float | None = None

    @property
    def call_seconds(self) -> float:
        """What a small call takes."""
        return _CALL if self.call is None else self.call

    @property
    def collection_seconds(self) -> float:
        """What a call with 200 rows takes."""
        return _COLLECTION_CALLS * self.call_seconds if self.collection is None else self.collection

    def together_seconds(self, pages: float) -> float:
        """What a call takes that holds so many collections of 200 rows."""
        return self.call_seconds + pages * max(0.0, self.collection_seconds - self.call_seconds)

    def pages_together(self, most: int) -> int:
        """How many collections of 200 rows may go in one call without its being long."""
        return next((pages for pages in range(most, 1, -1) if self.together_seconds(pages) <= SHORT), 1)

    @property
    def page_seconds(self) -> float:
        """What a query takes that gives 2,000 rows."""
        return _PAGE_CALLS * self.call_seconds if self.page is None else self.page

    def job_seconds(self, rows: int) -> float:
        """What a bulk job takes from its closing to its end."""
        return (1.0 if self.job_scale is None else self.job_scale) * (_JOB + _JOB_ROW * rows)

    def query_seconds(self, rows: int) -> float:
        """What a query job takes until its results can be fetched."""
        return (1.0 if self.query_scale is None else self.query_scale) * (_JOB + _QUERY_ROW * rows)

    def with_call(self, seconds: float) -> Pace:
        """After a small call."""
        return attrs.evolve(self, call=_mixed(self.call, seconds))

    def with_collection(self, seconds: float, rows: int, pages: int = 1) -> Pace:
        """After a call with so many rows, in one collection or several; a small one says too little of a full one."""
        if rows < pages * _HALF_COLLECTION:
            return self
        alone = min(seconds, self.call_seconds + max(0.0, seconds - self.call_seconds) / pages)
        return attrs.evolve(self, collection=_mixed(self.collection, alone))

    def with_job(self, seconds: float, rows: int) -> Pace:
        """After a bulk job."""
        scale = min(seconds / (_JOB + _JOB_ROW * rows), _SLOWEST)
        return attrs.evolve(self, job_scale=_mixed(self.job_scale, scale))

    def with_page(self, seconds: float, rows: int) -> Pace:
        """After a page of a query with so many rows; a small one says too little of a full one."""
        return attrs.evolve(self, page=_mixed(self.page, seconds)) if rows >= _FULL_PAGE // 2 else self

    def with_query(self, seconds: float, rows: int) -> Pace:
        """After a query job."""
        scale = min(seconds / (_JOB + _QUERY_ROW * rows), _SLOWEST)
        return attrs.evolve(self, query_scale=_mixed(self.query_scale, scale))

    def differs(self, other: Pace) -> bool:
        """Whether a figure is known of one alone, or is half as much again in one as in the other.

        By how long jobs take their first question is timed, so a twentieth counts there.
        """
        figures = attrs.asdict(self)
        return any(_apart(figures[name], value, 1.05 if name in _SCALES else 1.5) for name, value in _items(other))

    def encode(self) -> str:
        """As text, to three digits."""
        return json.dumps({k: float(f"{v:.3g}") for k, v in _items(self) if v is not None})

    @classmethod
    def decode(cls, text: str | None) -> Pace:
        """Read text; nothing is known from what is not readable."""
        try:
            known = json.loads(text or "{}")
            return cls(**{name: max(0.0, float(value)) for name, value in known.items()})
        except (ValueError, TypeError, AttributeError):
            return cls()


_SCALES: Final = frozenset({"job_scale", "query_scale"})


def _items(pace: Pace) -> Iterable[tuple[str, float | None]]:
    return attrs.asdict(pace).items()


def _apart(one: float | None, other: float | None, factor: float) -> bool:
    if one is None or other is None:
        return one is not other
    return max(one, other) > factor * min(one, other)


def _mixed(old: float | None, new: float) -> float:
    return new if old is None else (1 - _WEIGHT) * old + _WEIGHT * new
