"""Which channel writes a batch: a pure decision, with its reasons.

Time is weighed against calls. A call is worth a tenth of a second while the allowance is whole, and more as it shrinks,
so that a large batch goes to Bulk API 2.0 from a few thousand rows on ("When to Use Bulk API": 2,000), later where the
org answers collections fast, earlier where calls run short.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

from crmsync.providers.salesforce.limits import RESERVE, CallsLeft
from crmsync.providers.salesforce.pace import Pace
from crmsync.providers.salesforce.settings import ChannelName

COLLECTION_ROWS: Final = 200
CALLS_AT_ONCE: Final = 4
JOB_CALLS: Final = 5
"""Create, upload, close, one question, one file of results."""

_SMALL: Final = 500
"""Rows below which a job is never worth its calls and its wait, unless nothing else fits."""


@attrs.frozen(slots=True)
class Choice:
    """A channel and why."""

    channel: ChannelName
    reason: str
    together: int = 1
    """Collections in a call, as far as the pace is known."""

    def calls(self, rows: int) -> int:
        """What so many rows take."""
        if self.channel is ChannelName.BULK:
            return JOB_CALLS
        return math.ceil(rows / COLLECTION_ROWS / self.together)


def may_be_bulk(rows: int, wanted: ChannelName) -> bool:
    """Whether so many rows may ever go through a bulk job, whatever is measured by then."""
    return wanted is ChannelName.BULK or (wanted is ChannelName.AUTO and rows >= _SMALL)


NO_DUPLICATE_HEADER: Final = "a bulk job takes no duplicate rule header, which allow_duplicates needs"
"""Among the headers of Bulk API 2.0 there is none for duplicate rules ("Headers", Bulk API 2.0 and Bulk API Developer
Guide); that of REST is ignored (simple-salesforce/simple-salesforce, issue 628)."""


def choose(
    rows: int, pace: Pace, calls_left: CallsLeft, *, wanted: ChannelName, no_bulk: str = "", most: int = 1
) -> Choice:
    """Choose for a batch of rows. ``no_bulk`` is why a job will not do, if it will not; ``most`` is how many
    collections may go in a call.
    """
    together = pace.pages_together(most)
    collections = Choice(ChannelName.COLLECTIONS, "", together)

    def choice(channel: ChannelName, reason: str) -> Choice:
        return attrs.evolve(collections, channel=channel, reason=reason)

    if wanted is not ChannelName.AUTO:
        return choice(wanted, "the settings ask for it")
    if no_bulk:
        return choice(ChannelName.COLLECTIONS, no_bulk)
    # Of an org whose pace is not known they may be as many as there are collections.
    most_calls = attrs.evolve(collections, together=1 if pace.collection is None else together).calls(rows)
    left = calls_left.left
    if left is not None and most_calls + RESERVE > left and most_calls > JOB_CALLS:
        return choice(ChannelName.BULK, f"{most_calls} calls would not leave enough of {left}")
    calls = collections.calls(rows)
    if rows < _SMALL:
        return choice(ChannelName.COLLECTIONS, f"{rows} rows are {calls} calls")
    worth = calls_left.worth
    one = _seconds(rows, pace, together) + calls * worth
    other = pace.job_seconds(rows) + JOB_CALLS * (pace.call_seconds + worth)
    weighed = f"{calls} calls weigh {one:.1f} s, a job of {JOB_CALLS} weighs {other:.1f} s"
    return choice(ChannelName.BULK if other < one else ChannelName.COLLECTIONS, weighed)


def _seconds(rows: int, pace: Pace, together: int) -> float:
    """What collections take, several calls at once: the longest call, or their share of all the work."""
    pages = rows / COLLECTION_ROWS
    shared = pages / together / CALLS_AT_ONCE * pace.together_seconds(together)
    return max(pace.together_seconds(min(pages, together)), shared)
