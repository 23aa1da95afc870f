"""How a large object is read for the first time: a pure decision, with its reasons.

Time is weighed against calls, as when writing. A query job costs a few calls whatever its size, but it answers only
once Salesforce has come to it; queries over ranges of ids answer at once, and each takes a call for 2,000 records.
Several jobs, each for a range of ids, take a few calls each and are worked on at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from crmsync.providers.salesforce.limits import RESERVE, CallsLeft
from crmsync.providers.salesforce.loading.results import AHEAD
from crmsync.providers.salesforce.pace import Pace
from crmsync.providers.salesforce.settings import FirstRead, SalesforceSettings

PAGE_ROWS: Final = 2_000
LANES: Final = 5
"""Ranges that are read side by side, by queries or by jobs; an org allows 25 calls that last over 20 seconds, a trial
org 5 ("API Request Limits and Allocations")."""
_JOB_CALLS: Final = 4
"""Create, two polls, and the list of result pages."""
_RESULT_ROWS: Final = 50_000
"""Records on a page of results, roughly."""


_EDGE_CALLS: Final = 2
"""The first and the last id, between which ranges are cut; then each is counted."""
_FEWEST: Final = 20_000
"""Records in a range for which a job of its own is worth its calls."""
_MOST: Final = 250_000
"""Records in a range, until there are a hundred: what has to be read again when a job fails. The largest chunk of the
older Bulk API, which splits a query the same way ("PK Chunking Header", Bulk API 2.0 and Bulk API Developer Guide)."""
_UNKNOWN_SCALE: Final = 4.0
"""How many times longer than foreseen a query job may take while none was measured, as far as ranges are concerned: too
many cost a few calls, and one too long job costs minutes."""
_MOST_RANGES: Final = 100
"""Of the 10,000 query jobs that an org may make in 24 hours ("Bulk API and Bulk API 2.0 Limits and Allocations")."""


@attrs.frozen(slots=True)
class ReadChoice:
    """Whether query jobs read, of how many ranges of ids, and why."""

    bulk: bool
    reason: str
    ranges: int = 1


def choose_read(
    records: int, pace: Pace, calls_left: CallsLeft, *, settings: SalesforceSettings, hindrance: str | None = None
) -> ReadChoice:
    """Choose for so many records. ``hindrance`` is what makes a query job impossible, whatever the settings say."""
    wanted, bulk_from = settings.first_read, settings.bulk_read_from
    if hindrance is not None:
        return ReadChoice(bulk=False, reason=hindrance)
    ranges, split = _ranges(records, pace, calls_left, settings.bulk_read_ranges)
    if wanted is FirstRead.REST or records == 0:
        return ReadChoice(bulk=False, reason="the settings ask for it" if records else "there is no record")
    if wanted is FirstRead.BULK:
        return ReadChoice(bulk=True, reason=f"the settings ask for it; {split}", ranges=ranges)
    if records <= bulk_from:
        return ReadChoice(bulk=False, reason=f"{records} records are no more than {bulk_from}")
    pages, left = math.ceil(records / PAGE_ROWS), calls_left.left
    if left is not None and pages + RESERVE > left and pages > _calls(records, ranges):
        return ReadChoice(bulk=True, reason=f"{pages} calls would not leave enough of {left}; {split}", ranges=ranges)
    rest = math.ceil(pages / LANES) * pace.page_seconds + pages * calls_left.worth
    bulk = _weight(records, ranges, pace, calls_left)
    reason = f"{pages} calls weigh {rest:.1f} s, {_jobs(records, ranges)} weigh {bulk:.1f} s; {split}"
    return ReadChoice(bulk < rest, reason, ranges)


def _ranges(records: int, pace: Pace, calls_left: CallsLeft, wanted: int | None) -> tuple[int, str]:
    """How many ranges have a job each, and why."""
    if wanted is not None:
        count = max(1, min(wanted, records))
        return count, f"{count} range(s) by the settings"
    cautious = attrs.evolve(pace, query_scale=_UNKNOWN_SCALE if pace.query_scale is None else pace.query_scale)
    weights = {count: _weight(records, count, cautious, calls_left) for count in _possible(records)}
    best = min(weights, key=weights.__getitem__)
    if len(weights) == 1:
        return best, f"fewer than {2 * _FEWEST} records are one job"
    told = sorted({1, best, max(weights)})
    pace_known = "at the pace measured" if pace.query_scale is not None else "while no query job was measured"
    return best, f"{pace_known}: " + ", ".join(f"{_jobs(records, count)} {weights[count]:.1f} s" for count in told)


def _jobs(records: int, ranges: int) -> str:
    return f"{ranges} query job{'s' if ranges > 1 else ''} of {_calls(records, ranges)} calls"


def _possible(records: int) -> Sequence[int]:
    """How many ranges come into question: as many as are read side by side, or so many that none is too large."""
    large = min(_MOST_RANGES, math.ceil(records / _MOST))
    side_by_side = max(1, min(LANES, records // _FEWEST))
    return range(1, side_by_side + 1) if large <= LANES else (1, large)


def _calls(records: int, ranges: int) -> int:
    cutting = _EDGE_CALLS + ranges if ranges > 1 else 0
    return cutting + ranges * (_JOB_CALLS + math.ceil(records / ranges / _RESULT_ROWS))


def _weight(records: int, ranges: int, pace: Pace, calls_left: CallsLeft) -> float:
    """Seconds, and what the calls are worth. Jobs are made and looked at side by side, `LANES` at a time, and pages of
    their results are fetched `AHEAD` at a time.
    """
    rounds, cutting = math.ceil(ranges / LANES), 2 if ranges > 1 else 0
    pages = math.ceil(records / ranges / _RESULT_ROWS)
    waits = cutting + rounds * _JOB_CALLS + math.ceil(ranges * pages / AHEAD)
    seconds = rounds * pace.query_seconds(math.ceil(records / ranges)) + waits * pace.call_seconds
    return seconds + _calls(records, ranges) * calls_left.worth
