"""The contract of scorers: the example with a model on board keeps it, and each broken one is caught."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from crmsync.protocols.suggestions import FieldCard, SuggestionScorer
from crmsync.testing.suggestions import SuggestionScorerContract

EXAMPLE = Path(__file__).parents[2] / "examples" / "crmsync-wordllama" / "src"

Pairs = Sequence[tuple[FieldCard, FieldCard]]


@pytest.fixture(autouse=True, scope="module")
def _example() -> Iterator[None]:
    sys.path.insert(0, str(EXAMPLE))
    yield
    sys.path.remove(str(EXAMPLE))


class TestExample(SuggestionScorerContract):
    def scorer(self) -> SuggestionScorer:
        made: SuggestionScorer = import_module("crmsync_wordllama").WordLlamaScorer()
        return made


class Letters:
    """Keeps every promise: names that begin with the same letter are alike."""

    name = "letters"
    wants_samples = False

    def score(self, pairs: Pairs) -> Any:
        return [0.6 if one.name[:1].lower() == other.name[:1].lower() else None for one, other in pairs]


class TestLetters(SuggestionScorerContract):
    def scorer(self) -> SuggestionScorer:
        return Letters()


class Short(Letters):
    def score(self, pairs: Pairs) -> Any:
        return super().score(pairs)[:-1]


class Beyond(Letters):
    def score(self, pairs: Pairs) -> Any:
        return [60 if answer else None for answer in super().score(pairs)]


class NotANumber(Letters):
    def score(self, pairs: Pairs) -> Any:
        return [float("nan") for _ in pairs]


class Sorting(Letters):
    def score(self, pairs: Pairs) -> Any:
        return sorted((answer or 0.0 for answer in super().score(pairs)), reverse=True)


class Fickle(Letters):
    asked = 0

    def score(self, pairs: Pairs) -> Any:
        Fickle.asked += 1
        return [1 / Fickle.asked for _ in pairs]


class Credulous(Letters):
    def score(self, pairs: Pairs) -> Any:
        if any(not one.name.isascii() for one, _ in pairs):
            raise ValueError("ASCII only")
        return super().score(pairs)


class Curious(Letters):
    def score(self, pairs: Pairs) -> Any:
        return [0.5 if one.samples[0] else None for one, _ in pairs]


class Nameless(Letters):
    name = ""


class Empty(Letters):
    def score(self, pairs: Pairs) -> Any:
        return [max(super().score(pairs), key=str)] * len(pairs)


@pytest.mark.parametrize(
    "broken",
    [Short, Beyond, NotANumber, Sorting, Fickle, Credulous, Curious, Nameless, Empty],
    ids=lambda one: one.__name__,
)
def test_a_broken_scorer_fails_the_contract(broken: type[Letters]) -> None:
    class Contract(SuggestionScorerContract):
        def scorer(self) -> SuggestionScorer:
            return broken()

    with pytest.raises((AssertionError, ValueError, IndexError)):
        _hold_to(Contract())


def _hold_to(contract: SuggestionScorerContract) -> None:
    for name in dir(contract):
        if name.startswith("test_"):
            getattr(contract, name)()
