"""The calls of a day, counted where they go out over the network, and there made the points of a process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date

import attrs
import httpx2

from tests.property.engine.days import Days
from tests.property.engine.incidents import ASKS, SENDS, Incidents
from tests.property.engine.promises import Promise

OF_A_JOB = 3
"""Calls that are taken at once: to create a job, give it its rows, and close it."""


@attrs.define
class WireDays(Days):
    """Counts requests. What a process pays for on one day, it may send on the next: the close of a job, say.

    ``perhaps`` has for each day all that may have been paid on it, ``made`` no more than must have been.
    """

    perhaps: Counter[tuple[str, date]] = attrs.field(factory=Counter)

    def count(self, remote: str, begun: date) -> None:
        """A request is on its way, of a process that began on this day.

        :raises AssertionError: it is one too many.
        """
        if self.limit is None:
            return
        today = self._today()
        for day in {begun, today}:
            self.perhaps[remote, day] += 1
        paid = begun if self.made[remote, begun] < self.limit else today
        self.made[remote, paid] += 1
        made = self.made[remote, paid]
        self.counts.hold(Promise.BUDGET, made <= self.limit, f"{remote}: call {made} of a day of {self.limit}")

    def _known(self, remote: str, day: date) -> int:
        """Whoever asks for the calls of a whole job at once is refused where one of them is not there."""
        return self.perhaps[remote, day] + self.lost[remote, day] + OF_A_JOB - 1


@attrs.frozen
class Calls:
    """The calls of one process to a CRM: points of its incidents, and counted by days."""

    remote: str
    incidents: Incidents
    days: WireDays
    begun: date

    async def send(
        self, request: httpx2.Request, send: Callable[[httpx2.Request], Awaitable[httpx2.Response]]
    ) -> httpx2.Response:
        """Send a request as the incidents let it."""
        self.days.count(self.remote, self.begun)
        if request.method == "GET":
            return await self._point(ASKS, send, request)
        with self.incidents.sending():
            return await self._point(SENDS, send, request)

    async def _point(
        self, kind: str, send: Callable[[httpx2.Request], Awaitable[httpx2.Response]], request: httpx2.Request
    ) -> httpx2.Response:
        answer: httpx2.Response = await self.incidents.call(f"{self.remote}{kind}", send, (request,), {})
        return answer
