"""Named date ranges, seen from Tuesday 24 November 2026."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from crmsync.testing.salesforce.soql.dates import bounds
from crmsync.testing.salesforce.soql.syntax import DateRange

NOW = datetime(2026, 11, 24, 20, 34, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    "name,count,first,after",
    [
        ("YESTERDAY", None, "2026-11-23", "2026-11-24"),
        ("TODAY", None, "2026-11-24", "2026-11-25"),
        ("TOMORROW", None, "2026-11-25", "2026-11-26"),
        ("LAST_WEEK", None, "2026-11-15", "2026-11-22"),
        ("THIS_WEEK", None, "2026-11-22", "2026-11-29"),
        ("LAST_MONTH", None, "2026-10-01", "2026-11-01"),
        ("NEXT_MONTH", None, "2026-12-01", "2027-01-01"),
        ("THIS_QUARTER", None, "2026-10-01", "2027-01-01"),
        ("LAST_QUARTER", None, "2026-07-01", "2026-10-01"),
        ("NEXT_YEAR", None, "2027-01-01", "2028-01-01"),
        ("LAST_90_DAYS", None, "2026-08-26", "2026-11-25"),
        ("NEXT_90_DAYS", None, "2026-11-25", "2027-02-23"),
        ("LAST_N_DAYS", 1, "2026-11-23", "2026-11-25"),
        ("NEXT_N_DAYS", 2, "2026-11-25", "2026-11-27"),
        ("N_DAYS_AGO", 3, "2026-11-21", "2026-11-22"),
        ("LAST_N_WEEKS", 2, "2026-11-08", "2026-11-22"),
        ("NEXT_N_MONTHS", 2, "2026-12-01", "2027-02-01"),
        ("LAST_N_MONTHS", 11, "2025-12-01", "2026-11-01"),
        ("N_YEARS_AGO", 1, "2025-01-01", "2026-01-01"),
    ],
)
def test_a_range_begins_and_ends_at_midnight_gmt(name: str, count: int | None, first: str, after: str) -> None:
    start, end = bounds(DateRange(name, count), NOW)
    assert (start.isoformat(), end.isoformat()) == (f"{first}T00:00:00+00:00", f"{after}T00:00:00+00:00")
