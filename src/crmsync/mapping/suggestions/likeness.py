"""How alike two names are: by what they mean, or else by how they are spelt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from crmsync.mapping.suggestions.names import Head, Reading
from crmsync.mapping.suggestions.words import QUALIFIERS

Ratio: TypeAlias = Callable[[str, str], float]
"""How alike two texts are, from 0 to 1."""

_REST: Final = 0.6
_ALIKE: Final = 0.84
_SLIP: Final = 0.95

_RELATED: Final[Mapping[frozenset[str], float]] = {
    frozenset(pair): likeness
    for pair, likeness in {
        ("phone", "mobile phone"): 0.4,
        ("street", "whole address"): 0.75,
        ("full name", "last name"): 0.45,
        ("full name", "first name"): 0.4,
        ("country", "country code"): 0.75,
        ("salutation", "academic title"): 0.5,
        ("salutation", "gender"): 0.45,
        ("academic title", "job title"): 0.4,
        ("company", "account id"): 0.5,
        ("account number", "record id"): 0.4,
        ("assistant name", "manager name"): 0.2,
        ("lead status", "lifecycle stage"): 0.5,
        ("rating", "lead score"): 0.4,
        ("subscription status", "e-mail opt-out"): 0.45,
        ("opt-in time", "creation time"): 0.45,
        ("newsletter consent", "subscription status"): 0.4,
        ("annual revenue", "amount spent"): 0.3,
        ("change time", "last activity"): 0.3,
    }.items()
}


@attrs.frozen(slots=True)
class Likeness:
    """How alike two names are, from 0 to 1, and what they both mean.

    ``unknown``: at least one of them means nothing that is known, so that only the spelling could be compared.
    ``same``: they consist of the very same words.
    """

    score: float
    meaning: str = ""
    unknown: bool = False
    same: bool = False


def compare(one: Reading, other: Reading, ratio: Ratio) -> Likeness:
    """How alike two names are by what they mean, or else by how they are spelt."""
    if not one.heads or not other.heads:
        return Likeness(_spelt_alike(one, other, ratio), unknown=True, same=one.plain == other.plain)
    matched, meaning = _matched_heads(one.heads, other.heads)
    same, union = _matched_rest(one.rest, other.rest, ratio)
    total = max(len(one.heads), len(other.heads)) + _REST * union
    score = (matched + _REST * same) / total * _told_apart(one, other)
    if union > same and (spelt := _spelt(one, other, ratio)) >= _ALIKE:
        # A slip of the pen makes a known word an unknown one.
        return max(Likeness(score, meaning), Likeness(_SLIP * spelt), key=lambda found: found.score)
    return Likeness(score, meaning, same=one.plain == other.plain)


def _spelt(one: Reading, other: Reading, ratio: Ratio) -> float:
    return ratio(one.plain.replace(" ", ""), other.plain.replace(" ", "")) if one.plain and other.plain else 0.0


def _spelt_alike(one: Reading, other: Reading, ratio: Ratio) -> float:
    spelt = _spelt(one, other, ratio)
    if one.heads or other.heads:
        return 0.9 * spelt if spelt >= _ALIKE else 0.45 * spelt
    same, union = _matched_rest(one.rest, other.rest, ratio)
    shared = 2 * same / (same + union) if union else 0.0
    return max(spelt if spelt >= _ALIKE else 0.8 * spelt, 0.9 * shared) * _told_apart(one, other)


def _matched_heads(ones: Sequence[Head], others: Sequence[Head]) -> tuple[float, str]:
    matched, meaning, left = 0.0, "", list(others)
    for one in ones:
        score, concept, place = max(
            ((*_alike(one, other), place) for place, other in enumerate(left)), default=(0.0, "", -1)
        )
        if score > 0:
            matched += score
            meaning = meaning or concept
            left.pop(place)
    return matched, meaning


def _alike(one: Head, other: Head) -> tuple[float, str]:
    shared = [(min(weight, other[concept]), concept) for concept, weight in one.items() if concept in other]
    related = [
        (_RELATED.get(frozenset((left, right)), 0.0) * weight * other[right], f"{left} or {right}")
        for left, weight in one.items()
        for right in other
    ]
    return max([*shared, *related])


def _matched_rest(ones: Sequence[str], others: Sequence[str], ratio: Ratio) -> tuple[float, float]:
    left = list(others)
    same = 0
    for one in ones:
        twin = next((other for other in left if other == one or ratio(one, other) > _ALIKE), None)
        if twin is not None:
            left.remove(twin)
            same += 1
    return same, len(ones) + len(left)


def _told_apart(one: Reading, other: Reading) -> float:
    factor = 1.0
    for qualifier in one.qualifiers ^ other.qualifiers:
        factor *= 1 - QUALIFIERS[qualifier][0]
    if one.qualifiers and other.qualifiers and not one.qualifiers & other.qualifiers:
        factor *= 0.9
    return factor
