"""What a scorer of suggested mappings fills: embeddings, or the API of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import attrs

from crmsync.models.schema import FieldType


@attrs.frozen(slots=True)
class FieldCard:
    """What a scorer is told of a field: its name, label and type, and the options of a picklist.

    ``samples`` are values of records. They are empty unless whoever asks for suggestions says that this scorer may see
    them, and the scorer's ``wants_samples`` is True.
    """

    name: str
    label: str
    type: FieldType
    options: tuple[str, ...] = ()
    samples: tuple[str, ...] = attrs.field(default=(), repr=False)


@runtime_checkable
class SuggestionScorer(Protocol):
    """Judges how likely pairs of fields correspond. Offered by an entry point of the group ``crmsync.suggestions``,
    which names a callable that takes nothing and returns a scorer.

    It is called in a worker thread and may block. Names, labels and options come from outside: a scorer that puts them
    into a prompt treats them as text to be judged, never as instructions. What it answers is not trusted either:
    numbers are brought into 0 to 1, anything else is an error of the scorer, and no answer outweighs types that
    cannot stand for each other.
    """

    name: str
    wants_samples: bool

    def score(self, pairs: Sequence[tuple[FieldCard, FieldCard]]) -> Sequence[float | None]:
        """For each pair of a local and a remote field, from 0 (surely not) to 1 (surely); None: no opinion."""
        ...
