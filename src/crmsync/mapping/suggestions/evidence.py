"""What speaks for and against two fields corresponding, added up to a score.

Each piece of evidence is in log-odds, so that they add up: a name that means the same thing counts 3.2, types that
cannot stand for each other -9. The weights were set by the labelled fields of ``tests/data/field-pairs.json`` that are
not held out, so that the score is about the share of such suggestions that are right; the test prints both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from crmsync.mapping.pairs import Fit, fit_of
from crmsync.mapping.suggestions.likeness import Likeness, Ratio, compare
from crmsync.mapping.suggestions.names import Reading
from crmsync.mapping.suggestions.values import Profile, fits, overlap
from crmsync.models.schema import FieldSchema, FieldType

_TELLING: Final = frozenset(
    {FieldType.EMAIL, FieldType.PHONE, FieldType.URL, FieldType.DATE, FieldType.BOOLEAN, FieldType.DATETIME}
)
_KEYS: Final = frozenset({FieldType.ID, FieldType.REFERENCE})
#: Fields of several parts, and how much speaks against their being what one plain field holds.
_COMPOUNDS: Final = {FieldType.ADDRESS: -4.0, FieldType.GEOLOCATION: -4.0, FieldType.NAME: -1.0}
_TYPE_WORDS: Final = {
    FieldType.EMAIL: "e-mail addresses",
    FieldType.PHONE: "phone numbers",
    FieldType.URL: "web addresses",
    FieldType.DATE: "dates",
    FieldType.DATETIME: "dates and times",
    FieldType.BOOLEAN: "truth values",
}
#: The log-odds of how alike the names are, by where the likeness lies; straight lines between.
_NAMES: Final = ((0.0, -7.0), (0.3, -6.0), (0.5, -3.5), (0.6, -1.6), (0.7, -0.2), (0.8, 1.2), (0.9, 2.4), (1.0, 3.2))
#: A name that says nothing speaks less against a pair than two names that say different things.
_UNKNOWN: Final = -4.0
_OPINION: Final = 9.0
_SAME_WORDS: Final = 0.3
_HALF: Final = 0.5
_SURE: Final = 0.85
#: From here on two spellings are told to be alike.
_ALIKE: Final = 0.6
#: One option is no list to compare.
_FEWEST_OPTIONS: Final = 2
#: The share of common values that no chance explains.
_OVERLAP: Final = 0.2
#: How far the shares of distinct values lie apart where one field repeats itself and the other does not.
_UNLIKE_SHARES: Final = 0.6
#: How many values it takes to see that.
_ENOUGH_VALUES: Final = 10
_SUITS: Final = {"e-mail addresses": 2.5, "web addresses": 2.0}


@attrs.frozen(slots=True)
class Field:
    """A field as the scoring sees it: its schema, the readings of its name and label, and what its samples show."""

    schema: FieldSchema
    readings: tuple[Reading, ...]
    profile: Profile


@attrs.frozen(slots=True)
class Evidence:
    """A score from 0 to 1, and why; ``meaning`` is what both names mean, where that is sure."""

    score: float
    reasons: tuple[str, ...]
    meaning: str = ""


def weigh(local: Field, remote: Field, ratio: Ratio, opinions: Sequence[tuple[str, float]] = ()) -> Evidence:
    """How likely two fields correspond. ``opinions`` are those of further scorers, by name."""
    likeness = max(
        (compare(one, other, ratio) for one in local.readings for other in remote.readings),
        key=lambda found: (found.score, found.same),
        default=Likeness(0.0),
    )
    parts = [
        _by_name(local.schema, remote.schema, likeness),
        _by_type(local.schema, remote.schema),
        _by_options(local.schema, remote.schema),
        *_by_values(local, remote),
        *(_by_opinion(name, opinion) for name, opinion in opinions),
    ]
    odds = sum(weight for weight, _ in parts)
    return Evidence(
        score=1 / (1 + math.exp(-max(-30.0, min(30.0, odds)))),
        reasons=tuple(reason for _, reason in parts if reason),
        meaning=likeness.meaning if likeness.score >= _SURE else "",
    )


def _by_name(local: FieldSchema, remote: FieldSchema, likeness: Likeness) -> tuple[float, str]:
    weight = _between(likeness.score)
    if likeness.unknown:
        weight = max(weight, _UNKNOWN + likeness.score)
    weight += _SAME_WORDS if likeness.same else 0.0
    shown = f"{local.label or local.name!r} and {remote.label or remote.name!r}"
    if likeness.meaning:
        sure = "both mean" if likeness.score >= _SURE else "may both mean"
        return weight, f"{shown} {sure} {likeness.meaning}"
    return weight, f"{shown} are spelt alike" if likeness.score >= _ALIKE else ""


def _between(likeness: float) -> float:
    below = _NAMES[0]
    for above in _NAMES[1:]:
        if likeness <= above[0]:
            share = (likeness - below[0]) / (above[0] - below[0])
            return below[1] + share * (above[1] - below[1])
        below = above
    return _NAMES[-1][1]


def _by_type(local: FieldSchema, remote: FieldSchema) -> tuple[float, str]:
    one, other = local.type, remote.type
    if one is other:
        return (0.8, f"both hold {_TYPE_WORDS[one]}") if one in _TELLING else (0.2, "")
    there, back = fit_of(one, other), fit_of(other, one)
    if there is Fit.REFUSED and back is Fit.REFUSED:
        return -9.0, f"but {one} and {other} cannot stand for each other"
    if (one in _COMPOUNDS) != (other in _COMPOUNDS):
        return _COMPOUNDS.get(one, 0.0) + _COMPOUNDS.get(other, 0.0), ""
    if FieldType.TEXT not in (one, other) and (one in _KEYS) != (other in _KEYS):
        return -2.0, ""
    if FieldType.TEXT in (one, other):
        # A text field of the local side may hold anything; a key of the CRM is hardly what a plain text field holds.
        return (-3.6, "") if other in _KEYS else (0.0, "")
    return (0.2, "") if Fit.LOSSLESS in (there, back) else (-0.4, "")


def _by_options(local: FieldSchema, remote: FieldSchema) -> tuple[float, str]:
    ones, others = ({option.casefold().strip() for option in field.options} for field in (local, remote))
    if min(len(ones), len(others)) < _FEWEST_OPTIONS:
        return 0.0, ""
    shared, fewer = len(ones & others), min(len(ones), len(others))
    if shared >= _HALF * fewer:
        return 1 + shared / fewer, f"{shared} of {fewer} options are the same"
    return (-2.5, "but they have no option in common") if not shared else (0.2, "")


def _by_values(local: Field, remote: Field) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    mine, theirs = local.profile, remote.profile
    for field, other in ((local, remote), (remote, local)):
        suits = fits(field.profile.form, other.schema.type)
        if suits is not None and field.schema.type is FieldType.TEXT:
            reason = f"the values of {field.schema.name!r} look like {field.profile.form}"
            found.append((_SUITS.get(field.profile.form, 1.2), reason) if suits else (-2.5, f"but {reason}"))
    if remote.schema.options and mine.count:
        known = {option.casefold() for option in remote.schema.options}
        share = len(mine.values & known) / max(1, len(mine.values))
        found.append((1.2, "the values are options of the CRM's field") if share >= _HALF else (-0.8, ""))
    if mine.count and theirs.count:
        found += _by_both(mine, theirs)
    return found


def _by_both(mine: Profile, theirs: Profile) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    if mine.form and mine.form == theirs.form:
        found.append((0.6, f"the values of both look like {mine.form}"))
    elif mine.form and theirs.form:
        found.append((-1.5, f"but the values look like {mine.form} here and {theirs.form} there"))
    share = overlap(mine, theirs)
    if share >= _OVERLAP:
        found.append((2.0 * share + 0.4, f"{share:.0%} of the values occur on both sides"))
    lengths = sorted((mine.length, theirs.length))
    if lengths[1] > 4 * lengths[0] + 4:
        found.append((-0.8, "but the values are of quite different lengths"))
    if abs(mine.distinct - theirs.distinct) > _UNLIKE_SHARES and min(mine.count, theirs.count) >= _ENOUGH_VALUES:
        found.append((-0.6, "but one repeats few values and the other hardly any"))
    return found


def _by_opinion(name: str, opinion: float) -> tuple[float, str]:
    weight = _OPINION * (opinion - _HALF)
    return weight, f"{name} finds them {'alike' if opinion >= _HALF else 'unlike'} ({opinion:.2f})"
