"""What a story says of a run, and of a plan."""

from __future__ import annotations

from collections.abc import Mapping

from crmsync.errors import CRMError
from crmsync.models.plans import Plan
from crmsync.models.runs import RunReport


def ended(report: RunReport | None, error: BaseException | None) -> str:
    """How a run ended."""
    if report is None:
        return failed(error)
    return f"{report.status}, {report.written} written, {report.problem_count} problems"


def failed(error: BaseException | None) -> str:
    """What ended it."""
    return type(error).__name__ + (f" ({error})" if isinstance(error, CRMError) else "")


def shown(options: Mapping[str, object]) -> str:
    """The options that a run has."""
    return "".join(f" {name}" for name, value in options.items() if value)


def told(plan: Plan) -> str:
    """What a plan is to write."""
    writes = [f"{w.kind} {w.side} {dict(w.fields)}" for record in plan.records for w in record.writes]
    return f"the plan is to {'; '.join(writes)}"
