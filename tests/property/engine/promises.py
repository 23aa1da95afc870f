"""The sixteen promises of a sync, and seven that come with them: what a history is judged by."""

from __future__ import annotations

import enum
from collections import Counter

import attrs


class Promise(enum.Enum):
    """A promise, by its number and what it says."""

    CONVERGES = 1, "the sides come in step, and then a run plans nothing"
    IDEMPOTENT = 2, "running again writes nothing and moves no shadow"
    NO_ECHO = 3, "our own write, read back, plans nothing"
    NO_LOST_UPDATE = 4, "an edit that nobody contradicted survives"
    NO_INVENTION = 5, "every value was written by somebody"
    CONFLICTS_RECORDED = 6, "a value that was overwritten has a conflict record"
    CRASH_SAFE = 7, "the end is the same as without the crash, with one record for each person"
    ORDER_FREE = 8, "the order of records and pages does not matter"
    DELIVERY_FREE = 9, "what is delivered twice counts once"
    CURSORS = 10, "no cursor passes what was not dealt with"
    REJECTS = 11, "a refused record is reported, holds nobody up, and syncs once mended"
    DELETES = 12, "nothing is resurrected, and nothing is deleted that nobody deleted"
    PASSES_ON = 13, "what came from one CRM reaches the other"
    ROUND_TRIP = 14, "a value comes through as it is"
    BUDGET = 15, "a run, and a day, make no more calls than they may; no run writes more than was planned"
    NEW_VERSION = 16, "a new version of the mapping writes nothing by itself"
    CONSENT = 17, "an opt-out stands against whoever did not see it"
    NO_GUESS = 18, "of several candidates none is linked"
    HISTORY = 19, "the history tells of every write that took effect, and of no other"
    UNDO = 20, "an undo takes back what is as the run left it, and no later run repeats it"
    FENCED = 21, "a process whose lease another one has writes nothing, and one that renews it goes on"
    ERASED = 22, "of a person who was erased nothing is left, no run takes them in again, and nobody else goes"
    BOOKKEPT = 23, "at rest no link takes a record for living that is deleted or merged, and all journals are done"

    def __init__(self, number: int, says: str) -> None:
        self.number = number
        self.says = says

    def __str__(self) -> str:
        return f"promise {self.number} ({self.says})"


@attrs.define
class Counts:
    """How much was played and judged, over all histories; ``broken`` of them broke a promise."""

    histories: int = 0
    broken: int = 0
    runs: int = 0
    points: int = 0
    incidents: Counter[str] = attrs.field(factory=Counter)
    judged: Counter[Promise] = attrs.field(factory=Counter)
    events: Counter[str] = attrs.field(factory=Counter)

    def hold(self, promise: Promise, kept: bool, story: str) -> None:
        """Count a judgement.

        :raises AssertionError: the promise is broken; ``story`` says how, with the values.
        """
        self.judged[promise] += 1
        if not kept:
            msg = f"broken {promise}: {story}"
            raise AssertionError(msg)

    def add(self, other: Counts) -> None:
        """Count what was played elsewhere."""
        self.histories += other.histories
        self.broken += other.broken
        self.runs += other.runs
        self.points += other.points
        self.incidents += other.incidents
        self.judged += other.judged
        self.events += other.events

    def told(self) -> str:
        """One line."""
        struck = ", ".join(f"{count} {name}" for name, count in sorted(self.incidents.items()))
        judged = ", ".join(f"{promise.number}: {self.judged[promise]}" for promise in Promise)
        events = "".join(f"{count} {name}, " for name, count in sorted(self.events.items()))
        return (
            f"{self.histories} histories, {self.runs} runs, {self.points} points, "
            f"{self.incidents.total()} incidents ({struck}), {events}judgements by promise ({judged})"
        )
