"""How a large object is read for the first time: a pure decision, with its reasons.

Time is weighed against calls, as when writing. A query job costs a few calls whatever its size, but it answers only
once Salesforce has come to it; queries over ranges of ids answer at once, and each takes a call for 2,000 records.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

from crmsync.providers.salesforce.limits import RESERVE, CallsLeft
from crmsync.providers.salesforce.pace import Pace
from crmsync.providers.salesforce.settings import FirstRead

PAGE_ROWS: Final = 2_000
LANES: Final = 5
"""Ranges that are read side by side; an org allows 25 calls that last over 20 seconds, a trial org 5 ("API Request
Limits and Allocations")."""
_JOB_CALLS: Final = 4
"""Create, two polls, and the list of result pages."""
_RESULT_ROWS: Final = 50_000
"""Records on a page of results, roughly."""


@attrs.frozen(slots=True)
class ReadChoice:
    """Whether a query job reads, and why."""

    bulk: bool
    reason: str


def choose_read(
    records: int, pace: Pace, calls_left: CallsLeft, *, wanted: FirstRead, bulk_from: int, hindrance: str | None = None
) -> ReadChoice:
    """Choose for so many records. ``hindrance`` is what makes a query job impossible, whatever the settings say."""
    if hindrance is not None:
        return ReadChoice(bulk=False, reason=hindrance)
    if wanted is not FirstRead.AUTO:
        return ReadChoice(wanted is FirstRead.BULK and records > 0, "the settings ask for it")
    if records <= bulk_from:
        return ReadChoice(bulk=False, reason=f"{records} records are no more than {bulk_from}")
    pages, calls = math.ceil(records / PAGE_ROWS), _JOB_CALLS + math.ceil(records / _RESULT_ROWS)
    left = calls_left.left
    if left is not None and pages + RESERVE > left and pages > calls:
        return ReadChoice(bulk=True, reason=f"{pages} calls would not leave enough of {left}")
    rest = math.ceil(pages / LANES) * pace.page_seconds + pages * calls_left.worth
    bulk = pace.query_seconds(records) + calls * (pace.call_seconds + calls_left.worth)
    return ReadChoice(bulk < rest, f"{pages} calls weigh {rest:.1f} s, a job of {calls} weighs {bulk:.1f} s")
