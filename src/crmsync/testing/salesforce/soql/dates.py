"""Named date ranges of SOQL ("SOQL and SOSL Reference", page "Date Formats and Date Literals").

The emulated org's time zone is GMT and its weeks begin on Sunday.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from crmsync.testing.salesforce.errors import CallError

if TYPE_CHECKING:
    from crmsync.testing.salesforce.soql.syntax import DateRange

_DAY: Final = timedelta(days=1)


def _month(day: date, offset: int) -> date:
    months = day.year * 12 + day.month - 1 + offset
    return date(months // 12, months % 12 + 1, 1)


def _week(day: date, offset: int) -> date:
    sunday = day - timedelta(days=(day.weekday() + 1) % 7)
    return sunday + timedelta(weeks=offset)


def _quarter(day: date, offset: int) -> date:
    return _month(date(day.year, (day.month - 1) // 3 * 3 + 1, 1), 3 * offset)


def _year(day: date, offset: int) -> date:
    return date(day.year + offset, 1, 1)


def _day(day: date, offset: int) -> date:
    return day + timedelta(days=offset)


_UNITS: Final[dict[str, Callable[[date, int], date]]] = {
    "DAYS": _day,
    "WEEKS": _week,
    "MONTHS": _month,
    "QUARTERS": _quarter,
    "YEARS": _year,
}
_FIXED: Final[dict[str, tuple[str, int, int]]] = {
    "YESTERDAY": ("DAYS", -1, 0),
    "TODAY": ("DAYS", 0, 1),
    "TOMORROW": ("DAYS", 1, 2),
    **{
        f"{word}_{unit[:-1]}": (unit, start, start + 1)
        for unit in ("WEEKS", "MONTHS", "QUARTERS", "YEARS")
        for word, start in (("LAST", -1), ("THIS", 0), ("NEXT", 1))
    },
}


def bounds(literal: DateRange, now: datetime) -> tuple[datetime, datetime]:
    """Return the first moment of the range and the first after it, UTC.

    :raises CallError: MALFORMED_QUERY: there is no such range.
    """
    today = now.astimezone(UTC).date()
    found = _fixed(literal, today) or _counted(literal, today)
    if found is None:
        raise CallError(400, "MALFORMED_QUERY", f"unexpected token: '{literal.name}'")
    first, after = found
    return datetime.combine(first, time(), UTC), datetime.combine(after, time(), UTC)


def _fixed(literal: DateRange, today: date) -> tuple[date, date] | None:
    if literal.count is not None:
        return None
    if literal.name == "LAST_90_DAYS":
        return today - timedelta(days=90), today + _DAY
    if literal.name == "NEXT_90_DAYS":
        return today + _DAY, today + timedelta(days=91)
    if literal.name not in _FIXED:
        return None
    unit, start, stop = _FIXED[literal.name]
    shift = _UNITS[unit]
    return shift(today, start), shift(today, stop)


def _counted(literal: DateRange, today: date) -> tuple[date, date] | None:
    if literal.count is None:
        return None
    kind, _, unit = literal.name.partition("_N_")
    ago = unit.endswith("_AGO") or literal.name.startswith("N_")
    if literal.name.startswith("N_"):
        kind, unit = "N", literal.name.removeprefix("N_").removesuffix("_AGO")
    shift = _UNITS.get(unit)
    if shift is None or (kind == "N") != ago:
        return None
    count = literal.count
    if kind == "N":
        return shift(today, -count), shift(today, -count + 1)
    if kind == "LAST":
        # LAST_N_DAYS runs to the end of today; the longer units end before the present one.
        return shift(today, -count), shift(today, 1 if unit == "DAYS" else 0)
    if kind == "NEXT":
        return shift(today, 1), shift(today, count + 1)
    return None
