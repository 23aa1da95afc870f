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
    ranges = min(
        _possible(records, settings.bulk_read_ranges), key=lambda count: _weight(records, count, pace, calls_left)
    )
    if wanted is not FirstRead.AUTO:
        return ReadChoice(wanted is FirstRead.BULK and records > 0, "the settings ask for it", ranges)
    if records <= bulk_from:
        return ReadChoice(bulk=False, reason=f"{records} records are no more than {bulk_from}")
    pages, left = math.ceil(records / PAGE_ROWS), calls_left.left
    if left is not None and pages + RESERVE > left and pages > _calls(records, ranges):
        return ReadChoice(bulk=True, reason=f"{pages} calls would not leave enough of {left}", ranges=ranges)
    rest = math.ceil(pages / LANES) * pace.page_seconds + pages * calls_left.worth
    bulk = _weight(records, ranges, pace, calls_left)
    jobs = f"{ranges} query job{'s' if ranges > 1 else ''} of {_calls(records, ranges)} calls"
    return ReadChoice(bulk < rest, f"{pages} calls weigh {rest:.1f} s, {jobs} weigh {bulk:.1f} s", ranges)


def _possible(records: int, wanted: int | None) -> Sequence[int]:
    """How many ranges come into question: those that the settings ask for, or one or as many as may be worth it."""
    if wanted is not None:
        return (max(1, min(wanted, records)),)
    side_by_side = max(1, min(LANES, records // _FEWEST))
    return (1, max(side_by_side, min(_MOST_RANGES, math.ceil(records / _MOST))))


def _calls(records: int, ranges: int) -> int:
    cutting = _EDGE_CALLS + ranges if ranges > 1 else 0
    return cutting + ranges * (_JOB_CALLS + math.ceil(records / ranges / _RESULT_ROWS))


def _weight(records: int, ranges: int, pace: Pace, calls_left: CallsLeft) -> float:
    """Seconds, and what the calls are worth. Jobs are made side by side, and looked at one after the other."""
    rounds, cutting = math.ceil(ranges / LANES), 2 if ranges > 1 else 0
    pages = math.ceil(records / ranges / _RESULT_ROWS)
    waits = cutting + rounds + ranges * (_JOB_CALLS - 1 + math.ceil(pages / AHEAD))
    seconds = rounds * pace.query_seconds(math.ceil(records / ranges)) + waits * pace.call_seconds
    return seconds + _calls(records, ranges) * calls_left.worth
