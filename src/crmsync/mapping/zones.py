"""Times without a zone, read off a clock somewhere: which moment they mean, and when that cannot be told."""

from __future__ import annotations

import datetime as dt
import zoneinfo

from crmsync.mapping.losses import Note
from crmsync.protocols.conversion import LossKind


def find_zone(name: str) -> dt.tzinfo | None:
    """The zone of this name in the IANA time zone database; None if there is none, or no database."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def moment_of(clock: dt.datetime, zone: dt.tzinfo | None, notes: list[Note]) -> dt.datetime:
    """The moment in UTC that a time without a zone means.

    Without a zone to read it in, and where clocks are put forward over it or back to it, nobody knows: a ZONE loss.
    The value is then the time in UTC, the time an hour on, or the earlier of the two.
    """
    if zone is None:
        notes.append(Note(LossKind.ZONE, "a date and time without a zone"))
        return clock.replace(tzinfo=dt.UTC)
    placed = clock.replace(tzinfo=zone)
    moment = placed.astimezone(dt.UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != clock:
        notes.append(Note(LossKind.ZONE, "a time that no clock showed there: clocks were put forward over it"))
    elif not clock.fold and placed.replace(fold=1).utcoffset() != placed.utcoffset():
        notes.append(Note(LossKind.ZONE, "a time that clocks there showed twice: they were put back"))
    return moment


def offset_text(moment: dt.datetime, zone: dt.tzinfo) -> str:
    """A moment by the clocks of a zone, with their offset; in UTC where that has seconds, as it had before railways."""
    placed = moment.astimezone(zone)
    offset = placed.utcoffset() or dt.timedelta(0)
    return placed.isoformat() if not offset.seconds % 60 else moment.astimezone(dt.UTC).isoformat()


def start_of(day: dt.date, zone: dt.tzinfo | None) -> dt.datetime:
    """The first moment of a day, in UTC: its midnight, or where clocks are put forward over that, what comes after."""
    midnight = dt.datetime(day.year, day.month, day.day, tzinfo=zone or dt.UTC)
    return midnight.astimezone(dt.UTC)


def day_of(moment: dt.datetime, zone: dt.tzinfo | None, notes: list[Note]) -> dt.date:
    """The date of a moment there, with a PRECISION loss unless it is the first moment of that day."""
    placed = moment.astimezone(zone or dt.UTC)
    day = dt.date(placed.year, placed.month, placed.day)
    if moment != start_of(day, zone):
        notes.append(Note(LossKind.PRECISION, "a date has no time of day"))
    return day
