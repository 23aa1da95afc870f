"""How alike two words are spelt."""

from __future__ import annotations

from difflib import SequenceMatcher

from crmsync.errors import MissingExtraError
from crmsync.mapping.suggestions.likeness import Ratio

_ALL: float = 100.0


def spelling_ratio() -> Ratio:
    """The ratio of rapidfuzz, which is quick enough for every pair of two large objects.

    :raises MissingExtraError: rapidfuzz is not installed.
    """
    try:
        from rapidfuzz import fuzz  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "rapidfuzz":
            raise
        raise MissingExtraError("crmsync.mapping.suggestions", "suggest") from error

    def ratio(one: str, other: str) -> float:
        return fuzz.ratio(one, other) / _ALL

    return ratio


def plain_ratio(one: str, other: str) -> float:
    """The same by the standard library: slow, for a handful of names."""
    return SequenceMatcher(None, one, other).ratio()
