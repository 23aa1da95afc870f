"""Counts what a run does, and makes its report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from crmsync.models.problems import Problem
from crmsync.models.records import Outcome, OutcomeStatus, Record, Side
from crmsync.models.runs import RecordProblem, SideReport
from crmsync.models.state import Link

PROBLEMS_KEPT = 1000
"""How many problems a report lists; the rest are counted, and their links say the same."""


@attrs.define(slots=True)
class SideTally:
    """The counters of `SideReport`, while they grow."""

    read: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    overwritten: int = 0
    unchanged: int = 0
    conflicts: int = 0
    rejected: int = 0
    echoes_dropped: int = 0
    erased: int = 0
    seconds: float = 0.0

    def count_outcome(self, outcome: Outcome) -> None:
        """Count one answered write."""
        match outcome.status:
            case OutcomeStatus.CREATED:
                self.created += 1
            case OutcomeStatus.UPDATED:
                self.updated += 1
            case OutcomeStatus.DELETED:
                self.deleted += 1
            case OutcomeStatus.FAILED:
                self.rejected += 1

    def count_unchanged(self, record: Record, seen_version: str | None) -> None:
        """Count a record that is as it was acknowledged: an echo if the last write was ours, in this very version."""
        self.unchanged += 1
        if record.modified_by_self and (record.version is None or record.version == seen_version):
            self.echoes_dropped += 1

    def add(self, other: SideTally) -> None:
        """Add what was counted apart."""
        for field in attrs.fields(SideTally):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def report(self, *, api_calls: int) -> SideReport:
        """The counters as a value."""
        return SideReport(**attrs.asdict(self), api_calls=api_calls)


@attrs.define(slots=True)
class RunTally:
    """Both sides' counters and the problems met. ``waiting`` counts what this run looked at and could not finish."""

    started_at: datetime
    sides: dict[Side, SideTally] = attrs.field(factory=lambda: {side: SideTally() for side in Side})
    problems: list[RecordProblem] = attrs.field(factory=list)
    problem_count: int = 0
    waiting: int = 0
    unusable: int = 0

    def add(self, other: RunTally) -> None:
        """Add what was counted apart."""
        for side, tally in other.sides.items():
            self.sides[side].add(tally)
        self.problems += other.problems[: max(0, PROBLEMS_KEPT - len(self.problems))]
        self.problem_count += other.problem_count
        self.waiting += other.waiting
        self.unusable += other.unusable

    def add_unusable(self, side: Side, problems: Sequence[Problem]) -> None:
        """Note records that their own side cannot hand over, such as broken rows of a file."""
        self.unusable += len(problems)
        self.problem_count += len(problems)
        for problem in problems[: max(0, PROBLEMS_KEPT - len(self.problems))]:
            message = f"{problem.path}: {problem.message}"
            self.problems.append(
                RecordProblem(side=side.value, code=problem.code, message=message, remedy=problem.remedy)
            )

    def add_problem(self, link: Link, problem: Problem, *, side: Side | None = None) -> None:
        """Note one problem of one record."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(
                RecordProblem(
                    markmail_id=link.markmail_id,
                    crm_id=link.crm_id,
                    side=side.value if side else "",
                    field=problem.path or None,
                    code=problem.code,
                    message=problem.message,
                    remedy=problem.remedy,
                    candidates=link.candidates,
                )
            )
