"""What sample values say: their form, their number, their lengths, and how many both sides hold."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from statistics import fmean
from typing import Final

import attrs

from crmsync.mapping.parsing import FALSE_WORDS, TRUE_WORDS, is_email
from crmsync.models.schema import FieldType

_MOST: Final = 500
_SHARE: Final = 0.8
_FEW: Final = 5
_PHONE: Final = re.compile(r"[+(]?[0-9][0-9 ()./-]{5,24}(?: ?(?:x|ext\.?) ?[0-9]{1,6})?")
_DIGITS: Final = re.compile(r"[0-9]")
#: How many digits a number has; the most by E.164.
_PHONE_DIGITS: Final = range(7, 15 + 1)
_URL: Final = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,3}(?:[.,' ]?[0-9]{3})*(?:[.,][0-9]+)?|[+-]?[0-9]+(?:[.,][0-9]+)?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{2}|[0-9]{4})")
_TIME: Final = re.compile(rf"(?:{_DATE.pattern})[T ][0-9]{{1,2}}:[0-9]{{2}}.*")
_COUNTRY: Final = re.compile(r"[A-Z]{2,3}")
_KEY: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_-]{12,40}")

#: The form of values, and the types whose values have it.
FORMS: Final = {
    "e-mail addresses": frozenset({FieldType.EMAIL}),
    "web addresses": frozenset({FieldType.URL}),
    "dates": frozenset({FieldType.DATE, FieldType.DATETIME}),
    "times": frozenset({FieldType.DATETIME, FieldType.DATE}),
    "truth values": frozenset({FieldType.BOOLEAN}),
    "phone numbers": frozenset({FieldType.PHONE}),
    "numbers": frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.CURRENCY, FieldType.PERCENT}),
    "country codes": frozenset[FieldType](),
    "keys": frozenset({FieldType.ID, FieldType.REFERENCE}),
}

_FORMED: Final = frozenset[FieldType]().union(*FORMS.values())


@attrs.frozen(slots=True)
class Profile:
    """What some values of a field have in common; ``values`` are their normal forms, kept for the comparison only."""

    count: int
    form: str
    distinct: float
    length: float
    values: frozenset[str] = attrs.field(repr=False)


def profile_of(samples: Sequence[object]) -> Profile:
    """Look at sample values; blank ones do not count."""
    texts = [text for text in map(_text, samples[:_MOST]) if text]
    values = frozenset(text.casefold() for text in texts)
    if not texts:
        return Profile(0, "", 0.0, 0.0, values)
    return Profile(len(texts), _form(texts), len(values) / len(texts), fmean(map(len, texts)), values)


def overlap(one: Profile, other: Profile) -> float:
    """Which share of the smaller side's different values the other side holds as well; 0 where too few were seen."""
    fewer = min(len(one.values), len(other.values))
    return len(one.values & other.values) / fewer if fewer and min(one.count, other.count) >= _FEW else 0.0


def fits(form: str, kind: FieldType) -> bool | None:
    """Whether values of a form are of a type's; None: the type takes any text, or the form says nothing."""
    return kind in FORMS[form] if form and kind in _FORMED else None


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal | dt.date | dt.time):
        return str(value)
    return ""


def _form(texts: Sequence[str]) -> str:
    return next((form for form, matches in _MATCHERS.items() if _mostly(matches, texts)), "")


def _mostly(matches: Callable[[str], object], texts: Sequence[str]) -> bool:
    return sum(bool(matches(text)) for text in texts) >= _SHARE * len(texts)


def _is_phone(text: str) -> bool:
    dialled = text[0] in "+0(" or any(sign in text for sign in " -./")
    return dialled and _PHONE.fullmatch(text) is not None and len(_DIGITS.findall(text)) in _PHONE_DIGITS


_MATCHERS: Final[Mapping[str, Callable[[str], object]]] = {
    "e-mail addresses": is_email,
    "web addresses": _URL.fullmatch,
    "times": _TIME.fullmatch,
    "dates": _DATE.fullmatch,
    "truth values": lambda text: text.casefold() in TRUE_WORDS | FALSE_WORDS,
    "phone numbers": _is_phone,
    "numbers": _NUMBER.fullmatch,
    "country codes": _COUNTRY.fullmatch,
    "keys": _KEY.fullmatch,
}
