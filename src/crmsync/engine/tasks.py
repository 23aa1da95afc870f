"""Task groups whose errors look like the errors of plain calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

BETWEEN_BREATHS = 20
"""Records that are computed on before the answers to calls that are on their way are looked after."""


@contextmanager
def single_error() -> Iterator[None]:
    """Raise the first error of a task group instead of the group: callers handle error classes, not groups."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
