"""When to ask how far a job is. Pure."""

from __future__ import annotations

import math
from typing import Final

import attrs

_BLIND: Final = 5.0
"""The longest wait, in seconds, before the first question while nothing was measured: by then a job tells its rate."""
_MARGIN: Final = 1.02
"""On what was measured: a question that comes just too early costs a call, one that comes just too late a moment."""
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

    ``foreseen`` is how many seconds it should take. Where that was ``measured`` with an earlier job, the first question
    comes when this one should be done; otherwise halfway, and soon. Each further one comes when the job will be done at
    the rate that its answers tell, or after ever longer waits while it stands.
    """

    total: int
    foreseen: float
    measured: bool = False
    waited: float = 0.0
    asked: int = 0
    foretold: bool = False
    """The next question comes when the job should be over at the rate that its own answers tell."""
    _last: float = 0.0
    _answers: tuple[float, int] | None = None

    def first(self) -> float:
        """Seconds before the first question; fewer where it was ``waited`` before."""
        due = self.foreseen * _MARGIN if self.measured else min(self.foreseen / 2, _BLIND)
        return self._wait(due - self.waited)

    def next(self, processed: int, active: float = 0.0) -> float:
        """Seconds before the next one, after an answer: so many records, in so many seconds of work (0: not told)."""
        before, self._answers = self._answers, (self.waited, processed)
        longer = self._last * _GROWTH
        rate = self._rate(before, processed, active)
        self.foretold = bool(rate) and processed < self.total
        if not self.foretold:
            return self._wait(longer)
        # Records are counted when their batch is saved, so that there are rather fewer left.
        left = (self.total - processed) / rate
        self.foretold = left <= 4 * longer
        return self._wait(min(left, 4 * longer))

    def _rate(self, before: tuple[float, int] | None, processed: int, active: float) -> float:
        """Records a second; 0 if nothing moves.

        Batches are worked on side by side, so that the seconds of work may be more than those that have passed.
        """
        if before is not None and before[1]:
            return max(0.0, (processed - before[1]) / (self.waited - before[0]))
        return processed / min(active, self.waited) if active > 0 else 0.0

    def _wait(self, seconds: float) -> float:
        self.asked += 1
        self._last = min(max(seconds, _SHORTEST), _LONGEST) if self.asked <= _OFTEN else _LONGEST
        self.waited += self._last
        return self._last
