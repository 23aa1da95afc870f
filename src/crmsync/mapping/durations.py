"""Lengths of time: ISO 8601 (``PT1H30M``), hours and minutes off a stopwatch (``1:30:00``), numbers of a unit."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from crmsync.mapping.losses import Note, invalid
from crmsync.models.schema import Unit
from crmsync.protocols.conversion import LossKind

MICROSECONDS: Final[Mapping[Unit, int]] = {
    Unit.MILLISECONDS: 1000,
    Unit.SECONDS: 10**6,
    Unit.MINUTES: 60 * 10**6,
    Unit.HOURS: 3600 * 10**6,
    Unit.DAYS: 24 * 3600 * 10**6,
}
"""By unit of time. A day has 24 hours; months and years have no fixed length, and are not read."""

_AMOUNT: Final = r"([0-9]{1,12}(?:[.,][0-9]{1,12})?)"
_ISO: Final = re.compile(
    rf"([+-])?P(?:{_AMOUNT}W)?(?:{_AMOUNT}D)?(?:T(?:{_AMOUNT}H)?(?:{_AMOUNT}M)?(?:{_AMOUNT}S)?)?", re.IGNORECASE
)
_CLOCK: Final = re.compile(r"([+-])?([0-9]{1,6}):([0-5][0-9]):([0-5][0-9](?:[.,][0-9]{1,12})?)")
_OF_ISO: Final = tuple(MICROSECONDS[u] for u in (Unit.DAYS, Unit.DAYS, Unit.HOURS, Unit.MINUTES, Unit.SECONDS))
_WEEK: Final = 7


def read_duration(text: str, notes: list[Note]) -> dt.timedelta:
    """A duration in one of the two spellings.

    :raises Refusal: it is none.
    """
    iso = _ISO.fullmatch(text)
    if iso is not None and any(iso.groups()[1:]):
        weeks, *others = (Decimal((amount or "0").replace(",", ".")) for amount in iso.groups()[1:])
        microseconds = sum((n * each for n, each in zip((weeks * _WEEK, *others), _OF_ISO, strict=True)), Decimal(0))
        return whole_microseconds(-microseconds if iso[1] == "-" else microseconds, notes)
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        raise invalid("not a duration (PT1H30M, or 1:30:00 for hours, minutes and seconds)")
    seconds = int(clock[2]) * 3600 + int(clock[3]) * 60 + Decimal(clock[4].replace(",", "."))
    return whole_microseconds(Decimal(seconds) * (-(10**6) if clock[1] == "-" else 10**6), notes)


def whole_microseconds(microseconds: Decimal, notes: list[Note]) -> dt.timedelta:
    """So many microseconds; what is finer is a PRECISION loss.

    :raises Refusal: more than Python's longest duration, 999,999,999 days.
    """
    whole = microseconds.to_integral_value("ROUND_HALF_UP")
    if whole != microseconds:
        notes.append(Note(LossKind.PRECISION, "a part of a second finer than a microsecond"))
    try:
        return dt.timedelta(microseconds=int(whole))
    except OverflowError:
        raise invalid("a duration of more than 999,999,999 days") from None


def amount_of(duration: dt.timedelta, unit: Unit) -> Decimal:
    """A duration as a number of units, to 12 digits after the point where it does not come out even."""
    microseconds = Decimal(duration // dt.timedelta(microseconds=1))
    exact = microseconds / MICROSECONDS[unit]
    return exact if exact * MICROSECONDS[unit] == microseconds else exact.quantize(Decimal("1e-12"))


def duration_text(duration: dt.timedelta) -> str:
    """ISO 8601 in days, hours, minutes and seconds; one spelling for each duration."""
    sign, rest = ("-", -duration) if duration < dt.timedelta(0) else ("", duration)
    minutes, seconds = divmod(rest.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{rest.microseconds:06d}".rstrip("0") if rest.microseconds else ""
    clock = "".join(f"{n}{mark}" for n, mark in ((hours, "H"), (minutes, "M")) if n)
    clock += f"{seconds}{fraction}S" if seconds or fraction else ""
    days = f"{rest.days}D" if rest.days else ""
    return f"{sign}P{days}{'T' + clock if clock else ''}" if days or clock else "PT0S"
