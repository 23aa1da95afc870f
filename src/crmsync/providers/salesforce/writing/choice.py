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
JOB_CALLS: Final = 6
"""Create, upload, close, two polls, one result."""

_SMALL: Final = 500
"""Rows below which a job is never worth its calls and its wait, unless nothing else fits."""


@attrs.frozen(slots=True)
class Choice:
    """A channel and why."""

    channel: ChannelName
    reason: str


def may_be_bulk(rows: int, wanted: ChannelName) -> bool:
    """Whether so many rows may ever go through a bulk job, whatever is measured by then."""
    return wanted is ChannelName.BULK or (wanted is ChannelName.AUTO and rows >= _SMALL)


NO_DUPLICATE_HEADER: Final = "a bulk job takes no duplicate rule header, which allow_duplicates needs"
"""Among the headers of Bulk API 2.0 there is none for duplicate rules ("Headers", Bulk API 2.0 and Bulk API Developer
Guide); that of REST is ignored (simple-salesforce/simple-salesforce, issue 628)."""


def choose(rows: int, pace: Pace, calls_left: CallsLeft, *, wanted: ChannelName, no_bulk: str = "") -> Choice:
    """Choose for a batch of rows. ``no_bulk`` is why a job will not do, if it will not."""
    if wanted is not ChannelName.AUTO:
        return Choice(wanted, "the settings ask for it")
    if no_bulk:
        return Choice(ChannelName.COLLECTIONS, no_bulk)
    calls = math.ceil(rows / COLLECTION_ROWS)
    left = calls_left.left
    if left is not None and calls + RESERVE > left and calls > JOB_CALLS:
        return Choice(ChannelName.BULK, f"{calls} calls would not leave enough of {left}")
    if rows < _SMALL:
        return Choice(ChannelName.COLLECTIONS, f"{rows} rows are {calls} calls")
    worth = calls_left.worth
    waves = math.ceil(calls / CALLS_AT_ONCE)
    collections = waves * pace.collection_seconds + calls * worth
    bulk = pace.job_seconds(rows) + JOB_CALLS * (pace.call_seconds + worth)
    weighed = f"{calls} calls weigh {collections:.1f} s, a job of {JOB_CALLS} weighs {bulk:.1f} s"
    return Choice(ChannelName.BULK if bulk < collections else ChannelName.COLLECTIONS, weighed)
