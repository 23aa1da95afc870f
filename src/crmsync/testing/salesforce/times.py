"""Dates and times in the forms the REST API takes and gives.

Stored values are the API's own text, always in UTC: ``2026-11-24T20:34:26.000+0000`` and ``2026-11-24``. Such texts
sort as the moments do, so comparison and ordering need no parsing. Years run from 1700 to 4000 ("Object Reference",
page "Primitive Data Types").
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache

_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_DATETIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:?\d{2})", re.IGNORECASE
)
FIRST_YEAR = 1700
LAST_YEAR = 4000


def stamp(moment: datetime) -> str:
    """Return the API's text for an aware datetime. The fraction of the second is dropped, as Salesforce drops it."""
    return _stamp(moment.replace(microsecond=0))


@lru_cache(maxsize=64)
def _stamp(moment: datetime) -> str:
    # Rows saved in one second share the text.
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def exact_stamp(moment: datetime) -> str:
    """Return the API's text with milliseconds."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}+0000"


def parse_datetime(text: str) -> datetime | None:
    """Return the aware UTC datetime a text means, or ``None``; a zone is required."""
    match = _DATETIME.fullmatch(text)
    if match is None:
        return None
    *parts, fraction, zone = match.groups()
    year, month, day, hour, minute, second = (int(part) for part in parts)
    micros = int(((fraction or "") + "000000")[:6])
    try:
        local = datetime(year, month, day, hour, minute, second, micros, tzinfo=_zone(zone))
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(text: str) -> timezone:
    if text in ("Z", "z"):
        return UTC
    sign = -1 if text[0] == "-" else 1
    digits = text[1:].replace(":", "")
    return timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))


def parse_date(text: str) -> date | None:
    """Return the date a ``YYYY-MM-DD`` text means, or ``None``."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def in_range(moment: date) -> bool:
    """Whether Salesforce can hold the date."""
    return FIRST_YEAR <= moment.year <= LAST_YEAR
