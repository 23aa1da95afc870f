"""How long calls take: always alike, or now and then much longer."""

from __future__ import annotations

import math
import random
from typing import Final

from attrs import define, field

#: The quantile of the standard normal distribution below which 99 of 100 values lie.
_Z99: Final = 2.3263478740408408


@define
class Lognormal:
    """Latencies in seconds of which half are below ``median`` and 99 in 100 below ``p99``; the same for a seed.

    :raises ValueError: the median is not above 0, or ``p99`` is below it.
    """

    median: float
    p99: float
    seed: int = 0
    _random: random.Random = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not 0 < self.median <= self.p99:
            raise ValueError("a latency has 0 < median <= p99")
        self._random = random.Random(self.seed)

    def sample(self) -> float:
        """Return the next one."""
        sigma = math.log(self.p99 / self.median) / _Z99
        return self._random.lognormvariate(math.log(self.median), sigma)
