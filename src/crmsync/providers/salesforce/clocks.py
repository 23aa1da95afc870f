"""Salesforce's clock and this machine's."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

NOTABLE: Final = timedelta(seconds=30)
"""A difference that is more than the time an answer takes and the second that a ``Date`` is rounded to."""


def date_of(header: str | None) -> datetime | None:
    """The time of a ``Date`` header; None if it is absent, unreadable or has no zone."""
    try:
        moment = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def difference(ahead: timedelta) -> str:
    """In words, by how much Salesforce's clock is ahead of this machine's."""
    seconds = round(abs(ahead).total_seconds())
    direction = "behind" if ahead > timedelta(0) else "ahead of"
    return f"this machine's clock is {seconds} seconds {direction} Salesforce's: correct it (NTP)"
