"""When to ask how far a job is. Pure."""

from __future__ import annotations

import math
from typing import Final

import attrs

_FIRST: Final = 1.0
"""Seconds before the first question while nothing is known of the org's pace."""
_GROWTH: Final = 1.6
_SHORTEST: Final = 0.5
_LONGEST: Final = 60.0
_OFTEN: Final = 20
"""Questions after which the waits are the longest, so that their number is bounded by time."""


def most_polls(seconds: float) -> int:
    """How many questions there can be about a job that is given so long."""
    return _OFTEN + math.ceil(seconds / _LONGEST) + 1


@attrs.define(slots=True)
class Polls:
    """The waits between the questions about one job of ``total`` records (0: unknown).

    The first comes when the job should be done by earlier measurements (``expected``; None: there are none). The next
    ones come when it will be done at the rate between the last two answers, or after ever longer waits while it stands.
    """

    total: int
    expected: float | None = None
    waited: float = 0.0
    asked: int = 0
    _last: float = 0.0
    _answers: tuple[float, int] | None = None

    def first(self) -> float:
        """Seconds before the first question."""
        return self._wait(_FIRST if self.expected is None else self.expected)

    def next(self, processed: int) -> float:
        """Seconds before the next one, after an answer."""
        before, self._answers = self._answers, (self.waited, processed)
        longer = self._last * _GROWTH
        if before is None or processed <= before[1] or processed >= self.total:
            return self._wait(longer)
        rate = (processed - before[1]) / (self.waited - before[0])
        return self._wait(min((self.total - processed) / rate, 4 * longer))

    def _wait(self, seconds: float) -> float:
        self.asked += 1
        self._last = min(max(seconds, _SHORTEST), _LONGEST) if self.asked <= _OFTEN else _LONGEST
        self.waited += self._last
        return self._last
