"""Scorers of suggested mappings, as third parties may offer them: good ones and broken ones."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar

from crmsync.protocols.suggestions import FieldCard
from crmsync.registry import PROVIDERS, STORAGE, SUGGESTIONS, Registry

Pairs = Sequence[tuple[FieldCard, FieldCard]]


class Oracle:
    """Knows one pair, and keeps what it was shown."""

    name = "oracle"
    wants_samples = True
    shown: ClassVar[list[FieldCard]] = []

    def score(self, pairs: Pairs) -> list[float | None]:
        self.shown[:] = [card for pair in pairs for card in pair]
        return [1.5 if (one.name, other.name) == ("nick", "Department") else None for one, other in pairs]


class Reticent(Oracle):
    """The same, but wants no values of records."""

    name = "reticent"
    wants_samples = False


class Broken:
    """Answers what it is made with instead of scores."""

    name = "broken"
    wants_samples = False

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def score(self, pairs: Pairs) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, list) else [self.answer for _ in pairs]


def nan() -> Broken:
    return Broken(float("nan"))


def words() -> Broken:
    return Broken("0.9")


def short() -> Broken:
    return Broken([0.5])


def raising() -> Broken:
    return Broken(RuntimeError("ann@example.org leaked"))


def no_scorer() -> object:
    return object()


def registry() -> Registry:
    """What is installed, and these."""
    names = ("Oracle", "Reticent", "nan", "words", "short", "raising", "no_scorer")
    ours = [EntryPoint(name.lower(), f"tests.integration.scorers:{name}", SUGGESTIONS) for name in names]
    installed = [entry for group in (PROVIDERS, STORAGE) for entry in entry_points(group=group)]
    return Registry([*installed, *ours])
