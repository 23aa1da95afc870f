"""Several sources as one: the first key of the first encrypts."""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.protocols.keys import KeySource, SupportsKeyChanges, WrappingKey


class CombinedKeys:
    """A `KeySource` over others, for the time in which keys move from one to another."""

    def __init__(self, sources: Sequence[KeySource]) -> None:
        self.sources = tuple(sources)
        self.name = ", ".join(source.name for source in self.sources)

    def load(self) -> Sequence[WrappingKey]:
        """See `KeySource`."""
        return [key for source in self.sources for key in source.load()]


def changeable(source: KeySource) -> SupportsKeyChanges | None:
    """The source that new keys go to: this one, or the first of several, if it can be written."""
    first = source.sources[0] if isinstance(source, CombinedKeys) else source
    return first if isinstance(first, SupportsKeyChanges) else None
