"""Finds fields alike whose names mean alike, by word embeddings that ship in the package ``wordllama``.

It knows that a favourite colour is a preferred color, which no list of words of ours says. Names and labels are all
that it looks at, and nothing leaves the process: the model is a table of numbers on disk.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import wordllama

from crmsync.protocols.suggestions import FieldCard

__all__ = ["WordLlamaScorer"]

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_LONGEST = 200
_LEAST = 0.5
_LIFT = 0.25
_MOST = 0.97


class WordLlamaScorer:
    """A `SuggestionScorer`. It has an opinion on names that are clearly near each other, and none on the rest."""

    name = "wordllama"
    wants_samples = False

    def score(self, pairs: Sequence[tuple[FieldCard, FieldCard]]) -> list[float | None]:
        """Judge pairs of fields; each name is looked up once, however many pairs it is in."""
        texts = sorted({_text(card) for pair in pairs for card in pair})
        if not texts:
            return []
        places = {text: place for place, text in enumerate(texts)}
        vectors = self._unit_vectors(texts)
        ours = vectors[[places[_text(one)] for one, _ in pairs]]
        theirs = vectors[[places[_text(other)] for _, other in pairs]]
        nearness = np.einsum("ij,ij->i", ours, theirs)
        return [min(_MOST, float(near) + _LIFT) if near >= _LEAST else None for near in nearness]

    @cached_property
    def _model(self) -> Any:
        # The package brings its tokenizer in a folder where its loader only looks as into a cache.
        folder = Path(wordllama.__file__).parent
        return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)

    def _unit_vectors(self, texts: list[str]) -> Any:
        vectors = np.asarray(self._model.embed([text or "-" for text in texts]), dtype=np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1.0)


def _text(card: FieldCard) -> str:
    """The label, or the name taken apart into words."""
    shown = card.label or " ".join(part for part in _HUMP.split(card.name.removesuffix("__c")) if part)
    return shown[:_LONGEST].lower()
